"""The connections of a threaded worker that no thread serves: they wait for their client, in the worker's main loop.

A connection is in one state at a time, see hvd/daemon/clients/connection.py. All methods belong to the loop's thread.

Clients' descriptors are watched edge-triggered: a level-triggered half request would wake the loop without end. So
whatever is readable is read until the kernel has no more, and an edge that comes while a thread has the connection is
noted. What gunicorn itself watches (listeners, its queue) stays level-triggered.
"""

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from hvd.daemon.clients.arrival import ENOUGH, THERE, Arrival, is_simply_there
from hvd.daemon.clients.client_socket import DONTWAIT, ClientSocket, Room
from hvd.daemon.clients.connection import BUSY, CLOSING, GONE, Connection, Idle
from hvd.daemon.clients.pace import Pace
from hvd.daemon.clients.tls_socket import RECORD_MAX, is_whole_record
from hvd.metrics.clients import HALF_BODY, HALF_HEAD, IDLE, SILENT, UNREAD

CLOSING_BYTES = 64 * 1024  # read and discarded from a client that has to close, so that no reset destroys the response

_READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_END = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR  # the client sends no more: one edge with its last bytes
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST
_recv, _recv_into, _shutdown = socket.socket.recv, socket.socket.recv_into, socket.socket.shutdown


class Owner(Protocol):
    """Who serves the connections."""

    def enqueue_req(self, conn: Connection) -> None:
        """Have a thread serve the request that is there."""

    def finish_response(self, conn: Connection) -> None:
        """All of the response is sent."""

    def note_gone(self) -> None:
        """A connection is closed."""


