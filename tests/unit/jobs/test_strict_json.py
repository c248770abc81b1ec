"""JSON of clients: what is refused, and that nothing hostile gets further."""

import json

import pytest

from hvd.jobs.strict_json import excerpt, parse


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{'kind': 1}", "line 1, column 2"),
        (b'{"a": 1} {}', "Extra data"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff\xfe{\0}\0", "not UTF-8"),
        (b'{"a": "\xff"}', "byte 7"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "\0"}', "control character"),
        (b'{"a": NaN}', "no NaN"),
        (b"[Infinity]", "no Infinity"),
        (b"[-Infinity]", "no -Infinity"),
        (b"[1e999]", "too large"),
        (b"[-1e999]", "too large"),
        (b"[" + b"9" * 101 + b"]", "101 digits"),
        (b"[" + b"9" * 500_000 + b"]", "500000 digits"),
        (b"[1e" + b"9" * 500_000 + b"]", "too large"),
        (b'{"a": 1, "b": 2, "a": 1}', '"a"'),
        (b'{"params": {"a": 1, "\\u0061": 2}}', '"a"'),
        (b"[" * 33 + b"1" + b"]" * 33, "deeper than 32"),
        (b"[" * 5_000 + b"]" * 5_000, "deeper than 32"),
        (b"[" * 500_000, "deeper than 32"),
        (b'{"a":' * 150_000 + b"1" + b"}" * 150_000, "deeper than 32"),
    ],
)
def test_what_is_no_plain_json_is_refused(data: bytes, said: str) -> None:
    """In one printable line of bounded length."""
    with pytest.raises(ValueError, match=said) as caught:
        parse(data)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 200


@pytest.mark.parametrize(
    "data", [b"[" * 32 + b"1" + b"]" * 32, b' \r\n{"a": [1, -2.5, "\\ud83d\\ude00"]}\n', b"1", b'"x"']
)
def test_plain_json_is_read(data: bytes) -> None:
    """As the library does it."""
    assert parse(data) == json.loads(data)


def test_an_excerpt_is_short_and_printable() -> None:
    """Whatever a client sent."""
    assert excerpt("a\x1b\u00e4") == '"a\\u001b\\u00e4"'
    assert excerpt("x" * 1000) == '"' + "x" * 57 + '..."'
