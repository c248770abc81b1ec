"""What is slow to ask: in a thread, for a bounded share of the time."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from hvd.agg.sizes import SHARE, Size, Sizes, read_size
from hvd.core.proc import start_ticks
from tests.support.waiting import until
from tests.unit.core.support import dead_pid

ME = os.getpid()


class Slow:
    """Reads sizes while the test lets it; each costs so many seconds of a core, which are those of the clock."""

    def __init__(self) -> None:
        self.now, self.seconds = 1000.0, 1.0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.read: list[int] = []
        self.sizes = Sizes(self._read, lambda: self.now, lambda: self.now)

    def _read(self, pid: int) -> Size:
        assert self.may_go_on.wait(30)
        self.read.append(pid)
        self.now += self.seconds
        return Size(len(self.read), 2000, 9)

    def settle(self, count: int) -> None:
        until(lambda: len(self.read) == count and not self.sizes.is_reading, "it is read")


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    with closing(made.sizes):
        yield made


def test_whoever_asks_does_not_wait(slow: Slow) -> None:
    """While a round is under way, there is none beside it, and what was found before is given."""
    slow.seconds = 0.0
    assert slow.sizes.begin([ME])
    slow.settle(1)
    slow.may_go_on.clear()
    assert slow.sizes.begin([ME])
    assert not slow.sizes.begin([ME])
    assert slow.sizes.of(ME, start_ticks(ME)) == Size(1, 2000, 9)
    slow.may_go_on.set()
    slow.settle(2)
    assert slow.sizes.of(ME, start_ticks(ME)) == Size(2, 2000, 9)


def test_it_takes_a_bounded_share_of_the_time(slow: Slow) -> None:
    """A round of 2 s is followed by a pause, so that in the end it is one second in twenty."""
    slow.sizes.begin([ME, ME])
    slow.settle(2)
    slow.now += 2 / SHARE - 2 - 0.1
    assert not slow.sizes.begin([ME])
    slow.now += 0.2
    assert slow.sizes.begin([ME])
    slow.settle(3)


def test_a_process_that_is_gone_is_forgotten(slow: Slow) -> None:
    """What was asked for last is kept, and of another process with the same pid nothing is known."""
    slow.seconds = 0.0
    slow.sizes.begin([ME, os.getppid()])
    slow.settle(2)
    assert slow.sizes.of(os.getppid(), start_ticks(os.getppid()))
    assert slow.sizes.of(ME, start_ticks(ME) + 1) is None
    slow.sizes.begin([ME])
    slow.settle(3)
    assert slow.sizes.of(os.getppid(), start_ticks(os.getppid())) is None


def test_sizes_are_what_the_kernel_says() -> None:
    """Of this process; one that is gone raises, and spoils nothing for the others."""
    size = read_size(ME)
    assert size.proportional == pytest.approx(psutil.Process().memory_full_info().pss, rel=0.1)
    assert size.fds == pytest.approx(psutil.Process().num_fds(), abs=2)
    with pytest.raises(psutil.NoSuchProcess):
        read_size(dead_pid())
    with closing(Sizes()) as sizes:
        sizes.begin([dead_pid(), ME])
        until(lambda: sizes.of(ME, start_ticks(ME)), "it is read")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may have processes that another user can't look into")
def test_what_may_not_be_read_is_none() -> None:
    """Another user's process: its memory and files are its own."""
    script = (
        "import os, sys; from hvd.agg.sizes import read_size; read_size(os.getpid())\n"
        "os.setresuid(65534, 65534, 65534); size = read_size(int(sys.argv[1]))\n"
        "assert (size.proportional, size.fds) == (None, None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ME)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