class Connections:
    """See above. Also what gunicorn's worker has as its `poller`."""

    def __init__(self, owner: Owner, threads: int) -> None:
        self.room = Room()
        self.idle = Idle()
        self.waiting: dict[Connection, None] = {}
        """Connections in any state but BUSY and IDLE; the one that waits longest comes first."""
        self.busy: dict[Connection, None] = {}
        self.queue: dict[Connection, None] = {}
        """Connections whose thread will have to wait for the rest of a body; some may have no thread yet."""
        self._partial: set[Connection] = set()  # those of them that have one, or are to get the next
        self._most_partial = max(1, threads - 1)  # so one thread at least is for requests that are whole
        self._owner = owner
        self._epoll = select.epoll()
        self._by_fd: dict[int, Connection] = {}
        self._others: dict[int, tuple[Any, Callable[[Any], object]]] = {}
        self._buffer = memoryview(bytearray(2 * ENOUGH))  # so all of it full means: a request is there
        self._steps = dict.fromkeys(range(BUSY), self._look) | {UNREAD: self._flush, CLOSING: self._drain}

    # As gunicorn's poller.

    def register(self, source: Any, events: int, callback: Callable[[Any], object]) -> None:
        """Call `callback` with `source`, a descriptor or what has one, whenever that is readable."""
        fd = source if isinstance(source, int) else source.fileno()
        self._epoll.register(fd, select.EPOLLIN)
        self._others[fd] = source, callback

    def unregister(self, source: Any) -> None:
        """Stop watching `source`."""
        fd = source if isinstance(source, int) else source.fileno()
        self._epoll.unregister(fd)
        del self._others[fd]

    def close(self) -> None:
        """Stop watching everything."""
        self._epoll.close()

    def wait(self, seconds: float) -> None:
        """Wait until something is ready, and do what there is to do."""
        # Whose events they are is settled before the first is handled: a descriptor that is closed meanwhile may be
        # that of a connection which is accepted next.
        ready = [(self._by_fd.get(fd), fd, events) for fd, events in self._epoll.poll(seconds)]
        for conn, fd, events in ready:
            if conn is None:
                if fd in self._others:
                    source, callback = self._others[fd]
                    callback(source)
            elif conn.state != GONE:
                conn.has_ended = conn.has_ended or bool(events & _END)
                if conn.state == BUSY:
                    conn.has_edge = True
                else:
                    self.step(self._steps[conn.state], conn)

    def step(self, step: Callable[[Connection], None], conn: Connection) -> None:
        """Handle events of one connection; an error ends that connection only, not the worker."""
        try:
            step(conn)
        except OSError:
            if conn.state != GONE:
                self.drop(conn)

    # From state to state.

    def take(self, conn: Connection) -> None:
        """A new connection."""
        self._by_fd[conn.fd] = conn
        if isinstance(conn.sock, ClientSocket):
            conn.sock.leave_loop = lambda: self._unwatch(conn)
        self.step(self._look, conn)

    def end_service(self, conn: Connection) -> None:
        """A thread is done with it, and the response may have a tail. Raises OSError."""
        self.busy.pop(conn, None)
        if conn in self._partial:
            self._partial.remove(conn)
            self._serve_queue()
        sock = conn.sock
        if isinstance(sock, ClientSocket) and sock.tail and sock.fileno() >= 0:
            conn.state = UNREAD
            conn.pace = Pace(time.monotonic())
            self.waiting[conn] = None
            self._watch(conn, select.EPOLLOUT)
            self._flush(conn)
        else:
            self._owner.finish_response(conn)

    def keep_alive(self, conn: Connection, timeout: float) -> None:
        """All is sent: wait until monotonic `timeout` for the next request, which may be there. Raises OSError."""
        conn.timeout = timeout
        sock = conn.sock
        if not conn.is_plain:
            self._keep_alive_from_outside(conn)
        elif conn.note_buffered() or conn.has_edge or sock.received or not sock.is_drained:
            self._look(conn)
        else:
            self._rest(conn)

    def _keep_alive_from_outside(self, conn: Connection) -> None:
        conn.sock.setblocking(False)
        decrypted = getattr(conn.sock, "pending", int)()  # bytes that TLS has, and the kernel no more
        if conn.note_buffered() or decrypted:
            self._pass_on(conn)
        else:
            self._look(conn)

    def end(self, conn: Connection) -> None:
        """All is sent: close once the client has read it. Raises OSError."""
        conn.state, conn.pace = CLOSING, Pace(time.monotonic())
        self.waiting[conn] = None
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
        for places in (self.waiting, self.queue, self.busy, self.idle):
            places.pop(conn, None)
        if conn.sock.fileno() >= 0:
            self._unwatch(conn)
            if reset:
                with suppress(OSError):
                    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if isinstance(conn.sock, ClientSocket):
            conn.sock.leave_loop = int  # else each would be a part of the other, for the garbage collector to find
        conn.state = GONE
        conn.close()
        self._owner.note_gone()

    def _pass_on(self, conn: Connection) -> None:
        """The request is there."""
        if conn.state == IDLE:
            self.idle.pop(conn, None)
        else:
            self.waiting.pop(conn, None)
        is_whole = conn.arrival is None or conn.arrival.is_whole
        conn.state, conn.has_edge, conn.arrival = BUSY, False, None
        if conn.is_plain:
            conn.sock.begin_request()
        self.busy[conn] = None
        if is_whole:
            self._owner.enqueue_req(conn)
        else:
            conn.pace = Pace(time.monotonic())
            self.queue[conn] = None
            self._serve_queue()

    def _serve_queue(self) -> None:
        while self.queue and len(self._partial) < self._most_partial:
            conn = next(iter(self.queue))
            del self.queue[conn]
            self._partial.add(conn)
            self._owner.enqueue_req(conn)

    def _rest(self, conn: Connection) -> None:
        conn.state = IDLE
        self.idle.add(conn, None)
        if not conn.is_watched:
            self._watch(conn)

    def _wait(self, conn: Connection, state: int, came: int) -> None:
        """For more of its request, of whose body `came` bytes are there."""
        now = time.monotonic()
        if conn.state in (BUSY, IDLE):
            self.idle.pop(conn, None)
            conn.pace = Pace(now)
            self.waiting[conn] = None
        elif state == HALF_BODY and conn.state != HALF_BODY:
            conn.pace = Pace(now)
        if state == HALF_BODY:
            conn.pace.advance(now, came)
        conn.state = state
        if not conn.is_watched:
            self._watch(conn)

    def _watch(self, conn: Connection, more: int = 0) -> None:
        """Watch for it to be readable, and for the events of `more`; what holds already counts too. Raises OSError."""
        if conn.is_watched:
            self._epoll.modify(conn.fd, _READ | more)
        else:
            self._epoll.register(conn.fd, _READ | more)
            conn.is_watched = True

    def _unwatch(self, conn: Connection) -> None:
        """Stop watching before the socket is closed or passed on: a copy elsewhere would go on waking this loop."""
        if conn.is_watched:
            conn.is_watched = False
            with suppress(OSError, ValueError):
                self._epoll.unregister(conn.fd)

    # What happens.

    def _look(self, conn: Connection) -> None:
        """Read what has come, and serve it, wait for more, or close. Raises OSError."""
        if not conn.is_plain:
            self._look_from_outside(conn)
            return
        sock = conn.sock
        is_open = self._read(conn, sock)
        data = conn.buffered + sock.received if conn.buffered else sock.received
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
        elif stage != SILENT or not conn.parser:
            self._wait(conn, stage, len(data) - conn.arrival.head)
        elif conn.state != IDLE:
            self._rest(conn)

    def _read(self, conn: Connection, sock: ClientSocket) -> bool:
        """Take what has come; False where the client will send no more. Raises OSError."""
        conn.has_edge, sock.is_drained = False, True
        try:
            count = _recv_into(sock, self._buffer, 0, DONTWAIT)
        except BlockingIOError:
            return True
        came = bytes(self._buffer[:count])
        sock.received = sock.received + came if sock.received else came
        is_last = conn.has_ended and count < len(self._buffer)
        sock.is_drained = count < len(self._buffer) and not is_last
        return count > 0 and not is_last

    def _look_from_outside(self, conn: Connection) -> None:
        """Where the bytes don't tell whether a request is whole: one TLS record, or one byte of uWSGI's, is enough."""
        try:
            data = _recv(conn.sock, RECORD_MAX, DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            if conn.parser and conn.state != IDLE:
                self._rest(conn)
            elif not conn.parser:
                self._wait(conn, SILENT, 0)
            return
        if not data:
            self.drop(conn)
        elif is_whole_record(data) or not conn.is_tls:
            self._pass_on(conn)
        elif conn.has_ended:
            self.drop(conn)
        else:
            self._wait(conn, HALF_HEAD, 0)

    def _flush(self, conn: Connection) -> None:
        """Send more of the tail. Raises OSError."""
        sock = conn.sock
        before = sock.tail_bytes
        is_sent = sock.flush()
        conn.pace.advance(time.monotonic(), conn.pace.moved + before - sock.tail_bytes)
        if is_sent:
            self.waiting.pop(conn, None)
            conn.state, conn.has_edge = BUSY, True  # an edge may have come and gone
            self._watch(conn)
            self._owner.finish_response(conn)

    def _drain(self, conn: Connection) -> None:
        """Throw away what a client still sends, for a while. Raises OSError."""
        with suppress(BlockingIOError):
            while conn.drained <= CLOSING_BYTES and (count := _recv_into(conn.sock, self._buffer, 0, DONTWAIT)):
                conn.drained += count
            self.drop(conn)
