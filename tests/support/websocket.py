"""Shared by tests of the daemon's WebSocket: a client that nothing may delay, counts, ends, handshakes."""

import itertools
import socket
import threading
import time

from tests.support.http import Address, Response
from tests.support.server import Server
from tests.support.waiting import PATIENCE
from tests.support.ws import CLOSE, PING, PONG, PROPER, TEXT, RawWebSocket

INTERVAL = 0.2  # s


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


def ended(server: Server, reason: str) -> int:
    """Clients that ended for this reason so far."""
    return server.sample("hvd_websocket_disconnections_total", reason=reason)


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
