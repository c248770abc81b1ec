"""One client: handshake, frames from the peer, endings."""

import socket

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection
from wsproto.frame_protocol import FrameProtocol

from hvd.agg import ws
from tests.unit.agg import (
    BINARY,
    CLOSE,
    HEADERS,
    PING,
    PONG,
    TEXT,
    Peer,
    Scene,
    client_frame,
    eventually,
    in_loop,
    scene,
)

CONTINUATION = 0
PATIENT = 60.0  # s


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that comes only because time ran out is a failure."""
    monkeypatch.setattr(ws, "LINGER", PATIENT)


async def ended(stage: Scene, peer: Peer, reason: str) -> None:
    """The peer sees the end, and the hub has counted it under this reason alone."""
    await peer.end()
    peer.sock.close()
    await eventually(lambda: stage.hub.clients == 0)
    assert stage.counters.reasons == {reason: 1}


def test_handshake_answers_the_example_of_the_rfc() -> None:
    """The key and the answer of RFC 6455 §1.3."""
    accepted, response = ws.handshake(HEADERS)
    assert accepted
    lines = response.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert {"Upgrade: websocket", "Connection: Upgrade"} <= set(lines)
    assert lines[-2:] == ["", ""]
    assert "Sec-WebSocket-Extensions" not in response.decode()
    assert "Sec-WebSocket-Protocol" not in response.decode()


@pytest.mark.parametrize(
    "key",
    ["", "short", "AAAA", "dGhlIHNhbXBsZSBub25jZQ", "ü" * 24, "dGhlIHNhbXBsZSBub25j\r\nX: y", "A" * 64, "\ud800" * 24],
)
def test_handshake_refuses_a_malformed_key(key: str) -> None:
    """Anything but 16 bytes in base64 is a bad request, never an exception."""
    accepted, response = ws.handshake({**HEADERS, "sec-websocket-key": key})
    assert not accepted
    assert response.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("version", ["", "8", "13, 8", "x"])
def test_handshake_names_the_version_it_speaks(version: str) -> None:
    """RFC 6455 §4.2.2: 426 with the version that would do."""
    accepted, response = ws.handshake({**HEADERS, "sec-websocket-version": version})
    assert not accepted
    assert response.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in response


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_text_frame_has_the_shortest_length_field(length: int) -> None:
    """RFC 6455 §5.2: 7, 16 or 64 bits."""
    frame = ws.text_frame("x" * length)
    assert frame[0] == 0x81
    assert len(frame) == length + (2 if length < 126 else 4 if length < 65536 else 10)


@pytest.mark.parametrize(
    ("early", "answer"),
    [
        (client_frame(PING, b"early"), (PONG, b"early")),
        (client_frame(PING, b"early")[:4], None),
        (client_frame(CLOSE, b"\x03\xe8"), (CLOSE, b"\x03\xe8")),
        (b"GET / HTTP/1.1\r\n\r\n", (CLOSE, b"\x03\xea")),
    ],
    ids=["ping", "half a ping", "close", "garbage"],
)
@in_loop
async def test_what_came_with_the_handshake_is_heard(early: bytes, answer: tuple[int, bytes] | None) -> None:
    """After the greeting; a frame may go on in what comes later."""
    async with scene(greeting=lambda _: ("hello",)) as stage:
        ours, peer = stage.pair()
        stage.hub.adopt(ours, HEADERS, early)
        await peer.response()
        assert await peer.frame() == (TEXT, b"hello")
        if answer is None:
            peer.sock.sendall(client_frame(PING, b"early")[4:])
            answer = (PONG, b"early")
        assert await peer.frame() == answer


@in_loop
async def test_a_close_frame_is_answered_with_its_code() -> None:
    """RFC 6455 §5.5.1; then the server ends the connection."""
    async with scene() as stage:
        peer = await stage.client()
        peer.say(CLOSE, (1001).to_bytes(2, "big") + b"bye")
        assert await peer.close_code() == 1001
        await ended(stage, peer, "client")


@in_loop
async def test_an_empty_close_frame_is_answered() -> None:
    """No status code received, none sent."""
    async with scene() as stage:
        peer = await stage.client()
        peer.say(CLOSE)
        assert await peer.close_code() is None
        await ended(stage, peer, "client")


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999])
@in_loop
async def test_every_code_that_may_be_sent_is_answered(code: int) -> None:
    """RFC 6455 §7.4, and IANA's list, which has grown: 1014 is one that wsproto doesn't know."""
    async with scene() as stage:
        peer = await stage.client()
        peer.say(CLOSE, code.to_bytes(2, "big") + "é".encode())
        assert await peer.close_code() == code
        await ended(stage, peer, "client")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
@in_loop
async def test_a_code_that_nobody_may_send_breaks_the_rules(code: int) -> None:
    """Reserved, or said of what was never sent."""
    async with scene() as stage:
        peer = await stage.client()
        peer.say(CLOSE, code.to_bytes(2, "big"))
        assert await peer.close_code() == 1002
        await ended(stage, peer, "protocol")


@in_loop
async def test_a_bad_gateways_reason_is_text_too() -> None:
    """What is made of 1014 changes nothing else."""
    async with scene() as stage:
        peer = await stage.client()
        peer.say(CLOSE, (1014).to_bytes(2, "big") + b"\xff")
        assert await peer.close_code() == 1007
        await ended(stage, peer, "protocol")


def test_wsproto_still_takes_1014_for_nobodys() -> None:
    """If this fails, `_Frames` has had its time."""
    parser = Connection(ConnectionType.SERVER)
    assert isinstance(parser._proto, FrameProtocol)
    parser.receive_data(client_frame(CLOSE, (1014).to_bytes(2, "big")))
    (event,) = parser.events()
    assert isinstance(event, CloseConnection)
    assert event.code == 1002


@in_loop
async def test_a_peer_that_just_goes_is_let_go() -> None:
    """End of file without a close frame."""
    async with scene() as stage:
        peer = await stage.client()
        peer.sock.shutdown(socket.SHUT_WR)
        await ended(stage, peer, "client")


@in_loop
async def test_a_ping_is_answered_with_its_payload() -> None:
    """RFC 6455 §5.5.2."""
    async with scene() as stage:
        peer = await stage.client()
        peer.say(PING, b"payload")
        assert await peer.frame() == (PONG, b"payload")


@in_loop
async def test_messages_are_ignored() -> None:
    """Text, binary and unsolicited pongs, whole or in fragments, change nothing."""
    async with scene() as stage:
        peer = await stage.client()
        peer.say(TEXT, "hé".encode())
        peer.say(BINARY, bytes(range(256)))
        peer.say(PONG)
        peer.say(TEXT, b"h\xc3", final=False)
        peer.say(PING, b"between")
        peer.say(CONTINUATION, b"\xa9")
        peer.say(PING, b"after")
        pongs = [await peer.frame()]
        if pongs[0][1] == b"between":  # both may have been read at once: then only the latest is answered
            pongs.append(await peer.frame())
        assert pongs[-1] == (PONG, b"after")
        assert stage.hub.clients == 1


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
        (client_frame(TEXT, b"unmasked", masked=False), 1002),
        (client_frame(3), 1002),
        (client_frame(CONTINUATION, b"of nothing"), 1002),
        (client_frame(PING, b"x" * 126), 1002),
        (client_frame(PING, b"", final=False), 1002),
        (client_frame(CLOSE, b"x"), 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x81\xff" + b"\xff" * 8 + b"\0" * 4, 1002),
        (client_frame(TEXT, b"\xff\xff"), 1007),
    ],
)
@in_loop
async def test_what_is_not_websocket_ends_the_connection(garbage: bytes, code: int) -> None:
    """RFC 6455 §7.4.1: 1002 for the protocol, 1007 for what isn't UTF-8; and at once."""
    async with scene() as stage:
        peer = await stage.client()
        peer.sock.sendall(garbage)
        assert await peer.close_code() == code
        await ended(stage, peer, "protocol")


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
@in_loop
async def test_a_message_that_is_too_big_ends_the_connection(family: int) -> None:
    """1009, and it arrives although the peer goes on sending."""
    async with scene(max_message=4096) as stage:
        peer = await stage.client(family)
        peer.say(TEXT, b"x" * 4096)
        peer.say(PING, b"still here")
        assert await peer.frame() == (PONG, b"still here")
        peer.say(BINARY, b"x" * 20_000)
        assert await peer.close_code() == 1009
        await ended(stage, peer, "message_too_big")


