"""Sampling processes: shares of CPU from two samples, and processes that come, go and vanish in between."""

import contextlib
import errno
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from hvd.agg.observe import GONE, CpuTime, Observer, Sample, Watched
from hvd.agg.sizes import Size, Sizes
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.proc import start_ticks
from hvd.core.rows import Rows
from hvd.core.totals import Reader
from hvd.metrics.table import CPU
from tests.support.waiting import until
from tests.unit.core.support import own_rows
from tests.unit.figures import make_page


class FakeProcess:
    """A process whose figures the test sets."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.cpu = 0.0
        self.running = True
        self.resident = 3000
        self.error: Exception | None = None

    def is_running(self) -> bool:
        return self.running

    @contextlib.contextmanager
    def oneshot(self) -> Iterator[None]:
        yield

    def cpu_times(self) -> Any:
        if self.error:
            raise self.error
        return SimpleNamespace(user=self.cpu * 0.75, system=self.cpu * 0.25)

    def memory_info(self) -> Any:
        return SimpleNamespace(rss=self.resident)

    def num_threads(self) -> int:
        return 5


class Machine:
    """Processes by pid; counts how often a handle was made. All of them live but those that `gone` names."""

    def __init__(self, *pids: int) -> None:
        self.processes = {pid: FakeProcess(pid) for pid in pids}
        self.made: list[int] = []
        self.gone: set[int] = set()
        self.sizes = FakeSizes()
        self.observer = Observer(self.process, self.is_alive, lambda pid: 1000 + pid, self.sizes)

    def is_alive(self, pid: int) -> bool:
        return pid in self.processes and pid not in self.gone

    def process(self, pid: int) -> Any:
        self.made.append(pid)
        if pid not in self.processes:
            raise psutil.NoSuchProcess(pid)
        return self.processes[pid]


class FakeSizes(Sizes):
    """Sizes that the test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.size: Size | None = Size(7, 2000, 9)
        self.asked: list[int] = []

    def begin(self, pids: Iterable[int]) -> bool:
        self.asked += pids
        return True

    def of(self, pid: int, started: int) -> Size | None:
        return self.size


def watch(*processes: tuple[str, int]) -> list[Watched]:
    """Each in a slot that is its pid's hundredfold."""
    return [Watched(kind, 100 * pid, pid) for kind, pid in processes]


def test_cpu_percent_is_the_time_used_between_two_samples() -> None:
    """User and system time together, of one core, each process against its own last time."""
    machine = Machine(1, 2)
    machine.observer.sample(watch(("master", 1), ("worker", 2)), 100.0)
    machine.processes[1].cpu, machine.processes[2].cpu = 0.5, 3.0
    master, worker = machine.observer.sample(watch(("master", 1), ("worker", 2)), 102.0)
    assert (master.kind, master.pid, master.cpu_percent, master.cpu_seconds) == ("master", 1, 25.0, 0.5)
    assert (worker.kind, worker.pid, worker.cpu_percent) == ("worker", 2, 150.0)
    (idle,) = machine.observer.sample(watch(("worker", 2)), 104.0)
    assert idle.cpu_percent == 0.0


def test_the_first_sample_gives_no_share() -> None:
    """There is nothing yet to take the difference from, however long the process has run."""
    machine = Machine(1)
    machine.processes[1].cpu = 1000.0
    (sample,) = machine.observer.sample(watch(("master", 1)), 100.0)
    assert (sample.cpu_percent, sample.cpu_seconds) == (0.0, 1000.0)


def test_a_process_that_came_later_counts_from_its_start() -> None:
    """It started after the last sample, so all its CPU time is of this interval."""
    machine = Machine(1, 2)
    machine.observer.sample(watch(("master", 1)), 100.0)
    machine.processes[2].cpu = 0.2
    assert [each.cpu_percent for each in machine.observer.sample(watch(("master", 1), ("worker", 2)), 102.0)] == [
        0.0,
        10.0,
    ]


def test_a_process_that_has_joined_may_be_old() -> None:
    """What it used before it joined is of no interval."""
    machine = Machine(1, 2)
    machine.processes[2].cpu = 1000.0
    cpu = []
    for now in (100.0, 102.0, 104.0):
        watched = watch(("master", 1), *([("joined", 2)] if now > 100 else []))
        cpu += [each.cpu_percent for each in machine.observer.sample(watched, now)]
        machine.processes[2].cpu += 0.5
    assert cpu == [0.0, 0.0, 0.0, 0.0, 25.0]


ERRORS = [psutil.NoSuchProcess(2), psutil.ZombieProcess(2), psutil.AccessDenied(2), OSError(errno.EMFILE, "no files")]


