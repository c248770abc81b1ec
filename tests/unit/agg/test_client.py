"""One client's socket: what comes early, floods, endings."""

import socket

import pytest

from hvd.agg import client
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

PATIENT = 60.0  # s


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that comes only because time ran out is a failure."""
    monkeypatch.setattr(client, "LINGER", PATIENT)


async def ended(stage: Scene, peer: Peer, reason: str) -> None:
    """The peer sees the end, and the hub has counted it under this reason alone."""
    await peer.end()
    peer.sock.close()
    await eventually(lambda: stage.hub.clients == 0)
    assert stage.counters.reasons == {reason: 1}


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
    monkeypatch.setattr(client, "LINGER", 0.05)
    async with scene() as stage:
        ours, peer = stage.pair()
        stage.hub.adopt(ours, HEADERS)
        peer.sock.sendall(b"garbage garbage")
        await eventually(lambda: ours.fileno() == -1)
        assert stage.counters.reasons == {"protocol": 1}