@in_loop
async def test_fragments_count_as_one_message() -> None:
    """Small frames don't get a large message past the limit."""
    async with scene(max_message=1000) as stage:
        peer = await stage.client()
        peer.say(TEXT, b"x" * 500, final=False)
        peer.say(CONTINUATION, b"x" * 500, final=False)
        peer.say(CONTINUATION, b"x", final=False)
        assert await peer.close_code() == 1009
        await ended(stage, peer, "message_too_big")


@in_loop
async def test_a_flood_is_read_slowly_and_still_ends() -> None:
    """A client that pours frames in isn't read for a while, but its close frame is found in the end."""
    async with scene(ping_interval=0.2, ping_timeout=PATIENT) as stage:
        flooder, other = await stage.client(), await stage.client()
        flooder.sock.sendall(client_frame(PONG) * 1000 + client_frame(CLOSE))
        stage.hub.broadcast("on time")
        assert (await other.frame())[0] == TEXT
        assert stage.hub.clients == 2
        await flooder.close_code()
        await eventually(lambda: stage.hub.clients == 1)


@in_loop
async def test_a_flood_ends_under_its_own_name() -> None:
    """Its pong isn't reached in time, which is no silence: 1008, and the reason says why."""
    async with scene(ping_interval=0.2, ping_timeout=0.2) as stage:
        peer = await stage.client()
        peer.sock.setblocking(True)
        peer.sock.sendall(client_frame(TEXT) * 10_000)
        peer.sock.setblocking(False)
        while (frame := await peer.frame())[0] == PING:
            pass
        assert frame == (CLOSE, (1008).to_bytes(2, "big"))
        await ended(stage, peer, "flood")


@in_loop
async def test_a_connection_that_never_ends_its_side_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After our close frame the peer gets LINGER seconds, no more."""
    monkeypatch.setattr(ws, "LINGER", 0.05)
    async with scene() as stage:
        ours, peer = stage.pair()
        stage.hub.adopt(ours, HEADERS)
        peer.sock.sendall(b"garbage garbage")
        await eventually(lambda: ours.fileno() == -1)
        assert stage.counters.reasons == {"protocol": 1}
