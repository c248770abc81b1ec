"""Is a request there? Every request in pieces of every size, what is refused without its rest, and what never ends."""

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.errors import NoMoreData, ParseException

from hvd.daemon.clients.arrival import ENOUGH, THERE, Arrival, is_refused, is_simply_there
from hvd.metrics.clients import HALF_BODY, HALF_HEAD, SILENT

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"

WHOLE = [
    (GET, b""),
    (b"\r\n" + GET, b""),
    (b"GET / HTTP/1.0\r\n\r\n", b""),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET, b""),
    (POST, b"12345"),
    (b"POST / HTTP/1.1\r\nHost: t\r\ncontent-LENGTH:5 \r\n\r\n", b"12345"),
    (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", b""),
    (CHUNKED, b"5\r\n12345\r\n0\r\n\r\n"),
    (CHUNKED, b"5;x=y\r\n12345\r\n0a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"),
    (CHUNKED, b"0\r\n\r\n"),
    (b"POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", b""),
]


def stages(data: bytes, step: int) -> list[int]:
    """What a request that comes in pieces of `step` bytes is said to be after each."""
    arrival = Arrival()
    return [arrival.stage(data[:size]) for size in (*range(0, len(data), step), len(data))]


@pytest.mark.parametrize(("head", "body"), WHOLE)
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_request_is_there_with_its_last_byte(head: bytes, body: bytes, step: int) -> None:
    """Not before, and its head and its body are told apart."""
    seen = stages(head + body, step)
    assert seen[0] == SILENT
    assert seen[-1] == THERE
    sizes = [*range(0, len(head + body), step)]
    assert all(stage == HALF_HEAD for size, stage in zip(sizes, seen, strict=False) if 0 < size < len(head))
    assert all(stage == HALF_BODY for size, stage in zip(sizes, seen, strict=False) if size >= len(head))


def test_who_waits_for_100_continue_is_there_with_the_head() -> None:
    """The thread that sends it waits for the body then."""
    arrival = Arrival()
    head = POST[:-2] + b"Expect: 100-continue\r\n\r\n"
    assert arrival.stage(head[:-1]) == HALF_HEAD
    assert arrival.stage(head) == THERE
    assert not arrival.is_whole
    assert arrival.stage(head + b"12345") == THERE
    assert arrival.is_whole


@pytest.mark.parametrize(("head", "body"), WHOLE)
def test_what_follows_a_request_changes_nothing(head: bytes, body: bytes) -> None:
    """A pipelined one, or half of one."""
    assert Arrival().stage(head + body + b"GE") == THERE


def test_most_requests_are_told_at_one_look() -> None:
    """A whole head without a body; whatever may have one is looked at closely."""
    assert is_simply_there(GET)
    assert is_simply_there(GET + b"GET")
    assert not is_simply_there(GET[:-1])
    assert not is_simply_there(POST)
    assert not is_simply_there(CHUNKED.upper())


@pytest.mark.parametrize("head", [POST.replace(b" 5", b" 999999"), CHUNKED + b"FFFFF\r\n"])
def test_a_large_body_is_there_once_there_is_enough_of_it(head: bytes) -> None:
    """The kernel takes no more of it while nobody reads."""
    arrival = Arrival()
    assert arrival.stage(head) == HALF_BODY
    assert arrival.stage(head + bytes(ENOUGH - 100)) == HALF_BODY
    assert arrival.stage(head + bytes(ENOUGH)) == THERE
    assert not arrival.is_whole


REFUSED = [
    b"GET\r\n",
    b"\x16\x03\x01\x00\r\n",
    b"GET / HTTP/1.1\nHost: t\n\n",
    b"GET / HTTP/1.1\r\nHost: t\n",
    b"G" * 9000,
    POST.replace(b" 5", b" x"),
    POST.replace(b" 5", b" -5"),
    POST.replace(b" 5", b" " + b"5" * 5000),
    POST[:-2] + b"Content-Length: 6\r\n\r\n",
    CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n",
    CHUNKED.replace(b"chunked", b"chunked, chunked"),
    CHUNKED.replace(b"chunked", b"\x0bchunked"),
    CHUNKED.replace(b"chunked", b"gzip"),
    CHUNKED + b"x\r\n",
    CHUNKED + b"+5\r\n",
    CHUNKED + b"1" * 9000,
]


class Source:
    """What has come, and the end of it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        if not data:
            raise EOFError
        return data


@pytest.mark.parametrize("data", REFUSED)
def test_what_the_parser_refuses_without_the_rest_is_there(data: bytes) -> None:
    """It is answered at once; gunicorn's own parser, which decides, needs no more bytes for that."""
    assert Arrival().stage(data) == THERE
    with pytest.raises(ParseException) as refusal:
        next(get_parser(Config(), Source(data), ("", 1))).body.read()
    assert not isinstance(refusal.value, NoMoreData)


@pytest.mark.parametrize("data", [GET[:20], b"\r\n", b"G", b"GET / HTTP/1.1\r", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"])
def test_half_a_head_is_not_refused(data: bytes) -> None:
    """More of it may come."""
    assert not is_refused(data)
    assert Arrival().stage(data) == HALF_HEAD
