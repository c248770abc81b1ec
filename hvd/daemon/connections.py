"""The connections of a threaded worker that no thread serves: they wait for their client, in the worker's main loop.

A connection is in one state at a time: BUSY (a thread has it, or it waits for one), CLOSING (all is sent, and the
client has 2 s to close), or one of those of hvd/metrics/clients.py. All methods belong to the loop's thread.

Descriptors are watched edge-triggered: a level-triggered half request would wake the loop without end. So whatever is
readable is read until the kernel has no more, and an edge that comes while a thread has the connection is noted.
"""

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn

from hvd.daemon.arrival import ENOUGH, THERE, Arrival, is_simply_there
from hvd.daemon.client_socket import DONTWAIT, ClientSocket, Room
from hvd.daemon.pace import LEAST_AGE, Limits, Pace
from hvd.metrics.clients import HALF_BODY, HALF_HEAD, IDLE, SILENT, UNREAD, WAITING

BUSY, CLOSING, GONE = range(len(WAITING), len(WAITING) + 3)

SWEEP = 0.25  # s between two looks for what has waited too long
CLOSING_SECONDS = 2.0  # as gunicorn's util.close_graceful (27.0.1), which would stop the loop meanwhile
CLOSING_BYTES = 64 * 1024  # that are read and thrown away meanwhile, so that no reset destroys the response
MEMORY_FULL = 64 * 1024 * 1024  # bytes of all tails and all incomplete requests of a process
SHARE_OF_PLACES = 4  # at most so large a part of all places is cleared at one look

_READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST
_recv_into, _shutdown = socket.socket.recv_into, socket.socket.shutdown


class Connection(TConn):  # type: ignore[misc]
    """gunicorn's connection (27.0.1, workers/gthread.py), and what it waits for."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, limits: Limits) -> None:
        super().__init__(cfg, sock, client, server)
        self._limits = limits
        self.data_ready = True  # else a thread would wait 5 s for the first byte
        self.fd = sock.fileno()
        self.state = BUSY
        self.pace = Pace(time.monotonic())
        self.arrival: Arrival | None = None
        self.is_watched = self.has_edge = False
        self.handshake_since: float | None = None
        self.drained = 0
        self.future: Any = None

    def init(self) -> None:
        """In a thread. A TLS client that is too slow counts as gone, of which gunicorn logs nothing."""
        if not self.cfg.is_ssl:
            super().init()
            self.sock.is_endless = self.is_http2  # which has timeouts of its own, and waits for several things at once
            return
        if not self.initialized:
            self.handshake_since = time.monotonic()
        try:
            super().init()
        except TimeoutError as error:
            raise ConnectionResetError(104, "the TLS handshake takes too long") from error
        finally:
            self.handshake_since = None
        self.sock.settimeout(self._limits.body_seconds)

    @property
    def buffered(self) -> bytes:
        """What gunicorn's parser has read of the next request."""
        data: bytes = self.parser.unreader.buf.getvalue() if self.parser else b""
        return data


class TimedSocket(socket.socket):
    """A socket to put TLS on: blocking means for `seconds` at most."""

    seconds = Limits.head_seconds

    def setblocking(self, flag: bool) -> None:
        self.settimeout(self.seconds if flag else 0)


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
        return next(iter(self._connections))


