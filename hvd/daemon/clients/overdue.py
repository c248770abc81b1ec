"""Connections that take too long: which end, which give way to others, and how many there are. In the loop's thread."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, islice

from hvd.daemon.clients.client_socket import ClientSocket
from hvd.daemon.clients.connection import CLOSING, GONE, Connection
from hvd.daemon.clients.connections import Connections
from hvd.daemon.clients.pace import LEAST_AGE, Limits
from hvd.daemon.clients.tls_socket import LimitedTLSSocket
from hvd.metrics.clients import HALF_BODY, HALF_HEAD, IDLE, SILENT, UNREAD, WAITING

SWEEP = 0.25  # s between two looks
CLOSING_SECONDS = 2.0  # as in gunicorn's util.close_graceful (27.0.1), which would stop the loop meanwhile
MEMORY_FULL = 128 * 1024 * 1024  # bytes that may be kept of responses and of incomplete requests, in a process
CROWD = 4  # requests waiting per thread, above which a slow client loses its thread sooner
WAY = 5.0  # s that a slow client keeps its thread, where the whole process has to end before another one serves
SHARE_OF_PLACES = 4  # at most so large a part of all places is cleared at one look
CANDIDATES = 16  # the oldest, among whom a place is looked for at once: one may be brisk, though it came first


class Overdue:
    """Looks after the connections; `late` answers a request that did not come in time."""

    def __init__(self, connections: Connections, limits: Limits, late: Callable[[Connection], None]) -> None:
        self.limits = limits
        self._connections, self._late = connections, late
        self._next = 0.0
        self.makes_way = False
        """The process ends, and another one is started only then."""

    def sweep(self, places: int, used: int, threads: int) -> list[int] | None:
        """End what has waited too long -> how many wait for what, and for a thread (hvd/metrics/clients.py); None when
        there was a look within SWEEP.

        Where all `places` are `used`, or requests wait for one of the `threads`, some give way to others.
        """
        now = time.monotonic()
        if now < self._next:
            return None
        self._next = now + SWEEP
        connections = self._connections
        for conn in [conn for conn in connections.waiting if self._seconds_left(conn, now) <= 0]:
            connections.step(self._end, conn)
        for conn in [*self._expired(now)]:
            connections.drop(conn)
        if used >= places:
            self._clear(1 + places // SHARE_OF_PLACES, now)
        partial = len(connections.queue)
        queued = max(0, len(connections.busy) - partial - threads)
        if backlog := max(queued, partial):
            self._free_threads(backlog, now, LEAST_AGE if backlog < CROWD * threads else SWEEP)
        if self.makes_way:
            self._make_way(now)
        self._bound_memory(now)
        return [*self.count(), queued]

    def count(self) -> list[int]:
        """How many connections wait for what, in the order of WAITING; threads that wait count as well."""
        counts = [0] * (GONE + 1)
        for conn in self._connections.waiting:
            counts[conn.state] += 1
        for conn in self._connections.busy:
            if conn.handshake_since is not None:
                counts[HALF_HEAD] += 1
            elif (state := getattr(conn.sock, "waits_for", None)) is not None:
                counts[state] += 1
        counts[HALF_BODY] += len(self._connections.queue)
        counts[IDLE] = len(self._connections.idle)
        return counts[: len(WAITING)]

    def hurry(self, seconds: float) -> None:
        """As the process ends: a client that has not sent a whole head has no more than `seconds` left for it."""
        now = time.monotonic()
        for conn in self._connections.waiting:
            if conn.state in (SILENT, HALF_HEAD):
                conn.pace.begun = min(conn.pace.begun, now + seconds - self.limits.head_seconds)

    def _make_way(self, now: float) -> None:
        connections = self._connections
        slow = (conn for conn in connections.waiting if conn.state != CLOSING and conn.pace.gives_way(now, WAY))
        for conn in [*slow]:
            connections.step(self._end, conn)
        for conn in [conn for conn in connections.queue if conn.pace.gives_way(now, WAY)]:
            connections.drop(conn)
        self._free_threads(len(connections.busy), now, WAY)

    def close_idle(self) -> None:
        """Close all that are kept alive."""
        for conn in [*self._connections.idle]:
            self._connections.drop(conn)

    def _seconds_left(self, conn: Connection, now: float) -> float:
        if conn.state == CLOSING:
            return conn.pace.begun + CLOSING_SECONDS - now
        if conn.state == HALF_BODY:
            return conn.pace.seconds_left(now, self.limits.body_seconds)
        if conn.state == UNREAD:
            return conn.pace.seconds_left(now, self.limits.send_seconds)
        return conn.pace.begun + self.limits.head_seconds - now

    def _end(self, conn: Connection) -> None:
        if conn.state in (HALF_HEAD, HALF_BODY):
            del self._connections.waiting[conn]
            self._late(conn)
        else:
            self._connections.drop(conn, reset=conn.state == UNREAD)

    def _expired(self, now: float) -> Iterator[Connection]:
        for conn in self._connections.idle:
            if conn.timeout > now:
                break
            yield conn

    def _clear(self, number: int, now: float) -> None:
        """Places for others: of those that are idle, then of those that are slow, the oldest first."""
        self._drop_slow(self._slow(), number, now, LEAST_AGE)

    def _drop_slow(self, candidates: Iterator[Connection], number: int, now: float, age: float) -> None:
        slow = (conn for conn in candidates if conn.state == IDLE or conn.pace.gives_way(now, age))
        for conn in [*islice(slow, number)]:
            self._connections.drop(conn, reset=conn.state == UNREAD)

    def make_room(self, age: float) -> None:
        """As all places are taken, close a connection that is idle, or slow for longer than `age`, without delay.

        Else a flood that fills the places again within SWEEP would keep everybody else waiting that long each time.
        """
        self._drop_slow(islice(self._slow(), CANDIDATES), 1, time.monotonic(), age)

    def _slow(self) -> Iterator[Connection]:
        """Those that may have to give way, in this order."""
        connections = self._connections
        return chain(connections.idle, connections.waiting, connections.queue)

    def _free_threads(self, number: int, now: float, age: float) -> None:
        """Have at most `number` threads leave a client that has been slow for longer than `age`."""
        slow = (conn for conn in self._connections.busy if _holds_a_thread(conn, now, age))
        for conn in [*islice(slow, number)]:
            if isinstance(conn.sock, ClientSocket):
                conn.sock.give_way()
            else:
                with suppress(OSError):
                    socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)  # SSLSocket's would pull TLS from under it

    def _bound_memory(self, now: float) -> None:
        """Free memory of unsent responses and incomplete requests, down to half: stalled clients lose theirs first."""
        sizes = {conn: size for conn in self._connections.waiting if (size := _size(conn.sock))}
        left = sum(sizes.values())
        if left > MEMORY_FULL:
            for conn in [conn for conn in sizes if now - conn.pace.moved_at >= SWEEP]:
                left -= sizes[conn]
                self._connections.drop(conn, reset=True)
                if left <= MEMORY_FULL / 2:
                    break
        self._connections.room.is_full = left > MEMORY_FULL


def _holds_a_thread(conn: Connection, now: float, age: float) -> bool:
    """Whether a slow client holds a thread, for longer than `age`."""
    if isinstance(conn.sock, ClientSocket | LimitedTLSSocket):
        return conn.sock.gives_way(now, age)
    since = conn.handshake_since  # its thread may end it meanwhile
    return since is not None and now - since > age


def _size(sock: socket.socket) -> int:
    return sock.tail_bytes + len(sock.received) if isinstance(sock, ClientSocket) else 0
