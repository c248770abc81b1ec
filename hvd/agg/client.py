"""The socket of one WebSocket client: what waits to be written, what may be read, and when it ends.

What the bytes mean is protocol.py's. Frames are written to the socket itself: that keeps them apart while they wait, so
that old ones can be dropped whole and all clients share one copy of each. Everything here runs in the event loop's
thread and nowhere else.
"""

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hvd.agg import protocol

if TYPE_CHECKING:
    from hvd.agg.hub import Hub

READ_BYTES = 4096  # taken from a client at a time, so that none keeps the loop

# What a client may send between two sweeps, in bytes, each frame counting as FRAME_COST more: parsing a frame takes
# some 5 µs however short it is, so a flood costs about 1 ms a sweep. Beyond it, the client isn't read for a while.
READ_BUDGET = 16 * 1024
FRAME_COST = 64

CONTROL_BYTES = 512  # pings and pongs that wait behind an unread frame; more pongs are left out (RFC 6455 §5.5.3)
LINGER = 1.0  # s that the peer gets to take our close frame and end the connection

_SEND_BUFFER = 64 * 1024  # bytes; the kernel's own choice, up to 4 MB, would hide a stopped reader for hours


@dataclass
class Limits:
    """Limits of a client: bytes that wait for it (a single frame may be larger), frames lost in a row before it loses
    its connection, bytes of a message; times in s. All clients share one object, so a change holds for all of them.
    """

    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    max_buffer: int = 64 * 1024
    max_missed: int = 5
    max_message: int = 4096


