"""The aggregator as a companion runs it: ticks, other options, the end. Its figures have tests of their own."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from hvd.agg import handoff
from hvd.agg.main import Aggregator
from hvd.agg.options import AggregatorOptions
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.core.stacks import StackFile
from hvd.jobs import events
from tests.support.loop import eventually, in_loop
from tests.support.ws import CLOSE, TEXT
from tests.unit.agg import HEADERS, Peer

SELDOM, OFTEN = 3600.0, 0.05  # s between ticks
OPTIONS = AggregatorOptions("info", SELDOM, SELDOM, SELDOM, 10, False)


class Child:
    """A companion's child side, without a process of its own."""

    def __init__(self, block: Block, options: AggregatorOptions) -> None:
        self.block, self.options = block, options
        self.slot = Slots(block).claim(layout.KIND_AGGREGATOR, os.getpid(), os.getpid())
        self.stacks = StackFile()
        self.pages: list[dict[str, Any]] = []
        self.workers, self._hub = handoff.socket_pair()
        self.writers, self._reader = events.socket_pair()

    def socket(self, name: str) -> socket.socket:
        return {"handoff": self._hub, "events": self._reader}[name]

    def publish(self, page: dict[str, Any]) -> None:
        self.pages.append(json.loads(json.dumps(page)))

    def close(self) -> None:
        for end in (self.workers, self._hub, self.writers, self._reader):
            end.close()
        os.close(self.stacks.fd)


class Scene:
    """An aggregator that runs, and its clients."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.aggregator = Aggregator(child)  # type: ignore[arg-type]
        self.running = asyncio.create_task(self.aggregator.run())
        self._peers: list[Peer] = []

    async def client(self) -> Peer:
        """One that a worker has handed off."""
        ours, theirs = socket.socketpair()
        self._peers.append(Peer(theirs))
        with ours:
            assert handoff.send(self.child.workers, ours.fileno(), HEADERS)
        assert b" 101 " in await self._peers[-1].response()
        return self._peers[-1]

    async def close(self) -> None:
        self.aggregator.stop()
        for peer in self._peers:
            peer.sock.close()
        await asyncio.wait([self.running])
        self.child.close()


@asynccontextmanager
async def scene(block: Block, **options: Any) -> AsyncIterator[Scene]:
    """One with these options."""
    made = Scene(Child(block, replace(OPTIONS, **options)))
    try:
        yield made
    finally:
        await made.close()


async def message(peer: Peer, kind: str = "metrics") -> dict[str, Any]:
    """The data of the next message of that type."""
    while True:
        opcode, payload = await peer.frame()
        assert opcode == TEXT
        read = json.loads(payload)
        if read["type"] == kind:
            return dict(read["data"])


@in_loop
async def test_each_tick_is_published_and_broadcast(block: Block) -> None:
    """A client gets one message at once, and then one a tick."""
    async with scene(block, interval=OFTEN) as stage:
        peer = await stage.client()
        await message(peer)
        seen = len(stage.child.pages)
        for _ in range(3):
            assert (await message(peer))["raw"]["websocket_clients"] == 1
        assert len(stage.child.pages) >= seen + 3
        assert stage.child.pages[-1]["page"] == "aggregator"


@in_loop
async def test_other_options_are_taken_over_at_once(block: Block) -> None:
    """A client that would have waited for an hour gets messages, though there may be no other beside it any more."""
    async with scene(block) as stage:
        peer = await stage.client()
        await message(peer)
        stage.child.options = replace(OPTIONS, interval=OFTEN, max_clients=1)
        stage.aggregator.reload()
        for _ in range(3):
            await message(peer)
        with pytest.raises(AssertionError):
            await stage.client()
        ticks = len(stage.child.pages)
        stage.child.options = replace(OPTIONS, interval=SELDOM)
        stage.aggregator.reload()
        await asyncio.sleep(4 * OFTEN)
        assert len(stage.child.pages) <= ticks + 1, "one that was due"
        await stage.client()


@in_loop
async def test_jobs_are_told_of_as_they_change(block: Block) -> None:
    """What workers and the job runner write reaches clients without a tick."""
    async with scene(block) as stage:
        peer = await stage.client()
        await message(peer)
        events.send(stage.child.writers, {"id": "a", "status": "running", "revision": 1, "progress": 0.0})
        assert (await message(peer, "job_update"))["status"] == "running"


@pytest.mark.parametrize("when", ["at once", "later"])
@in_loop
async def test_a_stop_ends_it_soon(block: Block, when: str) -> None:
    """Clients are told that the server goes away."""
    async with scene(block) as stage:
        if when == "later":
            peer = await stage.client()
            await message(peer)
        stage.aggregator.stop()
        if when == "later":
            while (frame := await peer.frame())[0] != CLOSE:
                pass
            assert frame[1] == (1001).to_bytes(2, "big")
            peer.sock.close()
        await asyncio.wait_for(stage.running, 10)


@in_loop
async def test_a_tick_that_fails_ends_the_process(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master starts another one; an aggregator that only seems to work would be worse."""
    async with scene(block, interval=OFTEN) as stage:
        await eventually(lambda: stage.child.pages)

        def fails() -> None:
            raise ValueError("too long")

        monkeypatch.setattr(stage.aggregator, "tick", fails)
        with pytest.raises(ValueError, match="too long"):
            await stage.running
