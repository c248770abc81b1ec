"""Connections in a loop without a worker, for tests: what the worker would do is noted."""

import socket
import time
from types import SimpleNamespace
from typing import Any

from gunicorn.config import Config

from hvd.daemon.clients.client_socket import ClientSocket
from hvd.daemon.clients.connection import Connection
from hvd.daemon.clients.connections import Connections
from hvd.daemon.clients.overdue import Overdue
from hvd.daemon.clients.pace import Limits
from hvd.metrics.clients import WAITING

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
HALF = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n1"
PARSER: Any = SimpleNamespace(unreader=SimpleNamespace(buf=SimpleNamespace(getvalue=lambda: b"")))


class Loop:
    """The connections, and what became of them."""

    def __init__(self, limits: Limits) -> None:
        self.served: list[Connection] = []
        self.finished: list[Connection] = []
        self.late: list[Connection] = []
        self.gone = 0
        self.connections = Connections(self, threads=3)
        self.overdue = Overdue(self.connections, limits, self._late)
        self.limits = limits
        self.enqueue_req, self.finish_response = self.served.append, self.finished.append
        self._clients: list[socket.socket] = []
        self._conns: list[Connection] = []

    def _late(self, conn: Connection) -> None:
        self.late.append(conn)
        self.connections.end(conn)

    def note_gone(self) -> None:
        self.gone += 1

    def client(self, data: bytes = b"") -> tuple[socket.socket, Connection]:
        ours, theirs = socket.socketpair()
        theirs.sendall(data)
        theirs.settimeout(10)
        sock = ClientSocket.of(ours, self.limits, self.connections.room)
        conn = Connection(Config(), sock, "", "", self.limits)
        self._clients.append(theirs)
        self._conns.append(conn)
        self.connections.take(conn)
        return theirs, conn

    def turn(self, places: int = 100, used: int = 0, threads: int = 100) -> list[int]:
        self.connections.wait(0)
        self.overdue._next = 0
        return self.overdue.sweep(places, used, threads) or []

    def close(self) -> None:
        self.connections.close()
        for client in self._clients:
            client.close()
        for conn in self._conns:
            conn.sock.close()


def counts(**numbers: int) -> list[int]:
    return [numbers.get(name, 0) for name in (*WAITING, "queued")]


def kept_alive(loop: Loop) -> tuple[socket.socket, Connection]:
    """A connection after its first request."""
    client, conn = loop.client(GET)
    conn.sock.recv(8192)
    conn.parser = PARSER
    loop.connections.end_service(conn)
    assert loop.finished == [conn]
    loop.connections.keep_alive(conn, time.monotonic() + 60)
    loop.served.clear()
    return client, conn


def with_tail(loop: Loop) -> tuple[socket.socket, Connection, bytes]:
    """A connection whose response is not read."""
    client, conn = loop.client(GET)
    body = bytes(3 * 1024 * 1024)
    conn.sock.sendall(body)
    loop.connections.end_service(conn)
    return client, conn, body
