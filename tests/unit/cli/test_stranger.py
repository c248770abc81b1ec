"""Who answered in a daemon's place, and what to do about it."""

from email.message import Message

import pytest

from hvd.cli.stranger import REMEDY, barrier, portrait, remedy, status_text


def headers(**values: str) -> Message:
    message = Message()
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    return message


def test_a_portrait_has_what_tells_who_it_is() -> None:
    """In our own words where a status has some, and nothing that drives a terminal."""
    nginx = headers(Server="nginx/1.22.1", Content_Type="text/html; charset=utf-8")
    assert portrait(502, nginx) == "nginx/1.22.1, 502 Bad Gateway, text/html"
    assert portrait(200, headers()) == "200 OK, no type"
    assert portrait(299, headers(Server="\x1b[2J" + "x" * 99)).isprintable()
    assert status_text(299) == "299"


@pytest.mark.parametrize(
    ("url", "status", "more", "body", "words"),
    [
        ("http://a", 400, {}, b"The plain HTTP request was sent to HTTPS port", "it wants TLS, give https://"),
        ("http://a", 301, {"Location": "https://a/x"}, b"", "give https:// instead"),
        ("https://a", 302, {"Location": "https://login.example/?b"}, b"", "it leads to https://login.example/?b: "),
        ("https://a", 502, {}, b"", "does not reach the daemon"),
        ("https://a/x", 404, {}, b"", "is it the one at which the proxy has hvd?"),
        ("https://a", 200, {}, b"<html>", REMEDY),
        ("https://a", 302, {}, b"", REMEDY),
    ],
)
def test_there_is_something_to_do(url: str, status: int, more: dict[str, str], body: bytes, words: str) -> None:
    """By what came."""
    assert words in remedy(url, status, headers(**more), body)


def test_a_login_of_a_proxy_is_told() -> None:
    """hvd has no password to give."""
    assert "it asks for a login (basic)" in barrier(401, headers(WWW_Authenticate='Basic realm="x"'))
    assert "the proxy refuses this machine" in barrier(403, headers())
