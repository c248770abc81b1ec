"""Sampling processes: shares of CPU from two samples, and processes that come, go and vanish in between."""

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from hvd.agg.observe import Observer


class FakeProcess:
    """A process whose figures the test sets."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.cpu = 0.0
        self.running = True
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

    def memory_full_info(self) -> Any:
        return SimpleNamespace(rss=3000, pss=2000)

    def num_threads(self) -> int:
        return 5

    def num_fds(self) -> int:
        return 9


class Machine:
    """Processes by pid; counts how often a handle was made."""

    def __init__(self, *pids: int) -> None:
        self.processes = {pid: FakeProcess(pid) for pid in pids}
        self.made: list[int] = []

    def process(self, pid: int) -> Any:
        self.made.append(pid)
        if pid not in self.processes:
            raise psutil.NoSuchProcess(pid)
        return self.processes[pid]


def test_cpu_percent_is_the_time_used_between_two_samples() -> None:
    """User and system time together, of one core, each process against its own last time."""
    machine = Machine(1, 2)
    observer = Observer(machine.process)
    observer.sample([("master", 1), ("worker", 2)], 100.0)
    machine.processes[1].cpu, machine.processes[2].cpu = 0.5, 3.0
    master, worker = observer.sample([("master", 1), ("worker", 2)], 102.0)
    assert (master.kind, master.pid, master.cpu_percent, master.cpu_seconds) == ("master", 1, 25.0, 0.5)
    assert (worker.kind, worker.pid, worker.cpu_percent) == ("worker", 2, 150.0)
    (idle,) = observer.sample([("worker", 2)], 104.0)
    assert idle.cpu_percent == 0.0


def test_the_first_sample_gives_no_share() -> None:
    """There is nothing yet to take the difference from, however long the process has run."""
    machine = Machine(1)
    machine.processes[1].cpu = 1000.0
    (sample,) = Observer(machine.process).sample([("master", 1)], 100.0)
    assert (sample.cpu_percent, sample.cpu_seconds) == (0.0, 1000.0)


def test_a_process_that_came_later_counts_from_its_start() -> None:
    """It started after the last sample, so all its CPU time is of this interval."""
    machine = Machine(1, 2)
    observer = Observer(machine.process)
    observer.sample([("master", 1)], 100.0)
    machine.processes[2].cpu = 0.2
    assert [each.cpu_percent for each in observer.sample([("master", 1), ("worker", 2)], 102.0)] == [0.0, 10.0]


@pytest.mark.parametrize(
    "error",
    [psutil.NoSuchProcess(2), psutil.ZombieProcess(2), psutil.AccessDenied(2), OSError(errno.EMFILE, "none is free")],
)
def test_a_process_that_ends_while_it_is_read_is_left_out(error: Exception) -> None:
    """The others are sampled all the same."""
    machine = Machine(1, 2, 3)
    observer = Observer(machine.process)
    everyone = [("worker", pid) for pid in (1, 2, 3)]
    observer.sample(everyone, 100.0)
    machine.processes[2].error = error
    assert [each.pid for each in observer.sample(everyone, 102.0)] == [1, 3]
    assert [each.pid for each in observer.sample([("worker", 4)], 104.0)] == []


def test_a_reused_pid_is_another_process() -> None:
    """Its CPU time isn't measured against that of the process which had the pid before."""
    machine = Machine(1)
    observer = Observer(machine.process)
    machine.processes[1].cpu = 50.0
    observer.sample([("worker", 1)], 100.0)
    machine.processes[1].running = False
    machine.processes = {1: FakeProcess(1)}
    machine.processes[1].cpu = 0.5
    (sample,) = observer.sample([("worker", 1)], 102.0)
    assert sample.cpu_percent == 25.0


def test_handles_are_kept_while_a_process_lives_and_no_longer() -> None:
    """One is made for each process, once; a process that comes back gets a new one."""
    machine = Machine(1, 2)
    observer = Observer(machine.process)
    for now in (100.0, 102.0, 104.0):
        observer.sample([("worker", 1), ("worker", 2)], now)
    assert machine.made == [1, 2]
    observer.sample([("worker", 1)], 106.0)
    observer.sample([("worker", 1), ("worker", 2)], 108.0)
    assert machine.made == [1, 2, 2]


def test_two_samples_at_one_moment_divide_by_nothing() -> None:
    """A clock that didn't move gives no share."""
    machine = Machine(1)
    observer = Observer(machine.process)
    observer.sample([("worker", 1)], 100.0)
    machine.processes[1].cpu = 1.0
    assert observer.sample([("worker", 1)], 100.0)[0].cpu_percent == 0.0


def test_a_sample_is_told_by_names_that_json_takes() -> None:
    """All fields, of plain types."""
    (sample,) = Observer(Machine(1).process).sample([("worker", 1)], 100.0)
    assert sample.as_dict() == {
        "kind": "worker",
        "pid": 1,
        "cpu_percent": 0.0,
        "cpu_seconds": 0.0,
        "resident": 3000,
        "proportional": 2000,
        "threads": 5,
        "fds": 9,
        "start_time": sample.start_time,
    }


def test_real_processes_are_what_psutil_says() -> None:
    """This one, which burns CPU, beside a child that sleeps, and one that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        observer = Observer()
        pids = [("own", os.getpid()), ("child", child.pid), ("gone", gone.pid)]
        observer.sample(pids, time.monotonic())
        used, until = time.process_time(), time.process_time() + 0.3
        began = time.monotonic()
        while time.process_time() < until:
            pass
        own, sleeping = observer.sample(pids, time.monotonic())
        percent = 100 * (time.process_time() - used) / (time.monotonic() - began)
        process = psutil.Process()
        assert own.cpu_percent == pytest.approx(percent, rel=0.25)
        assert own.threads == process.num_threads()
        assert own.start_time == pytest.approx(process.create_time(), abs=1.1)  # psutil: to the second
        assert own.resident == pytest.approx(process.memory_info().rss, rel=0.1)
        assert 0 < own.proportional <= own.resident * 1.01
        assert own.fds == pytest.approx(process.num_fds(), abs=2)
        assert (sleeping.kind, sleeping.pid, sleeping.threads) == ("child", child.pid, 1)