@pytest.mark.parametrize("error", ERRORS)
def test_a_process_that_ends_while_it_is_read_is_left_out(error: Exception) -> None:
    """The others are sampled all the same."""
    machine = Machine(1, 2, 3)
    everyone = watch(*(("worker", pid) for pid in (1, 2, 3)))
    machine.observer.sample(everyone, 100.0)
    machine.processes[2].error = error
    machine.gone.add(2)
    assert [each.pid for each in machine.observer.sample(everyone, 102.0)] == [1, 3]
    assert [each.pid for each in machine.observer.sample(watch(("worker", 4)), 104.0)] == []


def test_the_last_sample_of_what_has_ended_stays_for_a_while() -> None:
    """Its master tells what it used; a zombie, whose memory is gone, has ended too."""
    machine = Machine(7, 8)
    observer, both = machine.observer, watch(("joined", 7), ("worker", 8))
    first, _ = observer.sample(both, 0)
    machine.processes[7].resident = 0  # and the kernel may not call it a zombie yet
    assert [sample.pid for sample in observer.sample(both, 2)] == [8]
    assert observer.ended == [first]
    machine.gone.add(8)
    machine.processes[8].error = psutil.NoSuchProcess(8)
    assert observer.sample(both, 6) == []
    assert [sample.pid for sample in observer.ended] == [7, 8]
    observer.sample(both, 2 + GONE)
    assert [sample.pid for sample in observer.ended] == [8]


def test_a_reused_pid_is_another_process() -> None:
    """Its CPU time isn't measured against that of the process which had the pid before."""
    machine = Machine(1)
    machine.processes[1].cpu = 50.0
    machine.observer.sample(watch(("worker", 1)), 100.0)
    machine.processes[1].running = False
    machine.processes = {1: FakeProcess(1)}
    machine.processes[1].cpu = 0.5
    (sample,) = machine.observer.sample(watch(("worker", 1)), 102.0)
    assert sample.cpu_percent == 25.0


def test_handles_are_kept_while_a_process_lives_and_no_longer() -> None:
    """One is made for each process, once; a process that comes back gets a new one."""
    machine = Machine(1, 2)
    for now in (100.0, 102.0, 104.0):
        machine.observer.sample(watch(("worker", 1), ("worker", 2)), now)
    assert machine.made == [1, 2]
    machine.observer.sample(watch(("worker", 1)), 106.0)
    machine.observer.sample(watch(("worker", 1), ("worker", 2)), 108.0)
    assert machine.made == [1, 2, 2]


def test_two_samples_at_one_moment_divide_by_nothing() -> None:
    """A clock that didn't move gives no share."""
    machine = Machine(1)
    machine.observer.sample(watch(("worker", 1)), 100.0)
    machine.processes[1].cpu = 1.0
    assert machine.observer.sample(watch(("worker", 1)), 100.0)[0].cpu_percent == 0.0


def test_a_sample_is_published_but_for_the_age_of_its_sizes() -> None:
    """By the names of its fields."""
    (sample,) = Machine(1).observer.sample(watch(("worker", 1)), 100.0)
    assert sample == Sample("worker", 100, 1, 1001, 0.0, 0.0, 3000, 2000, 5, 9, sample.start_time, 7)
    assert {**sample.published(), "sized_ns": 7} == asdict(sample)


def test_real_processes_are_what_psutil_says() -> None:
    """This one, which burns CPU, beside a child that sleeps, and one that has ended."""
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with sleeper as child, contextlib.closing(Sizes()) as sizes:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        observer = Observer(sizes=sizes)
        pids = watch(("own", os.getpid()), ("child", child.pid), ("gone", gone.pid))
        observer.sample(pids, time.monotonic())
        observer.measure(pids)
        until(lambda: sizes.of(child.pid, start_ticks(child.pid)), "the sizes are read")
        used, end = time.process_time(), time.process_time() + 0.3
        began = time.monotonic()
        while time.process_time() < end:
            pass
        own, sleeping = observer.sample(pids, time.monotonic())
        percent = 100 * (time.process_time() - used) / (time.monotonic() - began)
        process = psutil.Process()
        assert own.cpu_percent == pytest.approx(percent, rel=0.25)
        assert own.threads == process.num_threads()
        assert own.start_time == pytest.approx(process.create_time(), abs=1.1)  # psutil: to the second
        assert own.resident == pytest.approx(process.memory_info().rss, rel=0.1)
        assert own.proportional
        assert own.resident
        assert own.sized_ns
        assert 0 < own.proportional <= own.resident * 1.01
        assert own.fds == pytest.approx(process.num_fds(), abs=2)
        assert (sleeping.kind, sleeping.pid, sleeping.threads) == ("child", child.pid, 1)


