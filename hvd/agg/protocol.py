"""The WebSocket protocol as the hub speaks it (RFC 6455): bytes in; what they mean, and bytes to send, out.

There is no socket and no clock here: client.py has them. No other module uses the WebSocket library, wsproto.
"""

import binascii
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, Opcode, ParseFailed
from wsproto.utilities import generate_accept_token

GOING_AWAY, POLICY_VIOLATION, MESSAGE_TOO_BIG = 1001, 1008, 1009  # close codes, §7.4.1
BAD_GATEWAY = 1014  # a close code that IANA has registered since


_PROTOCOL = re.compile("[a-z]+")


class Response(NamedTuple):
    """An HTTP response to a handshake: its status, as "101", and all its bytes."""

    status: str
    data: bytes

    @property
    def accepts(self) -> bool:
        """Whether the connection speaks WebSocket after it."""
        return self.status == "101"


class Closing(NamedTuple):
    """The end of the conversation: the close frame that is to be sent as the last one, and why."""

    frame: bytes
    reason: str


class Received(NamedTuple):
    """What some bytes of a client mean: how many frames, or parts of one, they completed, and what follows from them.

    `reply` is to be sent, if it isn't empty. Where there is a `closing`, nothing else is to be sent or received.
    """

    frames: int
    has_pong: bool = False
    reply: bytes = b""
    closing: Closing | None = None


def handshake(headers: Mapping[str, str]) -> Response:
    """The answer to a client's opening handshake (§4.2.2); never raises.

    Names in `headers` are in lower case; a subprotocol in them is agreed on. No extension is: compressing would cost
    each client its own copy.
    """
    if headers.get("sec-websocket-version", "").strip() != "13":
        return refusal("426 Upgrade Required", "Sec-WebSocket-Version: 13")
    key = headers.get("sec-websocket-key", "").strip()
    try:
        valid = len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        valid = False
    if not valid:
        return refusal("400 Bad Request")
    accept = "Sec-WebSocket-Accept: " + generate_accept_token(key.encode()).decode()
    protocol = headers.get("sec-websocket-protocol", "")
    agreed = [f"Sec-WebSocket-Protocol: {protocol}"] if _PROTOCOL.fullmatch(protocol) else []
    return _response("101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", accept, *agreed)


def refusal(status: str, *headers: str) -> Response:
    """A response without a body that ends the connection, e.g. for `status` "503 Service Unavailable"."""
    return _response(status, *headers, "Content-Length: 0", "Connection: close")


def _response(status: str, *headers: str) -> Response:
    return Response(status[:3], "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode())


class _Frames(FrameProtocol):
    """wsproto's frames, and close code 1014, which its `_process_close` (1.3.2) refuses; a test notices if not."""

    def __init__(self) -> None:
        super().__init__(client=False, extensions=[])

    def _process_close(self, frame: Frame) -> Frame:
        payload: Any = frame.payload
        if payload[:2] != BAD_GATEWAY.to_bytes(2, "big"):
            return super()._process_close(frame)
        known = CloseReason.INTERNAL_ERROR.to_bytes(2, "big")
        parsed: Any = super()._process_close(frame._replace(payload=known + payload[2:]))
        return frame._replace(payload=(BAD_GATEWAY, parsed.payload[1]))


def text_frame(text: str) -> bytes:
    """An unmasked, unfragmented text frame (§5.2): the same bytes for every client."""
    return bytes(_Frames().send_data(text))


def close_frame(code: int) -> bytes:
    """A close frame with this code (§5.5.1)."""
    return bytes(_Frames().close(code))


PING = bytes(_Frames().ping())


class Conversation:
    """What a client says; only control frames matter. A message, in fragments or not, may have `max_message` bytes."""

    __slots__ = ("_frames", "_max_message", "_message")

    def __init__(self, max_message: int) -> None:
        self._frames = _Frames()
        self._max_message = max_message
        self._message = 0  # bytes so far of the client's unfinished message

    def receive(self, data: bytes) -> Received:
        """What these bytes mean with those before them; never raises. Not to be called once a `closing` was given."""
        self._frames.receive_bytes(data)
        count, has_pong, reply = 0, False, b""
        try:
            for frame in self._frames.received_frames():
                payload: Any = frame.payload
                count += 1
                if frame.opcode is Opcode.PING:
                    reply = bytes(self._frames.pong(payload))  # §5.5.3: the latest ping only is enough
                elif frame.opcode is Opcode.PONG:
                    has_pong = True
                elif frame.opcode is Opcode.CLOSE:  # §5.5.1: answered with its own code, and reason
                    return Received(count, closing=Closing(bytes(self._frames.close(*payload)), "client"))
                elif not self._is_small_enough(payload, frame.message_finished):
                    return Received(count, closing=Closing(close_frame(MESSAGE_TOO_BIG), "message_too_big"))
        except ParseFailed as error:
            return Received(count, closing=Closing(close_frame(error.code), "protocol"))
        return Received(count, has_pong, reply)

    def _is_small_enough(self, part: str | bytes, is_last: bool) -> bool:
        self._message += len(part.encode() if isinstance(part, str) else part)
        if self._message > self._max_message:
            return False
        if is_last:
            self._message = 0
        return True
