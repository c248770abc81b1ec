"""The exporter as a companion runs it: pushes, failures, other options, the end."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.core.stacks import StackFile
from hvd.metrics.table import OTLP
from hvd.otlp import main as module
from hvd.otlp.main import Exporter, ReceiverStuck
from hvd.otlp.options import ExporterOptions
from hvd.read.reading import BlockReader
from tests.support.loop import eventually, in_loop
from tests.support.otlp import HttpReceiver, http_receiver, respond
from tests.unit.core.support import standing
from tests.unit.otlp.support import options


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


class Child:
    """A companion's child side, without a process of its own."""

    def __init__(self, block: Block, options: ExporterOptions) -> None:
        self.block, self.options = block, options
        self.slot = Slots(block).claim(layout.KIND_EXPORTER, os.getpid(), os.getpid())
        self.stacks = StackFile()
        self.pages: list[dict[str, Any]] = []

    def publish(self, page: dict[str, Any]) -> None:
        self.pages.append(json.loads(json.dumps(page)))

    def pushes(self) -> dict[str, int]:
        totals = BlockReader(self.block).totals()
        return {series.labels[0]: totals.run(series)[0] for series in totals.of(OTLP.key) if totals.run(series)[0]}


@asynccontextmanager
async def running(child: Child) -> AsyncIterator[Exporter]:
    """An exporter that runs; it ends soon after it is told to."""
    exporter = Exporter(child)  # type: ignore[arg-type]
    task = asyncio.create_task(exporter.run())
    try:
        yield exporter
        exporter.stop()
        await asyncio.wait_for(task, 15)
    finally:
        task.cancel()
        if exporter._push and exporter._push.receiver:
            exporter._push.receiver.close()  # what it sends ends with the process, which goes on here
        os.close(child.stacks.fd)


@in_loop
async def test_it_pushes_each_interval_and_once_more_at_the_end(block: Block, receiver: HttpReceiver) -> None:
    """So nothing is lost of what was counted since the last beat."""
    child = Child(block, options(receiver.url, interval=0.2))
    async with running(child):
        await eventually(lambda: receiver.number >= 3)
        child.options = options(receiver.url, interval=3600.0)
        await eventually(lambda: child.pushes().get("accepted", 0) >= receiver.number - 1)
        before = receiver.number
    assert receiver.number >= before + 1
    assert child.pushes() == {"accepted": receiver.number}
    assert (child.pages[0]["is_on"], child.pages[-1]["is_failing"]) == (True, False)
    assert child.pages[-1]["accepted_ns"] > 0


@in_loop
async def test_it_tries_again_with_longer_pauses(
    block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not longer than the interval; with the figures of then."""
    monkeypatch.setattr(module, "FIRST", 0.0)
    monkeypatch.setattr(module, "PAUSE", 0.02)
    times: list[float] = []

    def refuse(handler: object) -> None:
        times.append(time.monotonic())
        respond(handler, 400)

    receiver.answer = refuse
    child = Child(block, options(receiver.url))
    async with running(child):
        await eventually(lambda: len(times) >= 5)
        assert times[4] - times[3] > 0.02 * 2**3 * 0.7
        assert child.pages[-1]["is_failing"]
        receiver.answer = None
        await eventually(lambda: not child.pages[-1]["is_failing"])
    assert child.pushes()["failed"] >= 5
    assert receiver.number >= 1


@in_loop
async def test_it_waits_for_as_long_as_the_receiver_says(
    block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it would come again sooner by itself; and not for ever."""
    monkeypatch.setattr(module, "FIRST", 0.0)
    monkeypatch.setattr(module, "PAUSE", 0.02)
    monkeypatch.setattr(module, "LONGEST_WAIT", 1.5)
    times: list[float] = []

    def refuse(handler: object) -> None:
        times.append(time.monotonic())
        respond(handler, 429, Retry_After="86400")

    receiver.answer = refuse
    async with running(Child(block, options(receiver.url))):
        await eventually(lambda: len(times) >= 3)
    assert min(later - sooner for sooner, later in pairwise(times)) >= 1.0


@in_loop
async def test_a_reload_goes_to_another_receiver_at_once(
    block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the one of before hangs; and to none."""
    monkeypatch.setattr(module, "FIRST", 0.05)
    hung: list[float] = []

    def hang(handler: object) -> None:
        hung.append(time.monotonic())
        receiver.hang(handler)

    receiver.answer = hang
    child = Child(block, options(receiver.url, timeout=60.0))
    with http_receiver() as other:
        async with running(child) as exporter:
            await eventually(lambda: hung)
            child.options = options(other.url)
            exporter.reload()
            await eventually(lambda: other.number)
            assert time.monotonic() - hung[0] < 15
            child.options = options("", interval=0.05)
            exporter.reload()
            await eventually(lambda: not child.pages[-1]["is_on"])
            before = other.number
            await asyncio.sleep(0.3)
        assert other.number == before
    assert receiver.number == 0


@in_loop
async def test_the_end_does_not_wait_for_a_receiver_that_hangs(
    block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master would kill it, and say so."""
    monkeypatch.setattr(module, "FIRST", 0.0)
    monkeypatch.setattr(module, "LAST", 0.1)
    hung: list[int] = []

    def hang(handler: object) -> None:
        hung.append(1)
        receiver.hang(handler)

    receiver.answer = hang
    async with running(Child(block, options(receiver.url, timeout=60.0))):
        await eventually(lambda: hung)
        began = time.monotonic()
    assert time.monotonic() - began < 10


@in_loop
async def test_a_push_that_never_ends_ends_the_process(
    block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where each header line of the answer comes late, but not too late for any timeout of the library."""
    monkeypatch.setattr(module, "FIRST", 0.0)
    monkeypatch.setattr(module, "STUCK", -0.5)

    def drip(handler: Any) -> None:
        for _ in range(100):
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n")
            time.sleep(0.05)

    receiver.answer = drip
    exporter = Exporter(Child(block, options(receiver.url, timeout=0.3)))  # type: ignore[arg-type]
    with pytest.raises(ReceiverStuck):
        await asyncio.wait_for(exporter.run(), 10)


@in_loop
async def test_the_older_of_two_stands_back(
    block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During an upgrade both masters have one: the same figures are not sent twice."""
    monkeypatch.setattr(module, "FIRST", 0.0)
    with standing(lambda: None) as newer:
        child, slots = Child(block, options(receiver.url, interval=0.05)), Slots(block)
        other = slots.claim(layout.KIND_EXPORTER, newer, os.getpid())
        slots.beat(other)
        async with running(child):
            await asyncio.sleep(0.2)
            slots.beat(other)
            assert receiver.number == 0
            slots.free(other)
            await eventually(lambda: receiver.number)