class Connections:
    """See above. `serve` has a thread serve a connection, `finish` is called with one whose response is sent, `late`
    answers a request that did not come in time, `gone` is told of each that is closed.
    """

    def __init__(
        self,
        limits: Limits,
        serve: Callable[[Connection], None],
        finish: Callable[[Connection], None],
        late: Callable[[Connection], None],
        gone: Callable[[], None],
        is_http: bool,
    ) -> None:
        self.limits = limits
        self.room = Room()
        self.idle = Idle()
        self._serve, self._finish, self._late, self._gone = serve, finish, late, gone
        self._is_http = is_http
        self._epoll = select.epoll()
        self._by_fd: dict[int, Connection] = {}
        self._waiting: dict[Connection, None] = {}  # in any state but BUSY and IDLE; the longest first, but for bodies
        self._busy: dict[Connection, None] = {}
        self._buffer = memoryview(bytearray(2 * ENOUGH))  # so all of it means: a request is there
        self._steps = {UNREAD: self._flush, CLOSING: self._drain}
        self._next_sweep = 0.0
        self.fileno = self._epoll.fileno

    def close(self) -> None:
        """Nothing is watched any more."""
        self._epoll.close()

    # From state to state.

    def take(self, conn: Connection) -> None:
        """A new connection."""
        self._by_fd[conn.fd] = conn
        if isinstance(conn.sock, ClientSocket):
            conn.sock.leave_loop = lambda: self._unwatch(conn)
        self._safely(self._look, conn)

    def served(self, conn: Connection) -> None:
        """A thread is done with it, and the response may have a tail."""
        self._busy.pop(conn, None)
        if isinstance(conn.sock, ClientSocket) and conn.sock.tail and conn.sock.fileno() >= 0:
            conn.state = UNREAD
            conn.pace = Pace(time.monotonic())
            self._waiting[conn] = None
            self._safely(partial(self._watch, more=select.EPOLLOUT), conn)
            self._safely(self._flush, conn)
        else:
            self._safely(self._finish, conn)

    def keep_alive(self, conn: Connection, timeout: float) -> None:
        """All is sent: wait until monotonic `timeout` for the next request, which may be there already."""
        conn.timeout = timeout
        conn.arrival = None
        sock = conn.sock
        if not isinstance(sock, ClientSocket):
            if sock.pending():
                self._pass_on(conn)
                return
            self._rest(conn)
        elif sock.received or conn.has_edge or not sock.is_drained or conn.buffered:
            self._look(conn)
        else:
            self._rest(conn)

    def end(self, conn: Connection) -> None:
        """All is sent: close once the client has read it. Raises OSError."""
        conn.state, conn.pace = CLOSING, Pace(time.monotonic())
        self._waiting[conn] = None
        if isinstance(conn.sock, ssl.SSLSocket):
            conn.sock.settimeout(0)
        _shutdown(conn.sock, socket.SHUT_WR)
        self._drain(conn)
        if conn.state == CLOSING:
            self._watch(conn)

    def drop(self, conn: Connection, reset: bool = False) -> None:
        """Close it now."""
        if self._by_fd.get(conn.fd) is conn:
            del self._by_fd[conn.fd]
        self._waiting.pop(conn, None)
        self._busy.pop(conn, None)
        self.idle.pop(conn, None)
        if conn.sock.fileno() >= 0:
            self._unwatch(conn)
            if reset:
                with suppress(OSError):
                    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        conn.state = GONE
        conn.close()
        self._gone()

    def _pass_on(self, conn: Connection) -> None:
        """The request is there."""
        self._waiting.pop(conn, None)
        self.idle.pop(conn, None)
        conn.state, conn.has_edge, conn.arrival = BUSY, False, None
        if isinstance(conn.sock, ClientSocket):
            conn.sock.begin_request()
        self._busy[conn] = None
        self._serve(conn)

    def _rest(self, conn: Connection) -> None:
        conn.state = IDLE
        self.idle.add(conn, None)
        self._watch(conn)
        if not isinstance(conn.sock, ClientSocket):  # whose edges the TLS layer may have missed: is it readable now?
            self._watch(conn)

    def _wait(self, conn: Connection, state: int, came: int) -> None:
        """For more of its request, of whose body `came` bytes are there."""
        now = time.monotonic()
        if conn.state in (BUSY, IDLE):
            self.idle.pop(conn, None)
            conn.pace = Pace(now)
            self._waiting[conn] = None
        elif state == HALF_BODY and conn.state != HALF_BODY:
            conn.pace = Pace(now)
        if state == HALF_BODY:
            conn.pace.advance(now, came)
        conn.state = state
        if not conn.is_watched:
            self._watch(conn)

    def _watch(self, conn: Connection, more: int = 0) -> None:
        """Be told when it is readable, and what `more` says. It is said at once if it is by now."""
        if conn.is_watched:
            self._epoll.modify(conn.fd, _READ | more)
        else:
            self._epoll.register(conn.fd, _READ | more)
            conn.is_watched = True

    def _unwatch(self, conn: Connection) -> None:
        """Before the socket is closed, or given away: elsewhere it may live on, and would go on to wake this loop."""
        if conn.is_watched:
            conn.is_watched = False
            with suppress(OSError, ValueError):
                self._epoll.unregister(conn.fd)

    # What happens.

    def on_ready(self, _: object = None) -> None:
        """Some descriptors are ready."""
        for fd, _events in self._epoll.poll(0):
            conn = self._by_fd.get(fd)
            if conn is None:
                continue
            if conn.state == BUSY:
                conn.has_edge = True
            else:
                self._safely(self._steps.get(conn.state, self._look), conn)

    def _safely(self, step: Callable[[Connection], None], conn: Connection) -> None:
        """A connection that fails ends alone: an exception here would end the worker."""
        try:
            step(conn)
        except OSError:
            if conn.state != GONE:
                self.drop(conn)

    def _look(self, conn: Connection) -> None:
        """Read what has come, and serve it, wait for more, or close."""
        sock = conn.sock
        if not self._is_http or not isinstance(sock, ClientSocket):
            self._look_for_a_byte(conn)
            return
        is_open = self._read(conn)
        before = conn.buffered
        data = before + sock.received if before else sock.received
        if conn.arrival is None:
            if is_simply_there(data):
                self._pass_on(conn)
                return
            conn.arrival = Arrival()
        stage = conn.arrival.stage(data)
        if stage == THERE:
            self._pass_on(conn)
        elif not is_open:  # nobody is there to be answered
            self.drop(conn)
        elif stage == SILENT and conn.parser:
            if conn.state != IDLE:
                self._rest(conn)
        else:
            self._wait(conn, stage, len(data) - conn.arrival.head)

    def _read(self, conn: Connection) -> bool:
        """Take what has come; False where the client will send no more. Raises OSError."""
        sock = conn.sock
        conn.has_edge, sock.is_drained = False, True
        try:
            count = _recv_into(sock, self._buffer, 0, DONTWAIT)
        except BlockingIOError:
            return True
        came = bytes(self._buffer[:count])
        sock.received = sock.received + came if sock.received else came
        sock.is_drained = count < len(self._buffer)
        return count > 0

    def _look_for_a_byte(self, conn: Connection) -> None:
        """Where bytes can't be told from a request (TLS, uWSGI): one is enough."""
        poll = select.poll()
        poll.register(conn.fd, select.POLLIN)
        if conn.buffered or poll.poll(0):
            self._pass_on(conn)
        elif conn.state != IDLE:
            self._wait(conn, SILENT, 0)

    def _flush(self, conn: Connection) -> None:
        sock = conn.sock
        before = sock.tail_bytes
        is_sent = sock.flush()
        conn.pace.advance(time.monotonic(), conn.pace.moved + before - sock.tail_bytes)
        if is_sent:
            self._waiting.pop(conn, None)
            conn.state, conn.has_edge = BUSY, True  # an edge may have come and gone
            self._watch(conn)
            self._finish(conn)

    def _drain(self, conn: Connection) -> None:
        """Throw away what a client still sends, for a while. Raises OSError."""
        with suppress(BlockingIOError):
            while conn.drained <= CLOSING_BYTES and (count := _recv_into(conn.sock, self._buffer, 0, DONTWAIT)):
                conn.drained += count
            self.drop(conn)

    # What takes too long.

    def sweep(self, places: int, used: int, threads: int) -> list[int] | None:
        """End what has waited too long -> how many wait for what, and for a thread (hvd/metrics/clients.py); None when
        there was a look within SWEEP.

        Where all `places` are `used`, or requests wait for one of the `threads`, some give way to others.
        """
        now = time.monotonic()
        if now < self._next_sweep:
            return None
        self._next_sweep = now + SWEEP
        for conn in [conn for conn in self._waiting if self._left(conn, now) <= 0]:
            self._safely(self._time_out, conn)
        for conn in [*self._expired(now)]:
            self.drop(conn)
        if used >= places:
            self._clear(1 + places // SHARE_OF_PLACES, now)
        queued = max(0, len(self._busy) - threads)
        if queued:
            self._free_threads(queued, now)
        self._bound_memory(now)
        return [*self.count(), queued]

    def count(self) -> list[int]:
        """How many connections wait for what, in the order of WAITING."""
        counts = [0] * (len(WAITING) + 2)
        for conn in self._waiting:
            counts[conn.state] += 1
        for conn in self._busy:
            state = getattr(conn.sock, "waits_for", None)
            if state is None and conn.handshake_since is not None:
                state = HALF_HEAD
            if state is not None:
                counts[state] += 1
        counts[IDLE] = len(self.idle)
        return counts[: len(WAITING)]

    def close_idle(self) -> None:
        """All that are kept alive."""
        for conn in [*self.idle]:
            self.drop(conn)

    def hurry(self, seconds: float) -> None:
        """The process ends: who has not begun with a request has no more than `seconds` to do so."""
        now = time.monotonic()
        for conn in self._waiting:
            if conn.state in (SILENT, HALF_HEAD):
                conn.pace.begun = min(conn.pace.begun, now + seconds - self.limits.head_seconds)

    def _left(self, conn: Connection, now: float) -> float:
        if conn.state == CLOSING:
            return float(conn.pace.begun + CLOSING_SECONDS - now)
        if conn.state == HALF_BODY:
            return conn.pace.left(now, self.limits.body_seconds)
        if conn.state == UNREAD:
            return conn.pace.left(now, self.limits.send_seconds)
        return float(conn.pace.begun + self.limits.head_seconds - now)

    def _time_out(self, conn: Connection) -> None:
        if conn.state in (HALF_HEAD, HALF_BODY):
            self._waiting.pop(conn, None)
            self._late(conn)
        else:
            self.drop(conn, reset=conn.state == UNREAD)

    def _expired(self, now: float) -> Iterator[Connection]:
        for conn in self.idle:
            if conn.timeout > now:
                break
            yield conn

    def _clear(self, number: int, now: float) -> None:
        """Places for others: of those that are idle, then of those that are slow, the oldest first."""
        slow = (conn for conn in self._waiting if conn.pace.gives_way(now))
        for conn in [conn for _, conn in zip(range(number), (*self.idle, *slow), strict=False)]:
            self.drop(conn, reset=conn.state == UNREAD)

    def _free_threads(self, number: int, now: float) -> None:
        """Requests wait for threads: those threads go on that wait for a slow client."""
        for conn in self._busy:
            if number <= 0:
                break
            if isinstance(conn.sock, ClientSocket):
                if conn.sock.gives_way(now):
                    conn.sock.give_way()
                    number -= 1
            elif (since := conn.handshake_since) is not None and now - since > LEAST_AGE:
                with suppress(OSError):
                    _shutdown(conn.sock, socket.SHUT_RDWR)
                number -= 1

    def _bound_memory(self, now: float) -> None:
        """Of what waits to be sent, and of requests that are not complete: the slowest clients lose theirs."""
        sizes = {conn: size for conn in self._waiting if (size := _size(conn.sock))}
        left = sum(sizes.values())
        for conn, size in sizes.items():
            if left <= MEMORY_FULL:
                break
            if conn.pace.gives_way(now):
                left -= size
                self.drop(conn, reset=True)
        self.room.is_full = left > MEMORY_FULL


def _size(sock: socket.socket) -> int:
    return sock.tail_bytes + len(sock.received) if isinstance(sock, ClientSocket) else 0
