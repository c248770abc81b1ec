"""What every companion does: in forked processes, and in a third companion, executed as the master does it."""

import contextlib
import errno
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hvd.companion.child import Child, ignore_signals
from hvd.companion.options import Command, Options, OptionsFile
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.descriptors import limit
from hvd.core.pages import CAPACITY, Page
from hvd.core.slots import Slots
from hvd.core.stacks import StackFile
from hvd.daemon.code import Code
from hvd.daemon.programs import Program
from tests.support.waiting import until
from tests.unit.core.support import ended, fork


@dataclass(frozen=True)
class Sample(Options):
    """Options of some companion."""

    most: int = 0
    text: str = ""

    @property
    def descriptors(self) -> int:
        return self.most


class Scene:
    """A slot, and an options file, for children of this process."""

    def __init__(self, block: Block) -> None:
        self.block, self.file = block, OptionsFile()
        self.file.write(Sample("info"))
        self.slot = Slots(block).claim(layout.KIND_JOB_RUNNER, os.getpid())
        self.descriptors = {"block": block.fd, "options": self.file.fd, "stacks": 1, "wake": 1}

    def end_of(self, work: Callable[[Child[Sample]], object], master: int = 0) -> int:
        """The status of a process that does this work as a companion; minus the signal that ended it."""

        def live() -> None:
            command = Command(self.block.name, self.slot, master or os.getppid(), self.descriptors)
            work(Child("test", ["wake"], Sample, command.arguments()))

        return ended(fork(live))


@pytest.fixture
def scene(block: Block) -> Scene:
    return Scene(block)


def test_it_has_what_the_master_passed_on(scene: Scene) -> None:
    """Block, slot, options, descriptors; what it publishes and its signs of life are seen by all."""

    def work(child: Child[Sample]) -> None:
        assert (child.block.name, child.slot, child.options) == (scene.block.name, scene.slot, Sample("info"))
        assert child.descriptor("wake") == 1
        assert not child.is_orphan
        child.publish({"page": "ü"})
        child.beat()
        with pytest.raises(ValueError, match="don't fit"):
            child.publish({"page": "x" * CAPACITY})

    assert scene.end_of(work) == 0
    assert Page(scene.block, scene.slot).read() == b'{"page":"\\u00fc"}'
    slot = Slots(scene.block).get(scene.slot)
    assert slot
    assert slot.heartbeat_ns


def test_it_ends_with_its_master(scene: Scene) -> None:
    """Even if that was gone before it could ask the kernel for it."""
    assert scene.end_of(lambda child: None, master=1) == -signal.SIGKILL


def test_options_are_taken_over_without_an_end(scene: Scene) -> None:
    """The log's level and the limit on open files follow; the limit never falls."""

    def work(child: Child[Sample]) -> None:
        assert not child.reload(), "nothing has changed"
        before = limit()
        for most in (before - 1, 0):
            scene.file.write(Sample("error", most))
            assert child.reload()
            assert child.options == Sample("error", most)
            assert logging.getLogger().level == logging.ERROR
            assert limit() == before
        os.ftruncate(scene.file.fd, 5)
        assert not child.reload(), "half-written ones are none"
        assert child.options == Sample("error", 0)

    assert scene.end_of(work) == 0


def test_signals_for_the_master_are_none_for_its_companions() -> None:
    """And are for programs that these execute."""

    def work() -> None:
        ignore_signals()
        for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            signal.raise_signal(signum)
            assert subprocess.run(["sh", "-c", f"kill -{signum} $$"], check=False).returncode == -signum

    assert ended(fork(work)) == 0


def test_a_socket_is_the_one_that_was_inherited(scene: Scene) -> None:
    """Whatever else the descriptor is: an error, which ends the process."""

    def work(child: Child[Sample]) -> None:
        with contextlib.suppress(OSError):
            child.socket("options")
            raise AssertionError(errno.ENOTSOCK)

    assert scene.end_of(work) == 0


THIRD = """if True:
    import asyncio
    from hvd.companion.child import Child
    from tests.unit.companion.test_child import Sample

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

    raise SystemExit(Child("third", ["wake"], Sample).run(Work))
"""


@pytest.fixture
def program(block: Block) -> Iterator[Program]:
    """Not executed yet."""
    options = Sample("info", text="one")
    program = Program(
        "third", "third", layout.KIND_JOB_RUNNER, block, StackFile(block.fd), {"wake": block.fd}, options, None, Code()
    )
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
    program.take(Sample("debug", text="two"))
    until(lambda: text() == "two", "it has the other options")
    companion.signal(signal.SIGTERM)
    until(companion.has_ended, "it has ended")
    assert (companion.pid, companion.cause_of_end(), text()) == (pid, "exit 0", "stopped")


def test_a_reload_at_the_start_is_not_lost(block: Block, program: Program) -> None:
    """It may come at any moment of it; one that doesn't run yet reads its options when it is started."""
    slot = Slots(block).claim(program.companion.kind, os.getpid())
    program.companion.reload()
    program.companion.start(slot)
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    program.take(Sample("info", text="two"))
    until(lambda: Page(block, slot).read() == b'{"text":"two"}', "it has the other options")
    assert not program.companion.has_ended()
    status = Path(f"/proc/{program.companion.pid}/status").read_text()
    assert re.findall(r"SigBlk:\s*0+\n", status), "what it executes blocks no signal"
