"""Finding what jobs left behind: real processes, by the environment that they inherited."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.core.proc import is_alive
from hvd.jobs import strays
from hvd.jobs.guard import GOODBYE
from tests.support.waiting import until


@pytest.fixture
def runner_id() -> Iterator[str]:
    """A runner's id of its own; whatever bears its mark is gone afterwards."""
    made = str(uuid.uuid4())
    yield made
    strays.kill_all_of(made)


def start(script: str, runner_id: str, job: str = "job") -> "subprocess.Popen[bytes]":
    """A shell with the marks of a job."""
    environ = {"PATH": os.environ["PATH"], strays.RUNNER: runner_id, strays.JOB: job}
    return subprocess.Popen(["sh", "-c", script], env=environ, start_new_session=True)


def marked(runner_id: str) -> list[int]:
    return [pid for pid in strays._pids() if strays.mark_of(pid, strays.RUNNER) == runner_id]


HIDDEN = "setsid sh -c 'trap \"\" TERM; sleep 1000 & setsid sleep 1000 & wait' & sleep 1000"
"""A tree over three sessions, four processes of which nothing is in the first one's group but itself."""


def test_everything_with_the_mark_is_ended(runner_id: str) -> None:
    """In whatever session; and nothing else."""
    with start(HIDDEN, runner_id) as process, start("exec sleep 1000", str(uuid.uuid4())) as other:
        until(lambda: len(marked(runner_id)) == 5, "all are there")
        assert strays.kill_all_of(runner_id) >= 5
        assert marked(runner_id) == []
        assert process.wait(10) == -9
        assert is_alive(other.pid)
        other.kill()


def test_a_mark_is_read_from_the_environment() -> None:
    """None where there is none, no process, or no right to look."""
    with start("exec sleep 1000", "a-runner", job="a-job") as process:
        until(lambda: strays.mark_of(process.pid, strays.JOB) == "a-job", "it is executed")
        assert strays.mark_of(process.pid, strays.RUNNER) == "a-runner"
        assert strays.mark_of(process.pid, "HVD_OTHER") is None
        process.kill()
    assert strays.mark_of(process.pid, strays.JOB) is None


def test_own_children_are_listed() -> None:
    """Until they are reaped."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        assert process.pid in strays.children()
        process.kill()
    assert process.pid not in strays.children()


def test_a_pid_that_is_another_process_is_not_killed() -> None:
    """What is meant is looked at again once the pid can't change hands."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        assert not strays.kill(process.pid, lambda pid: False)
        assert is_alive(process.pid)
        assert strays.kill(process.pid, lambda pid: True)
    assert not strays.kill(2**22, lambda pid: True), "no such process"


def guard(runner_id: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "hvd.jobs.guard", runner_id]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def test_the_guard_ends_what_a_dead_runner_started(runner_id: str) -> None:
    """The end of its pipe without a word is the runner's death."""
    with guard(runner_id) as process, start(HIDDEN, runner_id):
        until(lambda: len(marked(runner_id)) == 5, "all are there")
        assert process.stdin
        process.stdin.close()
        assert process.wait(20) == 0
        assert marked(runner_id) == []


def test_the_guard_leaves_alone_what_a_runner_left_in_order(runner_id: str) -> None:
    """It said goodbye; and signals that a terminal sends don't end the guard before."""
    with guard(runner_id) as process, start("exec sleep 1000", runner_id) as job:
        until(lambda: b"hvd.jobs.guard" in Path(f"/proc/{process.pid}/cmdline").read_bytes(), "it runs")
        assert process.stdin
        process.stdin.write(GOODBYE)
        process.stdin.close()
        assert process.wait(20) == 0
        assert is_alive(job.pid)
        job.kill()
