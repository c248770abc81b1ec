"""One WebSocket client, seen from the server (RFC 6455): the sole module that uses the WebSocket library.

The parser is wsproto's, the engine beneath simple-websocket. What is written goes to the socket itself: that keeps
frames apart while they wait, so that old ones can be dropped whole and all clients share one copy of each.
Everything here runs in the event loop's thread and nowhere else.
"""

import asyncio
import binascii
import socket
import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol
from wsproto.utilities import generate_accept_token

READ_BYTES = 4096  # taken from a client at a time, so that none keeps the loop

# What a client may send between two sweeps, in bytes, each frame counting as FRAME_COST more: parsing a frame takes
# some 5 µs however short it is, so a flood costs about 1 ms a sweep. Beyond it, the client isn't read for a while.
READ_BUDGET = 16 * 1024
FRAME_COST = 64

CONTROL_BYTES = 512  # pings and pongs that wait behind an unread frame; more pongs are left out (RFC 6455 §5.5.3)
LINGER = 1.0  # s that the peer gets to take our close frame and end the connection

BAD_GATEWAY = 1014  # close code

_SEND_BUFFER = 64 * 1024  # bytes; the kernel's own choice, up to 4 MB, would hide a stopped reader for hours

_PING = bytes(Connection(ConnectionType.SERVER).send(Ping()))


@dataclass(frozen=True)
class Limits:
    """What a client is allowed: bytes that wait for it, frames it may lose in a row, bytes of a message; times in s."""

    max_buffer: int
    max_missed: int
    max_message: int
    ping_interval: float
    ping_timeout: float


class Owner(Protocol):
    """What a client tells the hub."""

    def left(self, client: "Client", reason: str) -> None:
        """No frames any more, please: `reason` as in `HubCounters.disconnected`. Said once."""

    def gone(self, client: "Client") -> None:
        """The descriptor is closed. Said once, after `left`."""

    def dropped(self) -> None:
        """A frame was given up because the client hadn't read the ones before it."""


def text_frame(text: str) -> bytes:
    """-> the bytes of an unmasked, unfragmented text frame, the same for every client (RFC 6455 §5.2)."""
    return bytes(Connection(ConnectionType.SERVER).send(TextMessage(text)))


def handshake(headers: Mapping[str, str]) -> tuple[bool, bytes]:
    """-> whether the handshake is accepted, and the bytes of the HTTP response (RFC 6455 §4.2.2); never raises.

    Names in `headers` are in lower case. No subprotocol is agreed on, and no extension: compressing would cost each
    client its own copy.
    """
    if headers.get("sec-websocket-version", "").strip() != "13":
        return False, refusal("426 Upgrade Required", "Sec-WebSocket-Version: 13")
    key = headers.get("sec-websocket-key", "").strip()
    try:
        valid = len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        valid = False
    if not valid:
        return False, refusal("400 Bad Request")
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines.append("Sec-WebSocket-Accept: " + generate_accept_token(key.encode()).decode())
    return True, "\r\n".join([*lines, "", ""]).encode()


def refusal(status: str, *headers: str) -> bytes:
    """-> an HTTP response without a body that ends the connection, e.g. for `status` "503 Service Unavailable"."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "Connection: close", "", ""]).encode()


def prepare(sock: socket.socket, patience: float) -> None:
    """Make `sock` fit for the hub; TCP gives a silent peer up after `patience` seconds. OSError if it is dead."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(patience * 1000)))


class _Frames(FrameProtocol):
    """wsproto's frames, and close code 1014 (Bad Gateway), which IANA has registered; wsproto takes it for one that
    nobody may send (1.3.2, `_process_close`: a test holds that).
    """

    def _process_close(self, frame: Frame) -> Frame:
        payload: Any = frame.payload
        if payload[:2] != BAD_GATEWAY.to_bytes(2, "big"):
            return super()._process_close(frame)
        known = CloseReason.INTERNAL_ERROR.to_bytes(2, "big")
        parsed: Any = super()._process_close(frame._replace(payload=known + payload[2:]))
        return frame._replace(payload=(BAD_GATEWAY, parsed.payload[1]))


def _parser() -> Connection:
    parser = Connection(ConnectionType.SERVER)
    parser._proto = _Frames(client=False, extensions=[])
    return parser


