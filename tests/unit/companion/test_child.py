"""What every companion does, in forked processes whose master is the test."""

import contextlib
import errno
import logging
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hvd.companion.child import Child, ignore_signals, take_reloads
from hvd.companion.command import Command
from hvd.companion.options import Options, OptionsFile
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.descriptors import limit
from hvd.core.pages import CAPACITY, Page
from hvd.core.slots import Slots
from tests.unit.core.support import ended, fork


@dataclass(frozen=True)
class Sample(Options):
    """Options of some companion."""

    most: int = 0

    @property
    def descriptors(self) -> int:
        return self.most


class Scene:
    """A slot, and an options file, for children of this process."""

    def __init__(self, block: Block) -> None:
        self.block, self.file = block, OptionsFile()
        self.file.write(Sample("info"))
        self.slot = Slots(block).claim(layout.KIND_JOB_RUNNER, os.getpid())
        self.descriptors = {"block": block.fd, "options": self.file.fd, "wake": 1}

    def end_of(self, work: Callable[[Child[Sample]], object], master: int = 0) -> int:
        """The status of a process that does this work as a companion; minus the signal that ended it."""

        def live() -> None:
            command = Command(self.block.name, self.slot, master or os.getppid(), self.descriptors)
            work(Child.begin("test", ["wake"], Sample, command.arguments()))

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


def test_a_reload_is_not_lost_and_ends_nobody(scene: Scene) -> None:
    """One that comes before the process can take it waits."""
    taken: list[int] = []

    def work(child: Child[Sample]) -> None:
        signal.raise_signal(signal.SIGHUP)
        assert taken == []
        signal.signal(signal.SIGHUP, lambda signum, frame: taken.append(signum))
        take_reloads()
        assert taken == [signal.SIGHUP]

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # as the master does
    try:
        assert scene.end_of(work) == 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