@pytest.mark.parametrize("error", [error for error in ERRORS if not isinstance(error, psutil.ZombieProcess)])
def test_a_process_that_lives_and_cannot_be_asked_stays(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """With what was known of it, or its name alone; the log says it once, not at each tick."""
    machine = Machine(1, 2)
    everyone = watch(("master", 1), ("worker", 2))
    machine.processes[1].cpu, machine.processes[2].error = 4.0, error
    with caplog.at_level(logging.WARNING, "hvd.aggregator"):
        master, worker = machine.observer.sample(everyone, 100.0)
        assert worker == Sample("worker", 200, 2)
        machine.processes[1].error, machine.processes[2].error = error, None
        assert machine.observer.sample(everyone, 102.0)[0] == replace(master, cpu_percent=None)
        machine.observer.sample(everyone, 104.0)
    kinds = [message.split(" can't")[0] for message in caplog.messages]
    assert kinds == ["a process of kind worker", "a process of kind master"]


def test_what_is_slow_to_read_is_there_or_not() -> None:
    """A sample never waits for it; what may not be read is None."""
    machine = Machine(1)
    machine.observer.measure(watch(("worker", 1)))
    assert machine.sizes.asked == [1]
    for size, found in ((None, (None, None, None)), (Size(5, None, 3), (None, 3, 5)), (Size(6, 8, 4), (8, 4, 6))):
        machine.sizes.size = size
        (sample,) = machine.observer.sample(watch(("worker", 1)), 100.0)
        assert (sample.proportional, sample.fds, sample.sized_ns) == found


def sampled(slot: int, pid: int, seconds: float | None, started: int = 1) -> Sample:
    return Sample("worker", slot, pid, started, cpu_seconds=seconds)


def counted(block: Block) -> dict[tuple[str, ...], float]:
    """CPU time by kind and slot, in s."""
    totals = Reader(block).read()
    found = {series.labels: totals.cells[series.offset] / 1e9 for series in totals.of(CPU.key)}
    return {labels: seconds for labels, seconds in found.items() if seconds}


@pytest.fixture
def rows(block: Block) -> Rows:
    return own_rows(block, layout.KIND_AGGREGATOR)


def test_cpu_time_adds_up_by_slot(block: Block, rows: Rows) -> None:
    """The next process of a slot goes on where the one before it ended; one that can't be read adds nothing."""
    cpu = CpuTime(rows, None, most=10)
    cpu.count([sampled(8, 1, 2.5), sampled(9, 2, 1.0)], counts=True)
    cpu.count([sampled(8, 1, 3.0), sampled(9, 2, None)], counts=True)
    cpu.count([sampled(8, 3, 0.5), sampled(9, 2, 1.25)], counts=True)
    cpu.count([sampled(8, 3, 0.25, started=7)], counts=True)
    assert counted(block) == {("worker", "8"): 3.75, ("worker", "9"): pytest.approx(2.25)}


def test_cpu_time_goes_on_after_an_aggregator(block: Block, rows: Rows) -> None:
    """The next one counts what was used since the last page, of each process once."""
    page = make_page(sampled(8, 1, 2.0).published(), sampled(9, 2, None).published())
    cpu = CpuTime(rows, page, most=10)
    cpu.count([sampled(8, 1, 2.5), sampled(9, 2, 1.0), sampled(10, 3, 4.0)], counts=True)
    assert counted(block) == {("worker", "8"): 0.5, ("worker", "9"): 1.0, ("worker", "10"): 4.0}
    partial = CpuTime(rows, page, most=2)
    partial.count([sampled(11, 9, 7.0)], counts=True)
    assert ("worker", "11") not in counted(block), "the page had no room for it, so it may be counted already"
    partial.count([sampled(11, 9, 7.5)], counts=True)
    assert counted(block)["worker", "11"] == 0.5


def test_cpu_time_of_a_joined_process_counts_from_then_on(block: Block, rows: Rows) -> None:
    """Not what it used before."""
    cpu, joined = CpuTime(rows, None, most=10), replace(sampled(9, 2, 100.0), kind="joined")
    cpu.count([joined], counts=True)
    cpu.count([replace(joined, cpu_seconds=101.0)], counts=True)
    assert counted(block) == {("joined", "9"): 1.0}


def test_of_two_aggregators_one_counts(block: Block, rows: Rows) -> None:
    """The other one follows, and goes on from there when it is alone again."""
    cpu = CpuTime(rows, None, most=10)
    cpu.count([sampled(8, 1, 2.0)], counts=False)
    assert counted(block) == {}
    cpu.count([sampled(8, 1, 2.5)], counts=True)
    assert counted(block) == {("worker", "8"): 0.5}
