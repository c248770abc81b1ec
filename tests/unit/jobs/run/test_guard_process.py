"""The runner's side of the guard, with a real one."""

import os
import signal
import subprocess
import uuid

import pytest

from hvd.core.proc import is_alive, is_stopped
from hvd.jobs.run import guard_process
from hvd.jobs.run.guard_process import GuardProcess
from tests.support.waiting import until


def test_a_dismissed_guard_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The groups that run go on, and it leaves no process."""
    monkeypatch.setattr(guard_process, "DONE_WAIT", 30.0)  # it may not have begun to listen
    group = subprocess.Popen(["sleep", "300"], env={}, start_new_session=True)
    guard = GuardProcess(str(uuid.uuid4()))
    assert guard.pids == set()
    try:
        guard.keep([group.pid])
        assert guard.process
        assert guard.pids == {guard.process.pid}
        guard.dismiss()
        assert guard.process.returncode == 0
        assert is_alive(group.pid)
    finally:
        group.kill()
        group.wait()


def test_one_that_lives_is_kept_and_one_that_has_ended_is_replaced() -> None:
    """With what runs by then."""
    guard = GuardProcess(str(uuid.uuid4()))
    guard.keep([])
    first = guard.process
    assert first
    guard.keep([])
    assert guard.process is first
    first.kill()
    first.wait()
    guard.drop(os.getpid())  # nobody reads it
    guard.keep([])
    assert guard.process is not first
    guard.dismiss()


def test_a_guard_that_is_stopped_is_ended_for_another() -> None:
    """Once its pipe is full: the runner doesn't wait."""
    guard = GuardProcess(str(uuid.uuid4()))
    guard.keep([])
    process = guard.process
    assert process
    process.send_signal(signal.SIGSTOP)
    until(lambda: is_stopped(process.pid), "it is stopped")
    for group in range(1_000_000, 1_020_000):
        guard.add(group)
        guard.drop(group)
    assert process.wait(20) == -signal.SIGKILL
    guard.dismiss()
