"""Who may open /ws, what is passed on to the hub, and what is answered instead."""

import os
import resource
import socket
import ssl
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import falcon
import pytest
from falcon import testing
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.wsgi import create

from hvd.agg import handoff
from hvd.instrument.wsgi import EXCHANGE
from hvd.metrics.table import HANDOFFS_REFUSED
from hvd.web.upgrade import Upgrade, check_connection, check_origin, early_bytes, hand_over, handshake_headers
from tests.unit.web import asking

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PROPER = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Host": "example.org",
}


def request(**changed: str | None) -> falcon.Request:
    """A proper handshake, but for these headers (underscores stand for hyphens; None leaves one out)."""
    headers = PROPER | {name.replace("_", "-"): value for name, value in changed.items()}
    given = {name: value for name, value in headers.items() if value is not None}
    return falcon.Request(testing.create_environ(path="/ws", headers=given))


def test_a_proper_handshake_passes() -> None:
    """The hub gets what its answer depends on, and nothing else."""
    assert handshake_headers(request()) == {"sec-websocket-key": KEY, "sec-websocket-version": "13"}


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        *(("detail=1", True), ("x=2&detail=1", True), ("", False), ("detail=2", False), ("detail=11", False)),
        *(("detail", False), ("details=1", False), ("detail=%ff", False), ("a=b&&&=;%zz", False)),
    ],
)
def test_a_wish_for_details_is_passed_on(query: str, asked: bool) -> None:
    """`detail=1`, and nothing else of a query; a header of that name is no wish."""
    req = falcon.Request(testing.create_environ(path="/ws", headers={**PROPER, "Detail": "1"}, query_string=query))
    assert (handshake_headers(req).get(handoff.DETAIL) == "1") is asked


@pytest.mark.parametrize(
    "changed",
    [
        *({name: value} for name in ("Connection", "Upgrade") for value in (None, "close", "h2c")),
        *({"Upgrade": protocol} for protocol in ("websockets", "websocket/13", "web socket", "xwebsocket")),
        *({"SERVER_PROTOCOL": version} for version in ("HTTP/1.0", "HTTP/0.9", "HTTP/2.0")),
    ],
    ids=repr,
)
def test_what_asks_for_no_upgrade_is_told_to(changed: dict[str, str | None]) -> None:
    """426, with the protocol to upgrade to (RFC 9110, section 15.5.22); whole tokens count.

    Section 7.8: the header of an older request than HTTP/1.1 is ignored. HTTP/2 has no such header.
    """
    req = request(**changed)
    if "SERVER_PROTOCOL" in changed:
        req.env.update(changed)
    with pytest.raises(falcon.HTTPError) as caught:
        handshake_headers(req)
    assert caught.value.status_code == 426
    assert caught.value.headers == {"Upgrade": "websocket", "Connection": "upgrade"}


@pytest.mark.parametrize("upgrade", ["websocket", "h2c, websocket", "WebSocket,x/1"])
@pytest.mark.parametrize("connection", ["upgrade", "keep-alive,Upgrade", " Upgrade , close"])
def test_headers_that_are_lists_may_name_others_too(upgrade: str, connection: str) -> None:
    """RFC 9110, sections 7.6.1 and 7.8."""
    assert handshake_headers(request(Upgrade=upgrade, Connection=connection))


@pytest.mark.parametrize("version", [None, "8", "13, 8", "13,13", "x"])
def test_another_version_is_told_which_is_spoken(version: str | None) -> None:
    """426 with Sec-WebSocket-Version (RFC 6455, section 4.2.2)."""
    with pytest.raises(falcon.HTTPError) as caught:
        handshake_headers(request(Sec_WebSocket_Version=version))
    assert caught.value.status_code == 426
    assert caught.value.headers == {"Sec-WebSocket-Version": "13"}


@pytest.mark.parametrize(
    "key", [None, "", "short", "dGhl", KEY[:-1], KEY + "AAAA", "!" * 24, "ü" * 24, f"{KEY}, {KEY}"]
)
def test_a_key_must_be_16_bytes_in_base64(key: str | None) -> None:
    """400 otherwise."""
    with pytest.raises(falcon.HTTPBadRequest):
        handshake_headers(request(Sec_WebSocket_Key=key))


