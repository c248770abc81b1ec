"""Shared by tests of the daemon's WebSocket: a daemon for clients of all kinds, one of them that nothing may delay."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.http import Address, Response
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until
from tests.support.ws import CLOSE, PING, PONG, TEXT, RawWebSocket

INTERVAL = 0.2  # s

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PROPER = {
    "Host": "test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


class Witness:
    """A well-behaved client on a thread: answers pings, and notes when messages come and how it ends."""

    def __init__(self, address: Address) -> None:
        self.client = RawWebSocket(address)
        if self.client.status != 101:
            self.client.close()
            raise AssertionError(self.client.head)
        self.times = [time.monotonic()]
        self.end: bytes | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                opcode, payload = self.client.frame()
                if opcode == TEXT:
                    self.times.append(time.monotonic())
                elif opcode == PING:
                    self.client.send(PONG, payload)
                elif opcode == CLOSE:
                    self.end = payload
        except OSError:
            return

    @property
    def worst_gap(self) -> float:
        """Seconds between two messages, or since the last one."""
        times = [*self.times, time.monotonic()]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def __enter__(self) -> "Witness":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.client.close()


def clients(server: Server) -> int:
    """How many there are, as the aggregator published last."""
    return int(server.snapshot()["websocket_clients"])


def total(server: Server, name: str, **labels: str) -> int:
    """A counter's sample."""
    return int(server.metrics().get((name, frozenset(labels.items())), 0))


def ended(server: Server, reason: str) -> int:
    """Clients that ended for this reason so far."""
    return total(server, "hvd_websocket_disconnections_total", reason=reason)


@contextmanager
def daemon_for_all_kinds(folder: Path) -> Iterator[Server]:
    """Pings every half second, answered within another, on a slow machine a longer one; at most 12 clients."""
    with Server(
        folder,
        workers=2,
        threads=2,
        interval=INTERVAL,
        max_clients=12,
        ping_interval=0.5,
        ping_timeout=0.5 * PATIENCE,
    ) as server:
        yield server
    assert [line for line in server.alarms if "Invalid" not in line] == []


@contextmanager
def witnessing(server: Server) -> Iterator[Witness]:
    """The other client, which nothing may delay; afterwards nobody is left."""
    until(lambda: clients(server) == 0, "no client is there before the test")
    with Witness(server.address) as witness:
        yield witness
        until(lambda: clients(server) == 1, "only the witness is there")
        assert witness.worst_gap < INTERVAL + 1 * PATIENCE
        assert witness.end is None
    until(lambda: clients(server) == 0, "no client is left")
    assert total(server, "hvd_http_requests_total", method="GET", route="/ws", status="101") == total(
        server, "hvd_websocket_connections_total"
    )


def close_code(client: RawWebSocket) -> int | None:
    """The code of the close frame, once the server has also ended the connection; None if it ended without one."""
    code, deadline = None, time.monotonic() + 10 * PATIENCE
    try:
        while time.monotonic() < deadline:
            opcode, payload = client.frame()
            if opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big")
    except ConnectionError:
        return code
    raise AssertionError("the server did not end the connection")


def handshake(
    server: Server, method: str = "GET", body: bytes = b"", version: str = "1.1", **changes: str | None
) -> Response:
    """The answer to a proper handshake with these headers changed, or left out where None."""
    headers = {**PROPER, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    with server.connection() as connection:
        return connection.exchange("\r\n".join([f"{method} /ws HTTP/{version}", *lines, "", ""]).encode() + body)