def prepare(sock: socket.socket, patience: float) -> None:
    """Set what the hub needs of `sock`; TCP gives a silent peer up after `patience` s. Raises OSError if it is dead."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(patience * 1000)))


class Client:
    """A client after its handshake; owns the socket and ends with it closed, whatever the peer does.

    What waits to be written: `_rest`, the unsent part of the frame in progress; `_control`, pings, pongs or the close
    frame; `_queue`, whole text frames. The loop watches for room to write exactly while `_rest` isn't empty.
    """

    __slots__ = (
        *("_awaits_pong", "_budget", "_control", "_conversation", "_due", "_fd", "_hub", "_limits", "_linger", "_loop"),
        *("_missed", "_queue", "_queued", "_rest", "_sock"),
    )

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, hub: "Hub", limits: Limits, ping_at: float
    ) -> None:
        self._sock: socket.socket | None = sock
        self._fd = sock.fileno()
        self._loop = loop
        self._hub = hub
        self._limits = limits
        self._due = ping_at
        self._awaits_pong = False
        self._conversation: protocol.Conversation | None = None  # made at the first byte: it has 0.9 KiB
        self._budget = READ_BUDGET
        self._rest: bytes | memoryview = b""
        self._control = b""
        self._queue: deque[bytes] | None = None
        self._queued = 0
        self._missed = 0
        self._linger: asyncio.TimerHandle | None = None  # set from our close frame on
        loop.add_reader(self._fd, self._on_readable)

    def send(self, frame: bytes) -> bool:
        """Write a frame, or let it wait; never blocks or raises because of the peer. -> False if the client ends."""
        if self._rest:
            return self._enqueue(frame)
        if self._sock is None or self._linger:
            return False
        try:
            sent = self._sock.send(frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort("error")
            return False
        if sent < len(frame):
            self._rest = memoryview(frame)[sent:]
            self._loop.add_writer(self._fd, self._pump)
        return True

    def _enqueue(self, frame: bytes) -> bool:
        if self._linger:
            return False
        queue = self._queue = self._queue or deque()
        while queue and self._queued + len(frame) > self._limits.max_buffer:
            if self._missed == self._limits.max_missed:
                self.end(protocol.POLICY_VIOLATION, "too_slow")
                return False
            self._queued -= len(queue.popleft())
            self._missed += 1
            self._hub.frame_dropped()
        queue.append(frame)
        self._queued += len(frame)
        return True

    def _send_control(self, frame: bytes) -> None:
        if len(self._control) + len(frame) <= CONTROL_BYTES:
            self._control += frame
        if not self._rest:
            self._pump()

    def _pump(self) -> None:
        """Write what waits until there is nothing left or no room."""
        sock = self._sock
        if sock is None:
            return
        try:
            while self._rest or self._next():
                self._rest = self._rest[sock.send(self._rest) :]
        except BlockingIOError:
            self._loop.add_writer(self._fd, self._pump)
            return
        except OSError:
            self.abort("error")
            return
        self._rest = b""  # an empty view still holds on to its frame
        self._missed = 0
        self._loop.remove_writer(self._fd)
        if self._linger:
            self._finish_writing(sock)

    def _next(self) -> bool:
        if self._control:
            self._rest, self._control = memoryview(self._control), b""
        elif self._queue:
            frame = self._queue.popleft()
            self._queued -= len(frame)
            self._rest = memoryview(frame)
        else:
            self._queue = None
            return False
        return True

    def _finish_writing(self, sock: socket.socket) -> None:
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort("error")

    def _on_readable(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.abort("error")
            return
        if data:
            self.receive(data)
        else:
            self.abort("client")

    def receive(self, data: bytes) -> None:
        """Handle bytes of the peer. Those after our close frame are ignored: see `end`."""
        if not data or self._sock is None or self._linger:
            return
        if self._conversation is None:
            self._conversation = protocol.Conversation(self._limits.max_message)
        received = self._conversation.receive(data)
        if received.closing:
            self._close(*received.closing)
            return
        if received.has_pong:
            self._note_pong()
        if received.reply:
            self._send_control(received.reply)
        self._budget -= len(data) + FRAME_COST * received.frames
        if self._budget <= 0 and self._sock is not None:
            self._loop.remove_reader(self._fd)

    def _note_pong(self) -> None:
        if self._awaits_pong:
            self._awaits_pong = False
            self._due += self._limits.ping_interval - self._limits.ping_timeout  # one interval after the ping

    def sweep(self, now: float) -> None:
        """To be called often, `now` in s by the client's clock: sends pings, ends a silent client, reads a flood on."""
        paused = self._budget <= 0
        self._budget = min(READ_BUDGET, self._budget + READ_BUDGET)
        if paused and self._budget > 0 and self._sock is not None:
            self._loop.add_reader(self._fd, self._on_readable)
        if now < self._due:
            return
        if self._awaits_pong:  # the pong of one that floods waits behind what isn't read
            self.end(protocol.POLICY_VIOLATION, "flood" if paused else "ping_timeout")
            return
        self._awaits_pong = True
        self._due = now + self._limits.ping_timeout
        self._send_control(protocol.PING)

    def ping_by(self, due: float) -> None:
        """Send the next ping at that time at the latest, unless the pong of one is still to come."""
        if not self._awaits_pong:
            self._due = min(self._due, due)

    def end(self, code: int, reason: str) -> None:
        """Send a close frame with `code` after what is already half written, then end the connection (RFC 6455 §7.1.1).

        Our side is shut down at once; the descriptor is closed when the peer has ended its side, or after LINGER. If it
        were closed with bytes unread, TCP would send a reset, which can overtake the close frame.
        """
        self._close(protocol.close_frame(code), reason)

    def _close(self, close_frame: bytes, reason: str) -> None:
        if self._sock is None or self._linger:
            return
        self._linger = self._loop.call_later(LINGER, self.abort, reason)
        self._hub.client_left(self, reason)
        self._control, self._queue, self._queued = close_frame, None, 0
        self._loop.add_reader(self._fd, self._on_readable)  # a flood may have paused reading
        if not self._rest:
            self._pump()

    def abort(self, reason: str) -> None:
        """Close the descriptor now; what waits is lost. `reason` counts unless the client has left already."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        if self._linger:
            self._linger.cancel()
        else:
            self._hub.client_left(self, reason)
        if self._rest and sock.family != socket.AF_UNIX:
            # a reset: the kernel would otherwise keep an unread buffer for a peer that may never come back
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self._rest, self._control, self._queue, self._conversation = b"", b"", None, None
        self._hub.client_closed(self)