@pytest.mark.parametrize("header", [{"Content_Length": "5"}, {"Transfer_Encoding": "chunked"}])
def test_a_body_is_refused(header: dict[str, str]) -> None:
    """Its bytes would be taken for frames."""
    with pytest.raises(falcon.HTTPBadRequest):
        handshake_headers(request(**header))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, ()),
        (None, ("https://other.example",)),
        ("http://example.org", ()),
        ("https://example.org", ()),
        ("https://EXAMPLE.org", ()),
        ("https://example.org", ("https://other.example",)),
        ("https://other.example", ("https://one.example", "https://other.example")),
        ("https://anyone.example", ("*",)),
        ("null", ("*",)),
    ],
)
def test_allowed_origins_pass(origin: str | None, allowed: tuple[str, ...]) -> None:
    """No browser, the same host whatever else is listed, a listed origin, or any where all are allowed."""
    check_origin(request(Origin=origin), allowed)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        *((f"https://{other}", ()) for other in ("other.example", "example.org:8443", "example.org.evil.example")),
        *((f"https://{other}", ()) for other in ("evil.example/example.org", "example.org@evil.example")),
        *((other, ()) for other in ("null", "", "http://[::1", "http://[x]")),
        ("https://example.org, https://other.example", ("https://other.example",)),
        ("https://third.example", ("https://other.example",)),
        ("http://other.example", ("https://other.example",)),
    ],
)
def test_other_origins_are_refused(origin: str, allowed: tuple[str, ...]) -> None:
    """403 for a page of another host, scheme or port, for one without an origin, and for what is no origin at all."""
    with pytest.raises(falcon.HTTPForbidden):
        check_origin(request(Origin=origin), allowed)


def test_a_descriptor_handed_over_is_a_connection_that_is_over() -> None:
    """What gunicorn does to it no longer reaches the client, whose socket another process has by now."""
    ours, client = socket.socketpair()
    workers, hub_end = handoff.socket_pair()
    with ours, client, workers, hub_end:
        assert hand_over(workers, ours.fileno(), {})
        assert ours.recv(1) == b""
        with pytest.raises(BrokenPipeError):
            ours.sendall(b"x")
        ours.close()
        taken = handoff.receive(hub_end)
        assert taken
        with taken[0] as kept:
            kept.sendall(b"frame")
            assert client.recv(10) == b"frame"


def test_without_descriptors_nothing_is_handed_over() -> None:
    """The client is still the worker's to answer: it would get two answers otherwise."""
    ours, client = socket.socketpair()
    workers, hub_end = handoff.socket_pair()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ours, client, workers, hub_end:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            assert not hand_over(workers, ours.fileno(), {})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert handoff.receive(hub_end) is None
        ours.sendall(b"503")
        assert client.recv(10) == b"503"


class Parts:
    """A worker's parts, with a hub's age that the test sets; notes what is counted as refused."""

    def __init__(self) -> None:
        self.age: float | None = 0.1
        self.since = 0.0
        self.handoff, self.hub_end = handoff.socket_pair()
        self.settings = asking.settings()
        self.reader = SimpleNamespace(
            heartbeat_age=lambda: self.age, companions=lambda: SimpleNamespace(last_page=None)
        )
        self.refused: list[str] = []
        self.passed_on: list[bool] = []
        self.rows = SimpleNamespace(count=self._count)

    def _count(self, family: object, labels: tuple[str, ...]) -> None:
        assert family is HANDOFFS_REFUSED
        self.refused += labels


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts()
    with parts.handoff, parts.hub_end:
        yield parts


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The worker's end of a client's connection, and the client's."""
    ours, client = socket.socketpair()
    with ours, client:
        client.settimeout(10)
        yield ours, client


def ask(parts: Parts, ours: socket.socket, **changed: str | None) -> str:
    """What the endpoint does with a request that came on this socket -> the status that is left to gunicorn."""
    req, resp = request(**changed), falcon.Response()
    req.env["gunicorn.socket"] = ours
    req.env[EXCHANGE] = SimpleNamespace(pass_on=lambda: parts.passed_on.append(True))
    here: Any = SimpleNamespace(parts=parts)
    Upgrade(here).on_get(req, resp)
    return str(resp.status)


