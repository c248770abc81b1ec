"""A daemon's messages over its WebSocket, and clear errors."""

import contextlib
import queue
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Pong, TextMessage

from hvd.cli.client import Address
from hvd.cli.websocket import messages
from hvd.errors import DaemonUnreachable
from tests.support.server import Server
from tests.support.waiting import until
from tests.unit.cli.daemon import running


def test_the_client_says_that_the_daemon_stopped(tmp_path: Path) -> None:
    """The end of the connection is not a traceback."""
    with Server(tmp_path, workers=1, interval=0.1) as server:
        stream = messages(Address.parse(server.url), 5)
        next(stream)
        assert server.stop() == 0
        with pytest.raises(DaemonUnreachable, match="closed the connection"):
            list(stream)


@contextlib.contextmanager
def serving(upgrade: Callable[[socket.socket, bytes], None]) -> Iterator[Address]:
    """A server that is healthy, and handles an upgrade so, given the connection and the request, each in a thread."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = self.request.recv(65_536)
            if request.startswith(b"GET /health "):
                self.request.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"status": "healthy"}')
            else:
                upgrade(self.request, request)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    with running(server):
        yield Address.parse(f"http://127.0.0.1:{server.socket.getsockname()[1]}")


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[tuple[Address, list[bool]]]:
    """A server that gives this reply to an upgrade; notes whose connection the client has ended."""
    ended: list[bool] = []

    def upgrade(connection: socket.socket, _: bytes) -> None:
        connection.sendall(reply)
        if reply:
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        ended.append(connection.recv(1) == b"")

    with serving(upgrade) as address:
        yield address, ended


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", id="refused"),
        pytest.param(b"SSH-2.0-x\r\n\r\n", id="not HTTP"),
        pytest.param(b"HTTP/1.1 101 Swi", id="breaks off"),
        pytest.param(b"", id="silent"),
    ],
)
def test_the_client_lets_go_of_a_connection_that_is_no_websocket(reply: bytes) -> None:
    """Within the time that it was given, with a clear error, and with its descriptor closed."""
    with answering(reply) as (address, ended):
        with pytest.raises(DaemonUnreachable, match="/ws refused the connection"):
            next(messages(address, 1))
        until(lambda: ended == [True], "the connection is closed")


HELLO = "hé" * 100


@contextlib.contextmanager
def speaking(*events: Event) -> Iterator[tuple[Address, "queue.SimpleQueue[bytes]"]]:
    """A server that says these in the same bytes as its handshake's answer; gives the pongs' payloads."""
    pongs: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def upgrade(connection: socket.socket, request: bytes) -> None:
        protocol = WSConnection(ConnectionType.SERVER)
        protocol.receive_data(request)
        connection.sendall(b"".join(map(protocol.send, (AcceptConnection(), *events))))
        while data := connection.recv(65_536):
            protocol.receive_data(data)
            for event in protocol.events():
                if isinstance(event, Pong):
                    pongs.put(bytes(event.payload))

    with serving(upgrade) as address:
        yield address, pongs


def test_the_client_answers_pings_while_nobody_takes_messages() -> None:
    """A reader that pauses, as `less`, keeps its connection."""
    hello = TextMessage(HELLO)
    with speaking(hello, hello, Ping(b"1"), hello, Ping(b"2")) as (address, pongs):
        stream = messages(address, 5)
        assert next(stream) == HELLO
        assert [pongs.get(timeout=10), pongs.get(timeout=10)] == [b"1", b"2"]
        assert list(islice(stream, 2)) == [HELLO, HELLO]
        stream.close()


def test_the_client_puts_fragments_together() -> None:
    """RFC 6455 §5.4; and a ping may come between them."""
    parts = TextMessage(HELLO, message_finished=False), Ping(), TextMessage(HELLO)
    with speaking(*parts, CloseConnection(1001)) as (address, _):
        stream = messages(address, 5)
        assert next(stream) == 2 * HELLO
        with pytest.raises(DaemonUnreachable, match="closed the connection"):
            next(stream)


def test_the_client_ends_what_is_silent_or_told_to_end() -> None:
    """After the time that was given, or at once from another thread."""
    with speaking() as (address, _):
        with pytest.raises(DaemonUnreachable, match=r"has sent nothing for 0\.1 s"):
            next(messages(address, 5, silence=0.1))
        stream = messages(address, 5, opened=lambda end: threading.Timer(0.1, end).start())
        with pytest.raises(DaemonUnreachable, match="closed the connection"):
            next(stream)
