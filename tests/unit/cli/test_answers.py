"""What a daemon sent, taken apart."""

import pytest

from hvd.cli.answers import instant, objects, texts


def test_only_what_is_of_the_kind_is_taken() -> None:
    """In its order."""
    assert objects([{"a": 1}, 2, None, {"b": 2}]) == ({"a": 1}, {"b": 2})
    assert texts(["a", 2, None, "b"]) == ("a", "b")


@pytest.mark.parametrize("odd", [None, 1, "text", {"a": 1}, True])
def test_what_is_no_list_has_none(odd: object) -> None:
    """An older daemon may not send it."""
    assert objects(odd) == texts(odd) == ()


def test_a_time_is_taken_in_utc() -> None:
    """Whatever zone it is told in."""
    moment = instant("2026-01-23T21:30:00+01:00")
    assert moment is not None
    assert f"{moment:%H:%M %Z}" == "20:30 UTC"
    assert [instant(odd) for odd in ("long ago", 7, None)] == [None] * 3
