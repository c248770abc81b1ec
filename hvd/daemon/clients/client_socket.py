"""A client's socket, whose calls wait for the client within limits only, and mostly not in the calling thread.

The descriptor itself stays blocking: code that takes it over or copies it finds what gunicorn has elsewhere. Here each
call says MSG_DONTWAIT, and waits by poll(2). gunicorn's setblocking, which is called twice a request, costs no system
call. TLS can't be put on it: there gunicorn's own socket is used.
"""

import errno
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hvd.daemon.clients.pace import Limits, Pace
from hvd.metrics.clients import HALF_BODY, HALF_HEAD, UNREAD

DONTWAIT = socket.MSG_DONTWAIT
TAIL_FULL = 256 * 1024  # bytes of a response that wait for their client without a thread, before one more piece does
FILE_PIECE = 128 * 1024
TURN = 0.25  # s after which a thread that waits looks whether it still has to, and calls `on_wait`

_recv, _send = socket.socket.recv, socket.socket.send


class RequestTimeout(Exception):  # noqa: N818 (the name of status 408, RFC 9110, section 15.5.9)
    """The rest of a request did not come in time."""


class Room:
    """Whether there is memory for more tails; one for all connections of a process."""

    is_full = False


class ClientSocket(socket.socket):
    """For one thread at a time: the loop's while the connection waits, a pool's while it is served.

    `received` is what the loop has read of the next request. `tail` is what is left to be sent. `waits_for` is what a
    thread waits for at this moment, one of the states of hvd/metrics/clients.py, or None.
    """

    __slots__ = (
        *("_is_over", "_limits", "_paused_at", "_reading", "_room", "_sending", "_timeout", "has_begun", "has_head"),
        *("is_drained", "is_endless", "keeps", "leave_loop", "on_wait", "received", "tail", "tail_bytes", "waits_for"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timeout: float | None = None
        self._limits, self._room = Limits(), Room()
        self.on_wait: Callable[[], object] = int
        self.leave_loop: Callable[[], object] = int
        """To be called before another process gets the socket."""
        self.keeps = 0
        self.received = b""
        self.tail: deque[memoryview] = deque()
        self.tail_bytes = 0
        self.waits_for: int | None = None
        self._is_over = False
        self.is_endless = self.is_drained = self.has_begun = False
        self.begin_request()

    @classmethod
    def of(cls, sock: socket.socket, limits: Limits, room: Room | None = None) -> "ClientSocket":
        """Take an accepted socket over. With `room` it keeps a tail, which the caller has to flush."""
        client = cls(sock.family, sock.type, sock.proto, fileno=sock.detach())
        client._limits = limits
        if room:
            client._room, client.keeps = room, TAIL_FULL
        return client

    def begin_request(self) -> None:
        """Called when a thread begins with the next request, whose head is there."""
        self.has_head = True
        self._reading: Pace | None = None
        self._sending: Pace | None = None
        self._paused_at = 0.0

    # What gunicorn and apps call.

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0.0

    def settimeout(self, value: float | None) -> None:
        self._timeout = value

    def gettimeout(self) -> float | None:
        return self._timeout

    def dup(self) -> socket.socket:  # type: ignore[override]
        """A plain socket, for code that takes the connection over."""
        return socket.fromfd(self.fileno(), self.family, self.type, self.proto)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """What has come. Raises TimeoutError after `settimeout`; RequestTimeout in a head that comes too slowly,
        ConnectionResetError in such a body.
        """
        if self.received:
            data = self.received[:bufsize]
            if not flags & socket.MSG_PEEK:
                self.received = self.received[bufsize:]
            return data
        try:
            data = _recv(self, bufsize, flags | DONTWAIT)
        except BlockingIOError:
            if self._timeout == 0.0 or flags & DONTWAIT:
                raise
            data = self._wait_to_read(bufsize, flags)
        self.has_begun, self.is_drained = True, len(data) < bufsize
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        data = self.recv(nbytes or memoryview(buffer).nbytes, flags)
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0, /) -> int:
        self.sendall(data, flags)
        return memoryview(data).nbytes

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send, or keep what the kernel doesn't take. Raises ConnectionResetError where a client reads too slowly."""
        sent = 0
        if not self.tail:
            with suppress(BlockingIOError):
                sent = _send(self, data, flags | DONTWAIT)
            if sent == len(data):
                return
        self._keep(memoryview(data if isinstance(data, bytes) else bytes(data))[sent:])

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """In pieces, as any other response."""
        file.seek(offset)
        sent = 0
        while piece := file.read(FILE_PIECE if count is None else min(FILE_PIECE, count - sent)):
            self.sendall(piece)
            sent += len(piece)
        return sent

    # What the loop calls.

    def flush(self) -> bool:
        """Send what the kernel takes of the tail; True once nothing is left. Raises OSError."""
        while self.tail:
            try:
                sent = _send(self, self.tail[0], DONTWAIT)
            except BlockingIOError:
                return False
            self.tail_bytes -= sent
            if sent == len(self.tail[0]):
                self.tail.popleft()
            else:
                self.tail[0] = self.tail[0][sent:]
        return True

    def gives_way(self, now: float, age: float) -> bool:
        """Whether a thread has waited for longer than `age` for this client, which is slow."""
        state = self.waits_for
        pace = self._sending if state == UNREAD else self._reading
        return state is not None and pace is not None and pace.gives_way(now, age)

    def give_way(self) -> None:
        """Have the thread that waits for this client go on, with a ConnectionResetError. From any thread."""
        self._is_over = True
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    # What waits.

    def _keep(self, piece: memoryview) -> None:
        is_first = not self.tail
        self.tail.append(piece)
        self.tail_bytes += len(piece)
        if self.keeps and self._timeout == 0.0:
            return  # gunicorn's error pages: of a request that is late the loop sends them, which must not wait
        if not (is_first and self._has_room()):
            self._wait_to_send(is_first)

    def _has_room(self) -> bool:
        return self.keeps > 0 and not self._room.is_full

    def _wait_to_send(self, is_first: bool) -> None:
        now = time.monotonic()
        pace = self._sending = self._resumed(self._sending, now)
        left_before = self.tail_bytes + pace.moved
        self.waits_for = UNREAD
        try:
            while not self.flush() and self.tail_bytes > self.keeps and not (is_first and self._has_room()):
                now = time.monotonic()
                pace.advance(now, left_before - self.tail_bytes)
                self._wait(select.POLLOUT, pace.seconds_left(now, self._limits.send_seconds), "does not read")
        finally:
            pace.advance(time.monotonic(), left_before - self.tail_bytes)
            self._pause()

    def _wait_to_read(self, bufsize: int, flags: int) -> bytes:
        now = began = time.monotonic()
        pace = self._reading = self._resumed(self._reading, now)
        self.waits_for = HALF_BODY if self.has_head else HALF_HEAD
        try:
            while True:
                events = select.POLLIN | (select.POLLOUT if self.tail else 0)
                remaining = self._seconds_to_read(pace, now)
                if self._timeout is not None and (remaining := min(remaining, began + self._timeout - now)) <= 0:
                    raise TimeoutError("timed out")
                if remaining <= 0 and not self.has_head:
                    if not self.has_begun:
                        return b""
                    raise RequestTimeout("The rest of the request's head did not come in time.")
                self._wait(events, remaining, "sends too slowly")
                if self.tail:
                    self.flush()
                now = time.monotonic()
                try:
                    data = _recv(self, bufsize, flags | DONTWAIT)
                except BlockingIOError:
                    continue
                pace.advance(now, pace.moved + len(data))
                return data
        finally:
            self._pause()

    def _seconds_to_read(self, pace: Pace, now: float) -> float:
        if self.is_endless:
            return float("inf")
        if not self.has_head:
            return pace.begun + self._limits.head_seconds - now
        return pace.seconds_left(now, self._limits.body_seconds)

    def _resumed(self, pace: Pace | None, now: float) -> Pace:
        if not pace:
            return Pace(now)
        pace.leave_out(now - self._paused_at)
        return pace

    def _pause(self) -> None:
        self.waits_for = None
        self._paused_at = time.monotonic()

    def _wait(self, events: int, seconds: float, fault: str) -> None:
        """Until the descriptor is ready, for a turn at most. Raises ConnectionResetError once no seconds are left."""
        if seconds > 0 and not self._is_over:
            poll = select.poll()
            poll.register(self, events)
            poll.poll(1000 * min(seconds, TURN))
            self.on_wait()
        if seconds <= 0 or self._is_over:
            # gunicorn takes this errno for a client that has gone, and logs nothing (27.0.1, workers/gthread.py)
            raise ConnectionResetError(errno.ECONNRESET, f"the client {fault}")