def test_the_socket_is_handed_over(parts: Parts, sockets: tuple[socket.socket, socket.socket]) -> None:
    """The hub gets the client's very connection and the handshake; the worker's descriptor is dead."""
    ours, client = sockets
    assert ask(parts, ours) == falcon.HTTP_101
    assert parts.passed_on == [True], "the hub counts the response"
    parts.hub_end.setblocking(False)
    received = handoff.receive(parts.hub_end)
    assert received is not None
    with received[0] as adopted:
        assert received[1]["sec-websocket-key"] == KEY
        adopted.sendall(b"hello")
        assert client.recv(10) == b"hello"
        assert ours.recv(1) == b""
    assert parts.refused == []


@pytest.mark.parametrize("age", [None, 60.0])
def test_without_a_hub_the_client_is_told_to_come_back(
    parts: Parts, age: float | None, sockets: tuple[socket.socket, socket.socket]
) -> None:
    """503 with Retry-After, counted; the connection stays the worker's, which answers on it."""
    ours, client = sockets
    parts.age = age
    with pytest.raises(falcon.HTTPServiceUnavailable) as caught:
        ask(parts, ours)
    assert dict(caught.value.headers or {})["Retry-After"] == "2"
    assert parts.refused == ["503"]
    ours.sendall(b"503")
    assert client.recv(10) == b"503"


def test_a_channel_that_is_full_refuses(parts: Parts, sockets: tuple[socket.socket, socket.socket]) -> None:
    """Hand-offs that wait are bounded: a hub that takes none makes 503, not a worker that waits."""
    ours, _ = sockets
    outcomes = [is_passed_on(parts, ours)]
    while outcomes[-1] and len(outcomes) < 100_000:
        outcomes.append(is_passed_on(parts, ours))
    assert len(outcomes) > 10
    assert not outcomes[-1]
    assert parts.refused == ["503"]
    assert len(parts.passed_on) == len(outcomes) - 1


def is_passed_on(parts: Parts, ours: socket.socket) -> bool:
    with socket.socket(fileno=os.dup(ours.fileno())) as spare:
        try:
            return ask(parts, spare) == falcon.HTTP_101
        except falcon.HTTPServiceUnavailable:
            return False


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"Upgrade": None}, "426"), ({"Sec_WebSocket_Key": "x"}, "400"), ({"Origin": "https://evil.example"}, "403")],
)
def test_refusals_are_counted_by_status(
    parts: Parts, changed: dict[str, str | None], reason: str, sockets: tuple[socket.socket, socket.socket]
) -> None:
    """Whatever was wrong with the request."""
    with pytest.raises(falcon.HTTPError):
        ask(parts, sockets[0], **changed)
    assert parts.refused == [reason]


@pytest.mark.parametrize("early", [b"", b"\x89\x80abcd", bytes(range(256)) * 28])
@pytest.mark.parametrize("pieces", [1, 3])
def test_what_came_with_the_request_is_found(early: bytes, pieces: int) -> None:
    """Where gunicorn's own parser leaves it, in the environ that gunicorn makes; it stays there."""
    head = "GET /ws HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in PROPER.items()) + "\r\n"
    data, config = head.encode() + early, Config()
    ours, client = socket.socketpair()
    with ours, client:
        for number in range(pieces):
            client.sendall(data[number * len(data) // pieces : (number + 1) * len(data) // pieces])
        _, environ = create(next(get_parser(config, ours, "")), ours, "", "server", config)
        rest = early[len(early_bytes(environ)) :]
        assert early_bytes(environ) + (ours.recv(len(early)) if rest else b"") == early
        assert early_bytes(environ) == early[: len(early) - len(rest)]


def test_more_than_gunicorn_reads_at_once_is_refused() -> None:
    """400: what is passed on is bounded."""
    unreader = SimpleNamespace(buf=SimpleNamespace(getvalue=lambda: b"x" * (handoff.EARLY_BYTES + 1)))
    with pytest.raises(falcon.HTTPBadRequest):
        early_bytes({"wsgi.input": SimpleNamespace(reader=SimpleNamespace(unreader=unreader))})
    assert early_bytes({"wsgi.input": SimpleNamespace()}) == b""


def test_a_tls_connection_is_not_handed_over(parts: Parts) -> None:
    """501: the hub would write its frames into it in the clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours, client = socket.socketpair()
    with client, context.wrap_socket(ours, do_handshake_on_connect=False, server_hostname="x") as encrypted:
        check_connection(client)
        with pytest.raises(falcon.HTTPNotImplemented):
            ask(parts, encrypted)
        assert parts.refused == ["501"]
        assert handoff.receive(parts.hub_end) is None
