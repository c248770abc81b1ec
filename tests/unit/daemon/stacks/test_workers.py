"""When a master takes the stacks of its workers, and what readers find then."""

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.core.stacks import StackFile
from hvd.daemon.stacks.workers import VARIABLE, Stacks, pass_file_on, receive_file
from hvd.metrics.table import FAMILIES
from hvd.read.stacks import LastStacks
from tests.support.waiting import until
from tests.unit.core.support import dead_pid, ended, fork, forked, no_descriptor

log = logging.getLogger("test")


def is_open(fd: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}")


class Scene:
    """A master of this process with one worker, which does some work."""

    def __init__(self, block: Block, file: StackFile) -> None:
        self.block, self.file = block, file
        self.workers: list[Any] = []
        self.stacks = Stacks(block, file, log, lambda: self.workers)
        self.slots, self.last = Slots(block), LastStacks(block, file)
        self.worker: Any = SimpleNamespace(hvd_slot=self.slots.claim(layout.KIND_WORKER, os.getpid()), pid=0)
        self.stacks.before_fork(self.worker)

    @property
    def slot(self) -> int:
        return int(self.worker.hvd_slot)

    def live(self, work: Callable[[], None]) -> None:
        self.stacks.enter_worker(self.worker)
        self.file.write(self.slot, "ready")
        work()

    def taken(self) -> int:
        return self.block.cells[self.block.layout.slot_cell(self.slot) + layout.S_STACK_TAKEN_NS]


@pytest.fixture
def scene(block: Block, file: StackFile) -> Iterator[Scene]:
    made = Scene(block, file)
    yield made
    made.stacks.forget(made.worker)


@pytest.fixture
def running(scene: Scene) -> Iterator[Scene]:
    """The worker serves a request, in a sleep."""

    def serve() -> None:
        Rows(scene.block, scene.slot, FAMILIES).mine().begin("GET", "/slow\x1b")
        time.sleep(1000)

    with forked(lambda: scene.live(serve)) as pid:
        scene.worker.pid = pid
        scene.workers.append(scene.worker)
        until(lambda: scene.file.read(scene.slot) == "ready", "it is ready")
        until(lambda: scene.block.cells[scene.block.layout.row_cell(scene.slot, 0) + layout.R_BEGIN_NS], "it serves")
        yield scene


def functions(scene: Scene) -> list[str]:
    """Names alone: faulthandler gives no more."""
    return [
        frame["function"].rpartition(".")[2]
        for thread in scene.last.of_slot(scene.slot).threads
        for frame in thread.frames
    ]


def test_stacks_are_taken_when_somebody_asks(running: Scene) -> None:
    """Once for all who asked before."""
    running.stacks.take_wanted()
    assert running.taken() == 0
    wanted = running.slots.want_stacks(running.slot)
    running.stacks.take_wanted()
    taken = running.taken()
    assert taken > wanted
    assert "serve" in functions(running)
    running.stacks.take_wanted()
    assert running.taken() == taken


def test_who_asks_in_vain_is_told_why(scene: Scene) -> None:
    """Stacks of before stay where nobody waits for others."""
    scene.worker.pid = dead_pid()
    scene.workers.append(scene.worker)
    assert scene.stacks.take(scene.workers) == {scene.slot: "it has ended"}
    assert scene.taken() == 0
    scene.slots.want_stacks(scene.slot)
    scene.stacks.take_wanted()
    assert scene.last.of_slot(scene.slot).trouble == "it has ended"
    assert scene.taken() > 0


def test_a_slow_request_is_logged_once_with_its_place(running: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Method, path, age, pid, and the app's innermost frame; never, where that is set."""
    caplog.set_level(logging.INFO)
    running.stacks.take_slow(0.0)
    running.stacks.take_slow(60.0)
    assert caplog.messages == []
    for _ in range(2):
        running.stacks._next_slow = 0.0
        running.stacks.take_slow(0.000001)
    (line,) = caplog.messages
    assert line.startswith(f"hvd: worker (pid:{running.worker.pid}): GET /slow\\x1b takes 0.")
    assert f" s by now, at {__file__}:" in line
    assert line.endswith("serve")
    assert running.taken()


def test_a_slow_request_of_which_nothing_is_known_is_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason."""
    caplog.set_level(logging.INFO)
    scene.worker.pid = dead_pid()
    scene.workers.append(scene.worker)
    row = Rows(scene.block, scene.slot, FAMILIES).take()
    row.begin("GET", "/x")
    time.sleep(0.001)
    scene.stacks.take_slow(0.000001)
    (line,) = caplog.messages
    assert line.endswith(" s by now, it has ended")


def test_a_worker_gets_its_region_empty(scene: Scene, block: Block, file: StackFile) -> None:
    """Whatever the one before has left; the master's descriptor goes with the worker."""
    file.write(scene.slot, "old")
    other: Any = SimpleNamespace(hvd_slot=scene.slot, pid=0)
    scene.stacks.before_fork(other)
    fd = other.dumps.dump_fd
    assert file.read(scene.slot) == ""
    for _ in range(2):
        scene.stacks.forget(other)
    assert not is_open(fd)


def test_a_worker_closes_what_is_its_siblings(scene: Scene) -> None:
    """Each inherits the descriptors of those that were there."""
    sibling: Any = SimpleNamespace(hvd_slot=scene.slots.claim(layout.KIND_WORKER, os.getpid()), pid=0)
    scene.stacks.before_fork(sibling)
    scene.workers += [scene.worker, sibling]
    fd = sibling.dumps.dump_fd

    def live() -> None:
        position = os.lseek(fd, 0, os.SEEK_CUR)
        scene.stacks.enter_worker(scene.worker)  # which opens another file, maybe by that number
        assert not is_open(fd) or os.lseek(fd, 0, os.SEEK_CUR) != position

    assert ended(fork(live)) == 0
    scene.stacks.forget(sibling)


def test_without_a_descriptor_a_worker_starts_without(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """That is said once; nobody asks it."""
    worker: Any = SimpleNamespace(hvd_slot=scene.slots.claim(layout.KIND_WORKER, os.getpid()), pid=os.getpid())
    gc.collect()  # else it may close what others have left, and there is a descriptor
    with no_descriptor():
        for _ in range(2):
            scene.stacks.before_fork(worker)
    assert worker.dumps is None
    (line,) = caplog.messages
    assert "Too many open files" in line
    scene.workers.append(worker)
    scene.slots.want_stacks(worker.hvd_slot)
    scene.stacks.take_wanted()
    scene.stacks.enter_worker(worker)


def test_the_file_is_passed_on_at_an_upgrade(file: StackFile) -> None:
    """To the program that is executed, which has the same pid; anybody else makes its own."""
    environ: dict[str, str] = {}
    pass_file_on(file, environ)
    assert os.get_inheritable(file.fd)
    file.write(0, "seen")
    received = receive_file(environ)
    assert (received.fd, environ) == (file.fd, {})
    assert not os.get_inheritable(file.fd)
    environ[VARIABLE] = f"1:{file.fd}"
    other = receive_file(environ)
    assert other.read(0) == ""
    os.close(other.fd)


def test_the_signals_are_of_those_that_nobody_uses() -> None:
    """Real-time signals, which gunicorn's worker does not set."""
    from hvd.daemon.stacks.dumps import ASK, DUMP
    from hvd.daemon.worker_process import HELD

    assert signal.SIGRTMIN < ASK < DUMP < signal.SIGRTMAX
    assert not {ASK, DUMP} & HELD
