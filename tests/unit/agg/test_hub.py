"""The set of clients: greeting, broadcast, pings, slow clients, the end."""

import asyncio
import gc
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import simple_websocket

from hvd.agg import client, handoff
from hvd.metrics.table import HANDOFFS_REFUSED, WS_CONNECTED, WS_DROPPED, WS_FRAMES
from tests.support.loop import PATIENCE, eventually, in_loop
from tests.support.ws import CLOSE, PING, PONG, TEXT, client_frame
from tests.unit.agg import HEADERS, Peer, scene

FAMILIES = [socket.AF_UNIX, socket.AF_INET, socket.AF_INET6]
NEVER = 3600.0  # s


@pytest.fixture
def only_mine() -> Iterator[None]:
    """What other tests left in cycles goes before this one; and collecting what this one leaves takes no long look at
    all that the process has, which late in a run is a second.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("family", FAMILIES)
@in_loop
async def test_the_greeting_comes_first(family: int) -> None:
    """Before any broadcast, on each kind of socket."""
    async with scene(greeting=lambda _: ("hello",)) as stage:
        peer = await stage.client(family)
        stage.hub.broadcast("news")
        assert await peer.frame() == (TEXT, b"hello")
        assert await peer.frame() == (TEXT, b"news")
        assert (stage.counted[WS_CONNECTED], stage.counted[WS_FRAMES], stage.hub.clients) == (1, 2, 1)


@in_loop
async def test_each_greeting_is_the_latest() -> None:
    """The texts are asked for at each connection, and all of them are sent."""
    texts = iter([("one",), ("two", "and"), ("two", "and"), ()])
    async with scene(greeting=lambda _: next(texts)) as stage:
        for expected in ([b"one"], [b"two", b"and"], [b"two", b"and"]):
            peer = await stage.client()
            assert [await peer.frame() for _ in expected] == [(TEXT, text) for text in expected]
        last = await stage.client()
        stage.hub.broadcast("first of all")
        assert await last.frame() == (TEXT, b"first of all")


@in_loop
async def test_clients_come_again_once_others_may_read() -> None:
    """Whoever was let in before is ended, and nobody comes whom older settings let in; open reads end nobody."""
    async with scene() as stage:
        stage.hub.set_access("")
        first = await stage.client()
        for access in ("a", "a"):
            stage.hub.set_access(access)
        assert await first.close_code() == 1008
        assert stage.reasons == {"access": 1}
        _, refused = stage.adopt()
        assert b" 503 " in await refused.response()
        _, second = stage.adopt(**{handoff.ACCESS: "a"})
        assert b" 101 " in await second.response()
        stage.hub.set_access("")
        await stage.client()
        assert stage.hub.clients == 2


@in_loop
async def test_a_broadcast_reaches_every_client() -> None:
    """300 clients, three frames, in order."""
    async with scene() as stage:
        peers = [await stage.client() for _ in range(300)]
        for text in ("1", "2" * 1000, "3" * 70_000):
            stage.hub.broadcast(text)
        for peer in peers:
            assert [(await peer.frame())[1][:1] for _ in range(3)] == [b"1", b"2", b"3"]
        assert (stage.counted[WS_FRAMES], stage.counted[WS_DROPPED]) == (900, 0)


@in_loop
async def test_details_go_to_those_who_asked() -> None:
    """In their greeting and after it; the others see none of it, and nobody does once they are gone."""
    wishes: list[bool] = []

    def greeting(detailed: bool) -> tuple[str, ...]:
        wishes.append(detailed)
        return ("hello", "more") if detailed else ("hello",)

    async with scene(greeting=greeting) as stage:
        plain = await stage.client()
        others = []
        for wish in ("1", "2", ""):
            _, peer = stage.adopt(**{handoff.DETAIL: wish})
            await peer.response()
            others.append(peer)
        detailed = others[0]
        assert wishes == [False, True, False, False]
        assert stage.hub.detailed_clients == 1
        stage.hub.broadcast("all")
        stage.hub.broadcast("details", detailed=True)
        stage.hub.broadcast("all again")
        assert [(await detailed.frame())[1] for _ in range(5)] == [b"hello", b"more", b"all", b"details", b"all again"]
        for peer in (plain, *others[1:]):
            assert [(await peer.frame())[1] for _ in range(3)] == [b"hello", b"all", b"all again"]
        detailed.sock.close()
        await eventually(lambda: stage.hub.detailed_clients == 0)
        sent = stage.counted[WS_FRAMES]
        stage.hub.broadcast("details", detailed=True)
        assert (stage.counted[WS_FRAMES], stage.hub.clients) == (sent, 3)


@in_loop
async def test_a_broadcast_to_nobody_is_nothing() -> None:
    """No client, no frame."""
    async with scene() as stage:
        stage.hub.broadcast("anyone?")
        assert stage.counted[WS_FRAMES] == 0


@in_loop
async def test_a_client_that_went_does_not_hurt_the_broadcast() -> None:
    """Writing to a dead connection ends that one only."""
    async with scene() as stage:
        dead, alive = await stage.client(socket.AF_INET), await stage.client()
        dead.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        dead.sock.close()
        stage.hub.broadcast("still here")
        assert await alive.frame() == (TEXT, b"still here")
        await eventually(lambda: stage.hub.clients == 1)
        assert stage.reasons == {"error": 1}


@in_loop
async def test_a_bad_handshake_is_answered_and_the_socket_closed() -> None:
    """No client; the answer is counted."""
    async with scene() as stage:
        ours, peer = stage.adopt(**{"sec-websocket-key": "?"})
        assert b" 400 " in await peer.response()
        assert ours.fileno() == -1
        assert (stage.hub.clients, stage.counted[WS_CONNECTED]) == (0, 0)
        assert (stage.responses, stage.counted[HANDOFFS_REFUSED]) == (["400"], 1)


@in_loop
async def test_an_answer_is_counted_before_its_first_byte_leaves() -> None:
    """So whoever has seen a 101 finds it counted."""
    async with scene() as stage:
        ours, peer = stage.pair()

        def count_response(labels: tuple[str, ...], is_error: bool) -> None:
            with pytest.raises(BlockingIOError):
                peer.sock.recv(1)
            stage.responses.append(labels[-1])

        stage.count_response = count_response  # type: ignore[method-assign]
        stage.hub.adopt(ours, HEADERS)
        assert b" 101 " in await peer.response()
        assert stage.responses == ["101"]


@in_loop
async def test_a_socket_that_is_dead_already_is_closed() -> None:
    """The client may be gone before the hub gets its socket."""
    async with scene() as stage:
        ours, peer = stage.pair()
        peer.sock.close()
        stage.hub.adopt(ours, HEADERS)
        assert ours.fileno() == -1
        assert stage.hub.clients == 0


@in_loop
async def test_clients_beyond_the_limit_are_refused() -> None:
    """503, and room again once one has left."""
    async with scene(max_clients=1) as stage:
        first = await stage.client()
        _, second = stage.adopt()
        assert b" 503 " in await second.response()
        assert stage.responses == ["101", "503"]
        first.sock.close()
        await eventually(lambda: stage.hub.clients == 0)
        await stage.client()


@in_loop
async def test_other_limits_end_no_connection() -> None:
    """Fewer clients than there are: all stay, and others are refused; more: others come again."""
    async with scene(max_clients=2) as stage:
        peers = [await stage.client(), await stage.client()]
        stage.hub.set_limits(1, NEVER, NEVER)
        _, refused = stage.adopt()
        assert b" 503 " in await refused.response()
        stage.hub.broadcast("news")
        for peer in peers:
            assert await peer.frame() == (TEXT, b"news")
        stage.hub.set_limits(3, NEVER, NEVER)
        await stage.client()
        assert stage.hub.clients == 3


@in_loop
async def test_other_ping_times_are_for_all_clients() -> None:
    """For those who are connected, too, however long they would have waited for a ping."""
    async with scene(ping_interval=NEVER, ping_timeout=NEVER) as stage:
        peer = await stage.client()
        stage.hub.set_limits(2, 0.2, 0.2)
        assert (await peer.frame())[0] == PING
        assert await peer.close_code() == 1008
        assert stage.reasons == {"ping_timeout": 1}


@in_loop
async def test_close_says_going_away_after_the_frame_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """1001 to all, as soon as each has read what was half written; even a flooder isn't waited for longer."""
    monkeypatch.setattr(client, "LINGER", NEVER)
    async with scene(ping_interval=NEVER) as stage:
        peers = [await stage.client() for _ in range(20)]
        stage.hub.broadcast("x" * 300_000)
        peers[0].sock.sendall(client_frame(PONG) * 2000)
        for _ in range(10):
            await asyncio.sleep(0)  # the loop turns: the flood is read until its budget is used up

        async def read(peer: Peer) -> int | None:
            code = await peer.close_code()
            peer.sock.close()
            return code

        codes = asyncio.gather(*(read(peer) for peer in peers))
        await asyncio.wait_for(stage.hub.close(deadline=NEVER), PATIENCE)
        assert await codes == [1001] * 20
        assert stage.hub.clients == 0
        assert stage.reasons == {"going_away": 20}


