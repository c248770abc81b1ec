"""What is told of a process, by processes in each state."""

import os
import signal
import time
from pathlib import Path

import pytest

from hvd.core.proc import PR_SET_PDEATHSIG, die_with_parent, is_alive, is_stopped, prctl, queued_seconds, start_ticks
from tests.support.waiting import until
from tests.unit.core.support import dead_pid, fork, forked, no_descriptor


def test_a_live_process_is_told_by_pid_and_start() -> None:
    """The same pid with another start is another process."""
    me = os.getpid()
    assert is_alive(me)
    assert is_alive(me, start_ticks(me))
    assert not is_alive(me, start_ticks(me) + 1)


def test_time_without_a_processor_is_read() -> None:
    """Of two processes that compute on one processor, each waits for the other."""

    def compute() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        while True:
            pass

    with forked(compute) as one, forked(compute) as other:
        until(lambda: min(queued_seconds(one), queued_seconds(other)) > 0.1, "both have waited")
    assert queued_seconds(dead_pid()) == 0.0


def test_a_process_that_is_gone_is_not_alive() -> None:
    """Nor did it start."""
    pid = dead_pid()
    assert not is_alive(pid)
    assert start_ticks(pid) == 0
    assert not is_stopped(pid)


def test_a_zombie_is_not_alive() -> None:
    """It only waits for being reaped."""
    pid = fork(lambda: None)
    try:
        until(lambda: not is_alive(pid), "the zombie is seen as dead")
    finally:
        os.waitpid(pid, 0)


def test_a_stopped_process_is_alive_and_stopped() -> None:
    """Until it goes on."""
    with forked(signal.pause) as pid:
        assert not is_stopped(pid)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: is_stopped(pid), "it is stopped")
        assert is_alive(pid)
        os.kill(pid, signal.SIGCONT)
        until(lambda: not is_stopped(pid), "it goes on")


def test_a_name_with_brackets_and_spaces_confuses_nobody() -> None:
    """The name in /proc/pid/stat is the process's own choice."""

    def named() -> None:
        Path("/proc/self/comm").write_text("a) Z 1 (b")
        signal.pause()

    with forked(named) as pid:
        until(lambda: Path(f"/proc/{pid}/comm").read_text().startswith("a)"), "it has its name")
        assert is_alive(pid, start_ticks(pid))


def test_a_child_dies_with_its_parent() -> None:
    """Even one that is stopped, by SIGKILL from the kernel."""
    reader, writer = os.pipe()

    def parent() -> None:
        parent_pid = os.getpid()

        def child() -> None:
            die_with_parent(parent_pid, signal.SIGKILL)
            os.write(writer, str(os.getpid()).encode())
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(60)

        fork(child)
        signal.pause()

    with forked(parent):
        child = int(os.read(reader, 20))
        until(lambda: is_stopped(child), "the child is stopped")
    os.close(reader)
    os.close(writer)
    until(lambda: not is_alive(child), "the child is gone")


def test_a_child_whose_parent_is_gone_already_dies_at_once() -> None:
    """The parent may end between the fork and the call."""
    pid = fork(lambda: die_with_parent(dead_pid(), signal.SIGKILL))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_without_a_descriptor_a_live_process_is_not_taken_for_dead() -> None:
    """Its slot would be given away. What is gone is seen all the same."""
    gone = dead_pid()
    with no_descriptor():
        assert is_alive(os.getpid(), start_ticks(os.getpid()))
        assert is_alive(1)
        assert not is_alive(gone)
        assert not is_stopped(os.getpid())


def test_an_attribute_that_can_not_be_set_is_an_error() -> None:
    """No process goes on as if it ended with its parent."""
    with pytest.raises(OSError, match=r"prctl\(1\) is refused: Invalid argument"):
        prctl(PR_SET_PDEATHSIG, 4711)
