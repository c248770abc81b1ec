"""The protocol without a socket: handshakes, frames of the server, and what a client's bytes mean."""

import pytest
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from hvd.agg import protocol
from hvd.agg.protocol import Conversation, Received
from tests.support.ws import BINARY, CLOSE, PING, PONG, TEXT, client_frame
from tests.unit.agg import HEADERS

CONTINUATION = 0


def closing_of(data: bytes, max_message: int = 4096) -> tuple[bytes, str]:
    """The close frame's payload and the reason with which a conversation ends: the same for bytes that come singly."""
    whole = Conversation(max_message).receive(data).closing
    conversation = Conversation(max_message)
    pieces = (conversation.receive(data[i : i + 1]).closing for i in range(len(data)))
    assert next(closing for closing in pieces if closing) == whole
    assert whole is not None
    assert whole.frame[:2] == bytes([0x80 | CLOSE, len(whole.frame) - 2])
    return whole.frame[2:], whole.reason


def code(number: int) -> bytes:
    return number.to_bytes(2, "big")


def test_a_subprotocol_is_agreed_on_only_where_the_worker_says_so() -> None:
    """It is a word, whatever comes over the channel."""
    agreed = protocol.handshake({**HEADERS, "sec-websocket-protocol": "hvd"})
    assert b"\r\nSec-WebSocket-Protocol: hvd\r\n" in agreed.data
    for odd in ("", "a\r\nX: y", "hvd.bearer.secret"):
        assert b"-Protocol" not in protocol.handshake({**HEADERS, "sec-websocket-protocol": odd}).data


def test_handshake_answers_the_example_of_the_rfc() -> None:
    """The key and the answer of RFC 6455 §1.3."""
    response = protocol.handshake(HEADERS)
    assert response.accepts
    lines = response.data.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert {"Upgrade: websocket", "Connection: Upgrade"} <= set(lines)
    assert lines[-2:] == ["", ""]
    assert b"Sec-WebSocket-Extensions" not in response.data
    assert b"Sec-WebSocket-Protocol" not in response.data


KEYS = ["", "short", "AAAA", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j\r\nX: y", "A" * 64, "ü" * 24, "\ud800"]
VERSIONS = ["", "8", "13, 8", "x"]


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        *(("sec-websocket-key", key, "400") for key in KEYS),
        *(("sec-websocket-version", version, "426") for version in VERSIONS),
    ],
)
def test_handshake_refuses_what_it_does_not_speak(header: str, value: str, status: str) -> None:
    """Anything but 16 bytes in base64 is a bad request, never an exception; 426 names the version that would do."""
    response = protocol.handshake({**HEADERS, header: value})
    assert (response.accepts, response.status) == (False, status)
    assert response.data.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"\r\nSec-WebSocket-Version: 13\r\n" in response.data) == (status == "426")


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_text_frame_has_the_shortest_length_field(length: int) -> None:
    """RFC 6455 §5.2: 7, 16 or 64 bits."""
    frame = protocol.text_frame("x" * length)
    assert frame[0] == 0x81
    assert len(frame) == length + (2 if length < 126 else 4 if length < 65536 else 10)


CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
RESERVED = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]  # or said of what was never sent


@pytest.mark.parametrize("payload", [b"", *(code(number) + "é".encode() for number in CODES)])
def test_a_close_frame_is_answered_with_its_code_and_reason(payload: bytes) -> None:
    """RFC 6455 §5.5.1, §7.1.5, §7.4, and IANA's list, which has grown: 1014 is one that wsproto doesn't know."""
    assert closing_of(client_frame(CLOSE, payload)) == (payload, "client")


def test_wsproto_still_refuses_1014() -> None:
    """If this fails, `_Frames` isn't needed any more."""
    frames = FrameProtocol(client=False, extensions=[])
    frames.receive_bytes(client_frame(CLOSE, code(1014)))
    with pytest.raises(ParseFailed):
        list(frames.received_frames())


def test_a_ping_is_answered_with_its_payload() -> None:
    """RFC 6455 §5.5.2; of several at once the latest, §5.5.3."""
    conversation = Conversation(4096)
    assert conversation.receive(client_frame(PING, b"one")) == Received(1, reply=b"\x8a\x03one")
    assert conversation.receive(client_frame(PING, b"two") + client_frame(PING)) == Received(2, reply=b"\x8a\x00")


def test_a_frame_may_come_in_pieces() -> None:
    """Its meaning comes with its last byte."""
    conversation, ping = Conversation(4096), client_frame(PING, b"early")
    assert conversation.receive(ping[:4]) == Received(0)
    assert conversation.receive(ping[4:] + client_frame(PONG)[:3]) == Received(1, reply=b"\x8a\x05early")
    assert conversation.receive(client_frame(PONG)[3:]) == Received(1, has_pong=True)


def test_messages_mean_nothing() -> None:
    """Text and binary, whole or in fragments with a ping between them: they cost what frames cost."""
    conversation = Conversation(256)
    assert conversation.receive(client_frame(TEXT, "hé".encode())) == Received(1)
    assert conversation.receive(client_frame(BINARY, bytes(range(256)))) == Received(1)
    assert conversation.receive(client_frame(TEXT, b"h\xc3", final=False)) == Received(1)
    assert conversation.receive(client_frame(PING, b"between")) == Received(1, reply=b"\x8a\x07between")
    assert conversation.receive(client_frame(CONTINUATION, b"\xa9")) == Received(1)
    assert conversation.receive(client_frame(BINARY, b"x" * 256)) == Received(1)


@pytest.mark.parametrize(
    ("garbage", "number"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
        (client_frame(TEXT, b"unmasked", masked=False), 1002),
        (client_frame(3), 1002),
        (client_frame(CONTINUATION, b"of nothing"), 1002),
        (client_frame(TEXT, b"a", final=False) + client_frame(TEXT, b"b"), 1002),
        (client_frame(PING, b"x" * 126), 1002),
        (client_frame(PING, b"", final=False), 1002),
        (client_frame(CLOSE, b"x"), 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x81\xff" + b"\xff" * 8 + b"\0" * 4, 1002),
        (client_frame(TEXT, b"\xff\xff"), 1007),
        (client_frame(CLOSE, code(1014) + b"\xff"), 1007),
        *((client_frame(CLOSE, code(number)), 1002) for number in RESERVED),
    ],
)
def test_what_is_not_websocket_ends_the_conversation(garbage: bytes, number: int) -> None:
    """RFC 6455 §7.4.1: 1002 for the protocol, 1007 for what isn't UTF-8, as the reason of a close."""
    assert closing_of(garbage) == (code(number), "protocol")


@pytest.mark.parametrize(
    "frames",
    [
        client_frame(BINARY, b"x" * 1001),
        client_frame(TEXT, "é".encode() * 501),
        client_frame(TEXT, b"x" * 500, final=False)
        + client_frame(CONTINUATION, b"x" * 500, final=False)
        + client_frame(CONTINUATION, b"x", final=False),
    ],
    ids=["binary", "text", "fragments"],
)
def test_a_message_that_is_too_big_ends_the_conversation(frames: bytes) -> None:
    """1009 as soon as one byte is too many; small fragments don't get a large message past the limit."""
    assert closing_of(frames, max_message=1000) == (code(1009), "message_too_big")


def test_nothing_follows_the_end() -> None:
    """What stands in the same bytes as a close frame isn't answered."""
    received = Conversation(4096).receive(client_frame(PING, b"x") + client_frame(CLOSE) + client_frame(PING, b"y"))
    assert received.closing
    assert not received.reply
