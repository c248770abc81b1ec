"""A connection of a threaded worker: gunicorn's, with what it waits for."""

import errno
import socket
import time
from collections.abc import Iterator
from typing import Any

from gunicorn.workers.gthread import TConn

from hvd.daemon.clients.arrival import Arrival
from hvd.daemon.clients.client_socket import ClientSocket
from hvd.daemon.clients.pace import Limits, Pace
from hvd.daemon.clients.tls_socket import LimitedTLSSocket
from hvd.metrics.clients import WAITING

BUSY, CLOSING, GONE = range(len(WAITING), len(WAITING) + 3)
"""States beside those of hvd/metrics/clients.py: a thread has the connection, or it waits for one; all is sent, and the
client may close; closed."""


class Connection(TConn):  # type: ignore[misc]
    """gunicorn's (27.0.1, workers/gthread.py). `is_plain`: the loop can read its bytes, and tell a request."""

    def __init__(
        self, cfg: Any, sock: socket.socket, client: Any, server: Any, limits: Limits, is_http: bool = True
    ) -> None:
        super().__init__(cfg, sock, client, server)
        self.data_ready = True  # else a thread would wait 5 s for the first byte
        self.fd = sock.fileno()
        self.is_tls = not isinstance(sock, ClientSocket)
        self.is_plain = is_http and not self.is_tls
        self.state = BUSY
        self.pace = Pace(0)
        self.arrival: Arrival | None = None
        self.buffered = b""
        """What the parser has read of the next request."""
        self.is_watched = self.has_edge = False
        self.has_ended = False  # the client sends no more than the kernel has of it
        self.handshake_since: float | None = None
        self.drained = 0
        self.future: Any = None
        self._limits = limits

    def init(self) -> None:
        """In a thread, before each request."""
        if self.is_tls:
            self._init_tls()
        elif not self.initialized:
            super().init()
            self.sock.is_endless = self.is_http2  # which has timeouts of its own, and waits for several things at once

    def _init_tls(self) -> None:
        """A client that takes too long counts as gone: gunicorn logs nothing of that."""
        if not self.initialized:
            self.handshake_since = time.monotonic()
            try:
                super().init()
            except TimeoutError as error:
                raise ConnectionResetError(errno.ECONNRESET, "the TLS handshake takes too long") from error
            finally:
                self.handshake_since = None
            LimitedTLSSocket.make_of(self.sock, self._limits)
            self.sock.setblocking(True)  # the handshake had a timeout: from here on the limits are the socket's own
        self.sock.begin_request()

    def note_buffered(self) -> bytes:
        """Between two requests: `buffered` anew."""
        self.buffered = self.parser.unreader.buf.getvalue() if self.parser else b""
        return self.buffered


class Idle:
    """Connections that are kept alive, the longest first: what gunicorn's worker needs of its deque."""

    def __init__(self) -> None:
        self._connections: dict[Connection, None] = {}
        self.add = self._connections.setdefault
        self.pop = self._connections.pop

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._connections)

    def __getitem__(self, index: int) -> Connection:
        """The first; gunicorn asks for no other."""
        return next(iter(self._connections))
