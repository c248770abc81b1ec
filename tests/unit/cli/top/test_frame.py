"""The characters of a picture."""

from dataclasses import astuple

from hvd.cli.top.frame import ASCII, UNICODE


def test_ascii_has_a_sign_for_each_of_the_others() -> None:
    """As wide, so that a picture is laid out alike."""
    assert all(sign.isascii() for sign in astuple(ASCII))
    assert [len(sign) for sign in astuple(ASCII)[1:-1]] == [len(sign) for sign in astuple(UNICODE)[1:-1]]