class Client:
    """A client after its handshake; owns the socket and ends with it closed, whatever the peer does.

    What waits to be written: `_rest`, the unsent part of the frame in progress; `_control`, pings, pongs or the close
    frame; `_queue`, whole text frames. The loop watches for room to write exactly while `_rest` isn't empty.
    """

    __slots__ = (
        "_awaits_pong",
        "_budget",
        "_control",
        "_due",
        "_fd",
        "_limits",
        "_linger",
        "_loop",
        "_message",
        "_missed",
        "_owner",
        "_parser",
        "_queue",
        "_queued",
        "_rest",
        "_sock",
    )

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, owner: Owner, limits: Limits, ping_at: float
    ) -> None:
        self._sock: socket.socket | None = sock
        self._fd = sock.fileno()
        self._loop = loop
        self._owner = owner
        self._limits = limits
        self._due = ping_at
        self._awaits_pong = False
        self._parser: Connection | None = None  # made at the first byte: 1.8 KiB that a silent client never needs
        self._message = 0  # bytes so far of the client's unfinished message
        self._budget = READ_BUDGET
        self._rest: bytes | memoryview = b""
        self._control = b""
        self._queue: deque[bytes] | None = None
        self._queued = 0
        self._missed = 0
        self._linger: asyncio.TimerHandle | None = None  # set from our close frame on
        loop.add_reader(self._fd, self._on_readable)

    # ---- writing

    def send(self, frame: bytes) -> bool:
        """Write a text frame, or let it wait: never blocks, and never raises because of the peer.

        -> False if the client is ending, or ends because of this.
        """
        if self._rest:
            return self._enqueue(frame)
        if self._sock is None or self._linger:
            return False
        try:
            taken = self._sock.send(frame)
        except BlockingIOError:
            taken = 0
        except OSError:
            self.abort("error")
            return False
        if taken < len(frame):
            self._rest = memoryview(frame)[taken:]
            self._loop.add_writer(self._fd, self._pump)
        return True

    def _enqueue(self, frame: bytes) -> bool:
        if self._linger:
            return False
        queue = self._queue = self._queue or deque()
        while queue and self._queued + len(frame) > self._limits.max_buffer:
            if self._missed == self._limits.max_missed:
                self.end(CloseReason.POLICY_VIOLATION, "too_slow")
                return False
            self._queued -= len(queue.popleft())
            self._missed += 1
            self._owner.dropped()
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

    # ---- reading

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
        """These bytes came from the peer."""
        if not data or self._sock is None or self._linger:  # after our close frame nothing counts any more: see `end`
            return
        self._budget -= len(data)
        self._parse(data)
        if self._budget <= 0 and self._sock is not None and not self._linger:
            self._loop.remove_reader(self._fd)

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = _parser()
        self._parser.receive_data(data)
        pong = b""
        for event in self._parser.events():
            self._budget -= FRAME_COST
            if isinstance(event, Ping):
                pong = self._parser.send(event.response())  # RFC 6455 §5.5.3: the latest ping only is enough
            elif isinstance(event, Pong):
                self._on_pong()
            elif isinstance(event, CloseConnection):
                self._on_close(event)
                return
            elif isinstance(event, Message) and not self._is_small_enough(event):
                self.end(CloseReason.MESSAGE_TOO_BIG, "message_too_big")
                return
        if pong:
            self._send_control(bytes(pong))

    def _is_small_enough(self, part: Message[Any]) -> bool:
        """Count what arrived of a message, and forget it: nothing that a client says means anything to the hub."""
        data = part.data.encode() if isinstance(part.data, str) else part.data
        self._message += len(data)
        if self._message > self._limits.max_message:
            return False
        if part.message_finished:
            self._message = 0
        return True

    def _on_pong(self) -> None:
        if self._awaits_pong:
            self._awaits_pong = False
            self._due += self._limits.ping_interval - self._limits.ping_timeout  # one interval after the ping

    def _on_close(self, event: CloseConnection) -> None:
        parser = self._parser
        if parser is not None and parser.state is ConnectionState.REMOTE_CLOSING:
            self._end(bytes(parser.send(event.response())), "client")
        else:
            self.end(event.code, "protocol")  # what wsproto makes of bytes that aren't WebSocket

    # ---- time

    def sweep(self, now: float) -> None:
        """Call this often, `now` in the unit of `ping_at`: sends pings, ends a silent client, reads a flood on."""
        paused, self._budget = self._budget <= 0, min(READ_BUDGET, self._budget + READ_BUDGET)
        if paused and self._budget > 0 and self._sock is not None:
            self._loop.add_reader(self._fd, self._on_readable)
        if now < self._due:
            return
        if self._awaits_pong:  # the pong of one that floods waits behind what isn't read
            self.end(CloseReason.POLICY_VIOLATION, "flood" if paused else "ping_timeout")
            return
        self._awaits_pong = True
        self._due = now + self._limits.ping_timeout
        self._send_control(_PING)

    # ---- ending

    def end(self, code: int, reason: str) -> None:
        """Send a close frame with `code` after what is already half written, then end the connection (RFC 6455 §7.1.1).

        Our side is shut down at once, the descriptor closed when the peer has ended its side or after LINGER: closed
        with bytes unread, TCP would send a reset, which can overtake the close frame.
        """
        self._end(bytes(Connection(ConnectionType.SERVER).send(CloseConnection(code))), reason)

    def _end(self, close_frame: bytes, reason: str) -> None:
        if self._sock is None or self._linger:
            return
        self._linger = self._loop.call_later(LINGER, self.abort, reason)
        self._owner.left(self, reason)
        self._control, self._queue, self._queued = close_frame, None, 0
        self._loop.add_reader(self._fd, self._on_readable)  # a flood may have paused it
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
            self._owner.left(self, reason)
        if self._rest and sock.family != socket.AF_UNIX:
            # a reset: the kernel would otherwise keep an unread buffer for a peer that may never come back
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self._rest, self._control, self._queue, self._parser = b"", b"", None, None
        self._owner.gone(self)
