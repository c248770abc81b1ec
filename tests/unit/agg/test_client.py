"""One client's socket: what comes early, slow readers, floods, pings, endings."""

import asyncio
import socket

import pytest

from hvd.agg import client
from hvd.metrics.table import WS_DROPPED
from tests.support.loop import eventually, in_loop
from tests.support.ws import BINARY, CLOSE, PING, PONG, TEXT, client_frame
from tests.unit.agg import Peer, Scene, scene

PATIENT = 60.0  # s
NEVER = 3600.0  # s


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that comes only because time ran out is a failure."""
    monkeypatch.setattr(client, "LINGER", PATIENT)


async def ended(stage: Scene, peer: Peer, reason: str) -> None:
    """The peer sees the end, and the hub has counted it under this reason alone."""
    await peer.end()
    peer.sock.close()
    await eventually(lambda: stage.hub.clients == 0)
    assert stage.reasons == {reason: 1}


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
        _, peer = stage.adopt(early=early)
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
        ours, peer = stage.adopt()
        peer.sock.sendall(b"garbage garbage")
        await eventually(lambda: ours.fileno() == -1)
        assert stage.reasons == {"protocol": 1}


async def fill(stage: Scene, text: str) -> int:
    """Broadcast until a frame is lost. -> how many frames were sent."""
    n = 0
    while not stage.counted[WS_DROPPED]:
        stage.hub.broadcast(text)
        n += 1
        await asyncio.sleep(0)
        assert n < 10_000
    return n


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
@in_loop
async def test_a_stopped_reader_loses_frames_then_its_connection(family: int) -> None:
    """The others get every frame meanwhile, each before the next is sent."""
    async with scene(max_buffer=20_000, max_missed=5, ping_interval=NEVER) as stage:
        stopped, other = await stage.client(family), await stage.client()
        if family == socket.AF_INET:
            stopped.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for n in range(2000):
            stage.hub.broadcast(f"{n:05}" * 400)
            assert (await other.frame())[1][:5] == b"%05d" % n
            if stage.reasons:
                break
        assert stage.reasons == {"too_slow": 1}
        assert stage.counted[WS_DROPPED] == 5
        assert stage.hub.clients == 1


@in_loop
async def test_a_slow_reader_loses_the_oldest_frames_and_gets_whole_ones() -> None:
    """What it reads afterwards is complete frames, in order, the latest among them."""
    async with scene(max_buffer=20_000, max_missed=1000, ping_interval=NEVER) as stage:
        slow = await stage.client()
        sent = await fill(stage, "filler" * 400)
        for n in range(50):
            stage.hub.broadcast(f"{n:05}" * 400)
        stage.hub.broadcast("last")
        got: list[bytes] = []
        while not got or got[-1] != b"last":
            opcode, payload = await slow.frame()
            assert opcode == TEXT
            got.append(payload)
        assert len(got) == sent + 51 - stage.counted[WS_DROPPED]
        assert stage.counted[WS_DROPPED] > 40
        numbers = [int(payload[:5]) for payload in got if payload[:1].isdigit()]
        assert numbers == list(range(50 - len(numbers), 50))
        stage.hub.broadcast("caught up")
        assert await slow.frame() == (TEXT, b"caught up")


@in_loop
async def test_missed_frames_are_forgiven_once_a_client_has_caught_up() -> None:
    """`max_missed` counts frames in a row."""
    async with scene(max_buffer=20_000, max_missed=2, ping_interval=NEVER) as stage:
        slow, sent = await stage.client(), []
        for round_ in range(3):
            sent.append(await fill(stage, "filler" * 400))
            stage.hub.broadcast(f"end {round_}")
            while (await slow.frame())[1] != b"end %d" % round_:
                pass
            stage.counted[WS_DROPPED] = 0
        assert max(sent) - min(sent) <= 1, "the buffer is as large as before"
        assert stage.hub.clients == 1


@in_loop
async def test_a_frame_larger_than_the_buffer_is_delivered() -> None:
    """The bound is on what piles up, not on the size of a snapshot."""
    async with scene(max_buffer=1000) as stage:
        peer = await stage.client()
        stage.hub.broadcast("x" * 3_000_000)
        stage.hub.broadcast("y" * 3_000_000)
        assert [len((await peer.frame())[1]) for _ in range(2)] == [3_000_000] * 2


@in_loop
async def test_a_client_that_answers_no_ping_is_closed() -> None:
    """Half open: the connection stands, and nobody is there."""
    now = 0.0  # a clock that stands still until the pong is there, however long that takes
    async with scene(ping_interval=0.1, ping_timeout=0.1, clock=lambda: now) as stage:
        silent, alive = await stage.client(), await stage.client()
        ours = list(stage.hub._clients)[1]
        for _ in range(5):
            now += 0.1
            assert (await alive.frame())[0] == PING
            alive.say(PONG)
            await eventually(lambda: not ours._awaits_pong)
        assert await silent.close_code() == 1008
        assert stage.hub.clients == 1
        assert stage.reasons == {"ping_timeout": 1}


@in_loop
async def test_a_stopped_reader_is_noticed_by_the_pings_without_any_broadcast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ping that can't even be written counts as unanswered."""
    monkeypatch.setattr(client, "LINGER", 0.05)
    async with scene(ping_interval=0.1, ping_timeout=0.1) as stage:
        ours, peer = stage.adopt()
        stage.hub.broadcast("x" * 3_000_000)
        await eventually(lambda: ours.fileno() == -1)
        assert stage.reasons == {"ping_timeout": 1}
        await peer.end()
