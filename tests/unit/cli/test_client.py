"""The client against real, tiny servers: TCP and unix sockets, good and bad answers, and no answer."""

import contextlib
import dataclasses
import re
import socket
import socketserver
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.cli.client import Address, exchange, get_health, get_object
from hvd.errors import DaemonRefused, DaemonUnreachable
from tests.unit.cli.daemon import running

PATH = "/api/v1/snapshot"


def answer(body: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An HTTP response with that body."""
    size = len(body.encode()) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n{body}".encode()


def request_from(client: socket.socket) -> bytes:
    """One request: its head, and as much of a body as that announces."""
    data = b""
    while piece := client.recv(65_536):
        data += piece
        head, end, body = data.partition(b"\r\n\r\n")
        announced = re.search(rb"Content-Length: (\d+)", head)
        if end and len(body) >= int(announced[1] if announced else 0):
            break
    return data


@contextlib.contextmanager
def serving(reply: bytes, unix: Path | None = None, pause: float = 0.0) -> Iterator[tuple[Address, list[bytes]]]:
    """A server that gives every request that reply, byte by byte if there is a pause; yields the requests too."""
    requests: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            requests.append(request_from(self.request))
            with contextlib.suppress(OSError):  # the client may leave before the end
                for piece in [reply[i : i + 1] for i in range(len(reply))] if pause else [reply]:
                    self.request.sendall(piece)
                    time.sleep(pause)

    server: socketserver.BaseServer
    if unix:
        server, url = socketserver.ThreadingUnixStreamServer(str(unix), Handler), f"unix:{unix}"
    else:
        server = tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{tcp.socket.getsockname()[1]}"
    with running(server):
        yield Address.parse(url), requests


def failure_of(address: Address, timeout: float = 5.0) -> str:
    """What the client says of an address that gives no good answer; always one line."""
    with pytest.raises(DaemonUnreachable) as caught:
        get_object(address, PATH, timeout)
    text = str(caught.value)
    assert "\n" not in text
    assert address.url in text
    return text


def test_an_object_comes_over_tcp() -> None:
    """One GET for JSON."""
    with serving(answer('{"system_health": [1, 2.5, "\\u00e9"]}')) as (address, requests):
        assert get_object(address, PATH, 5.0) == {"system_health": [1, 2.5, "é"]}
    (request,) = requests
    assert request.startswith(b"GET /api/v1/snapshot HTTP/1.1\r\n")
    assert b"Accept: application/json\r\n" in request


def test_a_body_is_sent_as_json(tmp_path: Path) -> None:
    """With headers of the caller's, also as bytes, over either kind of socket."""
    for unix in (None, tmp_path / "s"):
        with serving(answer('{"a": 1}', "202 Accepted"), unix=unix) as (address, requests):
            got = exchange(address, "POST", PATH, 5.0, body={"b": "é"}, headers={"X-A": "ü".encode()})
        assert (got.status, got.object()) == (202, {"a": 1})
        head, _, body = requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /api/v1/snapshot HTTP/1.1\r\n")
        assert "X-A: ü".encode() in head
        assert (b"Host: localhost\r\n" in head) == (unix is not None)
        assert b"Content-Type: application/json" in head
        assert body == b'{"b": "\\u00e9"}'


def test_an_answer_of_any_status_is_given_if_it_is_an_object() -> None:
    """A problem says more than its status."""
    with serving(answer('{"detail": "x"}', "422 x")) as (address, _):
        got = exchange(address, "POST", PATH, 5.0)
        assert (got.status, got.object()) == (422, {"detail": "x"})
    with serving(answer("<html>", "502 x")) as (address, _), pytest.raises(DaemonUnreachable, match="502 Bad Gateway"):
        exchange(address, "POST", PATH, 5.0).object()


def test_a_refused_connection_names_the_address_and_the_remedy() -> None:
    """The port was ours a moment ago, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        remedy = "start the daemon, or name its address with --url; hvd list shows those that run here"
        expected = f"no daemon answers at {url} (connection refused): {remedy}"
        assert failure_of(Address.parse(url)) == expected
        before = "unix:/run/hvd/x/admin.sock (did not answer within 2 s)"
        text = failure_of(dataclasses.replace(Address.parse(url), tried=(before,)))
        assert text.endswith(f"nor before at {before}: is it overloaded or stopped? See its log"), "it runs"


def test_a_unix_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A daemon that was stopped cleanly has removed it; the kernel takes 107 bytes of a path."""
    assert "no such file or directory" in failure_of(Address.parse(f"unix:{tmp_path}/none"))
    assert "no daemon answers" in failure_of(Address.parse(f"unix:{tmp_path}/{'x' * 200}"))


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    """It accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = failure_of(Address.parse(f"http://127.0.0.1:{silent.getsockname()[1]}"), timeout=0.1)
    assert "did not answer within 0.1 s" in text


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("reply", "unix"),
    [
        (HEAD + b"\r\n" + b" " * 500, False),
        *((HEAD + b"X: " + b"x" * 300 + b"\r\nContent-Length: 0\r\n\r\n", unix) for unix in (False, True)),
    ],
    ids=["body", "head", "head over a unix socket"],
)
def test_what_trickles_is_given_up_too(reply: bytes, unix: bool, tmp_path: Path) -> None:
    """Each byte comes in time; all of them, which would be an answer, don't."""
    with serving(reply, tmp_path / "s" if unix else None, pause=0.01) as (address, _):
        before = time.monotonic()
        assert "did not answer within 0.5 s" in failure_of(address, timeout=0.5)
        assert time.monotonic() - before < 4


@pytest.mark.parametrize("body", ["<html>", "", "[1]", '"x"', "null", "{", "[" * 100_000])
def test_what_is_no_json_object_is_not_hvd(body: str) -> None:
    """Some other service has the port."""
    with serving(answer(body)) as (address, _):
        assert " answers, but it is not hvd (200 OK, no type): start the daemon" in failure_of(address)


def test_what_is_another_services_json_is_not_hvd() -> None:
    """Not even where it tells of a health of its own."""
    with serving(answer('{"status": "UP"}')) as (address, _):
        assert "it is not hvd (200 OK, no type without a health)" in failure_of(address)
        with pytest.raises(DaemonUnreachable, match="without a health"):
            get_health(address, 5.0)
    with serving(answer('{"status": "unhealthy"}', "503 x")) as (address, _):
        assert get_health(address, 5.0) == (503, {"status": "unhealthy"})


def test_all_paths_are_below_the_prefix() -> None:
    """As a proxy has it."""
    with serving(answer('{"system_health": ""}')) as (address, requests):
        get_object(Address.parse(f"{address.url}/hvd/"), PATH, 5.0)
    assert requests[0].startswith(b"GET /hvd/api/v1/snapshot HTTP/1.1\r\n")


def test_a_login_before_the_daemon_is_told() -> None:
    """As a refusal; hvd's own tells of tokens."""
    for body, words in (("<html>", "refused before hvd was reached (401"), ('{"detail": "no"}', "set HVD_TOKEN")):
        with serving(answer(body, "401 x")) as (address, _), pytest.raises(DaemonRefused, match="refused") as caught:
            get_object(address, PATH, 5.0)
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("status", "said"),
    [("503 Busy\x1b[2J", "503 Service Unavailable to GET"), ("404 x", "hvd (404 Not Found"), ("299 x", "299 to GET")],
)
def test_other_statuses_are_told_in_our_own_words(status: str, said: str) -> None:
    """The reason in the answer is someone else's text."""
    with serving(answer("{}", status)) as (address, _):
        text = failure_of(address)
    assert said in text
    assert text.isprintable()


@pytest.mark.parametrize("reply", [b"SSH-2.0-x\x1b\r\n", b"", answer("{}", length=50)])
def test_what_is_not_http_or_breaks_off_is_told(reply: bytes) -> None:
    """Never with bytes of the answer."""
    with serving(reply) as (address, _):
        text = failure_of(address)
    assert "no daemon answers" in text or "not HTTP" in text or "without an answer" in text
    assert text.isprintable()
