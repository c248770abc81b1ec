"""A third companion, executed as the master does it, that has nothing but its own work."""

import json
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hvd.companion.options import Options
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.pages import Page
from hvd.core.slots import Slots
from hvd.daemon.code import Code
from hvd.daemon.programs import Program
from tests.support.waiting import until

THIRD = """if True:
    import asyncio
    from hvd.companion import loop
    from hvd.companion.child import Child
    from tests.unit.companion.test_loop import Sample

    class Work:
        def __init__(self, child):
            self.child, self.over = child, asyncio.Event()

        async def run(self):
            self.reload()
            await self.over.wait()
            self.child.publish({"text": "stopped"})

        def reload(self):
            self.child.publish({"text": self.child.options.text})

        def stop(self):
            self.over.set()

    raise SystemExit(loop.run(Child.begin("third", ["wake"], Sample), Work))
"""


@dataclass(frozen=True)
class Sample(Options):
    """Options of the third companion."""

    text: str

    @property
    def descriptors(self) -> int:
        return 64


@pytest.fixture
def program(block: Block) -> Iterator[Program]:
    """Not executed yet."""
    options = Sample("info", "one")
    program = Program("third", "third", layout.KIND_JOB_RUNNER, block, {"wake": block.fd}, options, None, Code())
    command = program.companion.command
    program.companion.command = lambda slot: [sys.executable, "-c", THIRD, *command(slot)[4:]]
    yield program
    if program.companion.is_running:
        program.companion.signal(signal.SIGKILL)
        os.waitpid(program.companion.pid, 0)
        program.companion.forget(logging.getLogger("test"))


def test_a_companion_needs_only_its_own_work(block: Block, program: Program) -> None:
    """It beats, goes over to other options in the same process, and ends by SIGTERM with status 0."""
    slots, companion = Slots(block), program.companion
    slot = slots.claim(companion.kind, os.getpid())

    def text() -> object:
        page = Page(block, slot).read()
        return page and json.loads(page)["text"]

    companion.start(slot)
    pid = companion.pid
    until(lambda: text() == "one", "it works")
    until(lambda: (taken := slots.get(slot)) and taken.heartbeat_ns, "it beats")
    program.take(Sample("debug", "two"))
    until(lambda: text() == "two", "it has the other options")
    companion.signal(signal.SIGTERM)
    until(companion.has_ended, "it has ended")
    assert (companion.pid, companion.cause_of_end(), text()) == (pid, "exit 0", "stopped")


def test_a_reload_at_the_start_is_not_lost(block: Block, program: Program) -> None:
    """It may come at any moment of it."""
    slot = Slots(block).claim(program.companion.kind, os.getpid())
    program.companion.start(slot)
    program.take(Sample("info", "two"))
    until(lambda: Page(block, slot).read() == b'{"text":"two"}', "it has the other options")
    assert not program.companion.has_ended()
    status = Path(f"/proc/{program.companion.pid}/status").read_text()
    assert re.findall(r"SigBlk:\s*0+\n", status), "what it executes blocks no signal"