@in_loop
async def test_close_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped reader gets no 1001 and is closed all the same at the deadline; who comes later gets 503."""
    monkeypatch.setattr(client, "LINGER", NEVER)
    async with scene(ping_interval=NEVER) as stage:
        ours, _ = stage.adopt()
        stage.hub.broadcast("x" * 3_000_000)
        await asyncio.wait_for(stage.hub.close(deadline=0.1), PATIENCE)
        assert ours.fileno() == -1
        assert stage.reasons == {"going_away": 1}
        ours, late = stage.adopt()
        assert b" 503 " in await late.response()


@pytest.mark.usefixtures("only_mine")
@in_loop
async def test_fifty_rounds_leak_no_descriptor() -> None:
    """Whoever ends the connection, and however."""
    async with scene() as stage:
        before = descriptors()
        for round_ in range(50):
            peer = await stage.client()
            if round_ % 3 == 0:
                peer.say(CLOSE)
            elif round_ % 3 == 1:
                peer.sock.sendall(b"garbage")
                await peer.end()
            peer.sock.close()
            await eventually(lambda: stage.hub.clients == 0 and descriptors() == before)


@in_loop
async def test_hand_offs_become_clients() -> None:
    """A burst of them, while broadcasts go on, and a channel whose other end closes."""
    async with scene(greeting=lambda _: ("hello",)) as stage:
        worker_end, hub_end = handoff.socket_pair()
        stage.hub.listen(hub_end)
        peers = []
        for _ in range(200):
            ours, peer = stage.pair()
            assert handoff.send(worker_end, ours.fileno(), HEADERS)
            ours.close()
            peers.append(peer)
        for peer in peers:
            assert b" 101 " in await peer.response()
            assert await peer.frame() == (TEXT, b"hello")
        worker_end.close()
        await eventually(lambda: not stage.hub._listening)  # or the loop would spin on the end of file
        hub_end.close()
        assert stage.hub.clients == 200


@in_loop
async def test_a_real_client_gets_frames_and_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """simple_websocket's client against the hub over TCP; pings don't disturb it."""
    monkeypatch.setattr(client, "LINGER", NEVER)
    pongs: list[client.Client] = []
    note_pong = client.Client._note_pong
    monkeypatch.setattr(client.Client, "_note_pong", lambda self: [pongs.append(self), note_pong(self)])
    async with scene(greeting=lambda _: ("hello",), ping_interval=0.1, ping_timeout=NEVER) as stage:
        loop = asyncio.get_running_loop()

        def talk(port: int) -> list[object]:
            client = simple_websocket.Client(f"ws://127.0.0.1:{port}/ws")
            got: list[object] = [client.receive(PATIENCE)]
            client.send("anyone?")
            got.append(client.receive(PATIENCE))
            with pytest.raises(simple_websocket.ConnectionClosed) as closed:
                client.receive(PATIENCE)
            client.thread.join(PATIENCE)
            client.sock.close()
            return [*got, int(closed.value.reason)]

        with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
            server.setblocking(False)
            talking = loop.run_in_executor(pool, talk, server.getsockname()[1])
            ours, _ = await loop.sock_accept(server)
            request = await loop.sock_recv(ours, 4096)
            pairs = (line.split(": ", 1) for line in request.decode().strip().split("\r\n")[1:])
            stage.hub.adopt(ours, {name.lower(): value for name, value in pairs})
            stage.hub.broadcast("news")
            await eventually(lambda: len(pongs) >= 3)
            assert stage.hub.clients == 1
            await stage.hub.close(deadline=PATIENCE)
            assert await talking == ["hello", "news", 1001]
