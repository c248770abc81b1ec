"""The guard as a real process: it ends what a dead runner had started, and nothing where that is done."""

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from hvd.core.proc import is_alive
from hvd.jobs.run.guard import DONE
from hvd.jobs.run.strays import RUNNER, mark_of
from tests.support.waiting import until

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
IGNORED = sum(1 << signum - 1 for signum in SIGNALS)


class Scene:
    """A guard, the other end of its pipe, a process of its runner's and one of another's."""

    def __init__(self) -> None:
        runner = str(uuid.uuid4())
        command = [sys.executable, "-P", "-m", "hvd.jobs.run.guard", runner]
        self.guard = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.guard.stdin
        self.pipe: IO[bytes] = self.guard.stdin
        self.mine, self.other = (
            subprocess.Popen(["sleep", "300"], env={**os.environ, RUNNER: name}, start_new_session=True)
            for name in (runner, runner + "x")
        )
        for process in (self.mine, self.other):
            until(lambda process=process: mark_of(process.pid, RUNNER), "it is executed")
        until(lambda: ignored_by(self.guard.pid) & IGNORED == IGNORED, "the guard is ready")

    def end(self) -> None:
        for process in (self.guard, self.mine, self.other):
            process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.pipe.close()
        for process in (self.guard, self.mine, self.other):
            process.wait()
        assert self.guard.stderr
        assert self.guard.stderr.read() == b""
        self.guard.stderr.close()


def ignored_by(pid: int) -> int:
    """A mask, from /proc."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:"))
    return int(line.split()[1], 16)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.end()


def test_the_end_of_its_runner_ends_what_that_had_started(scene: Scene) -> None:
    """Once the kernel closes the pipe, since nobody has it any more."""
    scene.pipe.close()
    assert scene.guard.wait(20) == 0
    assert scene.mine.wait(20) == -signal.SIGKILL
    assert is_alive(scene.other.pid)


def test_a_runner_that_is_done_leaves_nothing_to_end(scene: Scene) -> None:
    """The runner has done it all by itself."""
    scene.pipe.write(DONE)
    scene.pipe.flush()
    assert scene.guard.wait(20) == 0
    assert is_alive(scene.mine.pid)


def test_anything_else_means_that_the_runner_is_dead(scene: Scene) -> None:
    """What is going on is not known then."""
    scene.pipe.write(b"x")
    scene.pipe.flush()
    assert scene.guard.wait(20) == 0
    assert scene.mine.wait(20) == -signal.SIGKILL


def test_no_signal_that_is_sent_to_all_of_them_ends_it_first(scene: Scene) -> None:
    """A terminal's, a service manager's: it goes on to wait, and then does its work."""
    for signum in SIGNALS:
        scene.guard.send_signal(signum)
    until(lambda: not pending_of(scene.guard.pid), "they have arrived")
    assert scene.guard.poll() is None
    assert is_alive(scene.mine.pid)
    scene.pipe.close()
    assert scene.guard.wait(20) == 0
    assert scene.mine.wait(20) == -signal.SIGKILL


def pending_of(pid: int) -> int:
    """A mask, from /proc."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:")))


def test_groups_that_run_are_ended(scene: Scene) -> None:
    """A program that has dropped its environment is known by its process group; one that has ended isn't."""
    bare, over = (subprocess.Popen(["sleep", "300"], env={}, start_new_session=True) for _ in range(2))
    try:
        scene.pipe.write(b"+%d\n+%d\n-%d\n" % (bare.pid, over.pid, over.pid))
        scene.pipe.close()
        assert scene.guard.wait(20) == 0
        assert bare.wait(20) == -signal.SIGKILL
        assert is_alive(over.pid)
    finally:
        for process in (bare, over):
            process.kill()
            process.wait()
