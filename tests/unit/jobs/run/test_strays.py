"""Processes that jobs left behind, real ones: found by their marks, and nobody else's are touched."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hvd.core.proc import is_alive
from hvd.jobs.run import strays
from hvd.jobs.run.strays import JOB, RUNNER, children, kill, kill_all_of, mark_of
from tests.support.waiting import until

Start = Callable[..., subprocess.Popen[bytes]]
FAMILY = """
sleep 300 & echo $!
setsid sh -c 'echo $$; exec sleep 300' &
(setsid setsid sh -c 'cd /; echo $$; sleep 300; :' &)
echo $$
exec >&-
wait
"""
"""A shell and a child, one in a session of its own, one whose parent is gone; each prints its pid."""


@pytest.fixture
def runner() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program with these variables, and nothing else but PATH, in its environment."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*command: str, **environ: str) -> subprocess.Popen[bytes]:
        environ = {"PATH": os.environ["PATH"], **environ}
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        until(lambda: mark_of(process.pid, "PATH"), "the program is executed")
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def family(start: Start, runner: str) -> list[int]:
    """The pids of a job's processes."""
    shell = start("sh", "-c", FAMILY, **{RUNNER: runner, JOB: "x"})
    assert shell.stdout
    pids = [int(shell.stdout.readline()) for _ in range(4)]
    assert all(map(is_alive, pids))
    own = [psutil.Process(pid) for pid in pids if pid != shell.pid]
    until(lambda: any(process.children() for process in own), "the last shell has its sleep")
    return pids


def test_whatever_a_dead_runner_had_started_is_ended(start: Start, runner: str) -> None:
    """However it has changed parent, group or session; each is counted once."""
    pids = family(start, runner)
    orphan = start("sleep", "300", **{RUNNER: runner})
    killed = kill_all_of(runner)
    assert not [pid for pid in (*pids, orphan.pid) if is_alive(pid)]
    assert killed == 6, "the sleep of the last shell, too"
    assert kill_all_of(runner) == 0


def test_what_another_runner_has_started_goes_on(start: Start, runner: str) -> None:
    """Nor is anything ended that has no mark, or has it in something else than the variable."""
    others = [
        start("sleep", "300", **{RUNNER: str(uuid.uuid4())}),
        start("sleep", "300", **{RUNNER: runner + "0"}),
        start("sleep", "300", **{RUNNER: ""}),
        start("sleep", "300", **{JOB: runner}),
        start("sleep", "300", X=f"{RUNNER}={runner}", **{f"{RUNNER}S": runner, f"X{RUNNER}": runner}),
        start("sh", "-c", f"export {RUNNER}={runner}; while :; do read x; done </dev/zero; :"),
    ]
    assert kill_all_of(runner) == 0
    assert all(is_alive(process.pid) for process in others)


def test_what_starts_while_it_is_looked_for_is_found(start: Start, runner: str) -> None:
    """Up to the last look; and the looks are not all at once."""
    late: list[subprocess.Popen[bytes]] = []
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(late) < 8:
            late.append(start("sleep", "300", **{RUNNER: runner}))
        time.sleep(seconds)

    assert kill_all_of(runner, pause) == 8
    assert not [process for process in late if is_alive(process.pid)]
    assert [seconds for seconds in waited if seconds in strays.ROUNDS] == list(strays.ROUNDS)


def test_one_that_nothing_ends_is_not_waited_for_for_ever(
    start: Start, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process in an uninterruptible sleep goes when its disk answers, and runs no instruction before; counted once.

    Stood for by one whose signals are lost: killed it would be gone.
    """
    lasting = start("sleep", "300", **{RUNNER: runner})
    monkeypatch.setattr(strays.signal, "pidfd_send_signal", lambda fd, signum: None)
    waited: list[float] = []
    assert kill_all_of(runner, waited.append) == 1
    assert is_alive(lasting.pid)
    assert sum(waited) < 2


def test_a_zombie_has_no_mark(start: Start, runner: str) -> None:
    """It does nothing any more, so it isn't waited for; whoever is its parent reaps it."""
    ended = start("sleep", "1", **{RUNNER: runner})
    until(lambda: not is_alive(ended.pid), "it is over")
    assert Path(f"/proc/{ended.pid}").exists()
    assert mark_of(ended.pid, RUNNER) is None
    assert kill_all_of(runner) == 0


def test_a_mark_is_the_variables_value(start: Start) -> None:
    """As it was when the program was executed; None where there is none."""
    process = start("sleep", "300", HVD_JOBS="other", HVD_JOB="a=b ü", EMPTY="", Z="HVD_X=1")
    assert mark_of(process.pid, JOB) == "a=b ü"
    assert mark_of(process.pid, "EMPTY") == ""
    assert [mark_of(process.pid, name) for name in ("HVD", "HVD_X", "X")] == [None] * 3


def test_no_process_has_no_mark(start: Start) -> None:
    """A kernel's thread has no environment either."""
    process = start("sleep", "0.05", HVD_JOB="x")
    process.wait()
    assert mark_of(process.pid, JOB) is None
    assert mark_of(2, JOB) is None


def test_children_are_those_of_every_thread(start: Start) -> None:
    """And not their children."""
    started, going_on = threading.Event(), threading.Event()
    pids: list[int] = []

    def work() -> None:
        pids.append(start("sleep", "300").pid)
        started.set()
        going_on.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert started.wait(20)
        shell = start("sh", "-c", "sleep 300 & echo $!; wait")
        assert shell.stdout
        grandchild = int(shell.stdout.readline())
        assert {pids[0], shell.pid} <= children()
        assert grandchild not in children()
    finally:
        going_on.set()
        thread.join()


def test_what_is_not_meant_when_it_cannot_be_mistaken_lives(start: Start) -> None:
    """The pid may have become another's since it was listed; it is asked once the descriptor names one for good."""
    process = start("sleep", "300")
    assert not kill(process.pid, lambda pid: False)
    assert is_alive(process.pid)
    looked_at: list[int] = []
    assert kill(process.pid, lambda pid: not looked_at.append(pid))
    assert looked_at == [process.pid]
    assert process.wait() == -signal.SIGKILL
    assert not kill(process.pid, lambda pid: True)


def test_looking_leaves_no_descriptor(start: Start, runner: str) -> None:
    """Neither where something is killed nor where nothing is."""
    before = len(os.listdir("/proc/self/fd"))
    process = start("sleep", "300", **{RUNNER: runner})
    assert process.stdout
    for _ in range(3):
        kill_all_of(runner, lambda seconds: None)
        kill(os.getpid(), lambda pid: False)
        children()
    assert len(os.listdir("/proc/self/fd")) == before + 1  # its output


def test_what_writes_over_its_environment_is_known_by_its_limit(runner: str) -> None:
    """It has left its session, has no parent and no variable: it goes with its runner, and nobody else's does."""
    script = "import os, time; os.environ.clear(); print(os.getpid(), flush=True); time.sleep(300)"
    processes = []
    try:
        for name in (runner, str(uuid.uuid4())):
            with strays.limited(strays.limit_for(name, 1)):
                command = ("env", "-i", sys.executable, "-c", script)
                processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True))
            assert processes[-1].stdout
            assert processes[-1].stdout.readline()
        mine, other = processes
        assert strays.limit_of(mine.pid) == strays.limit_for(runner, 1) != strays.limit_for(runner, 2)
        assert strays.limit_of(os.getpid()) == 0
        assert mark_of(mine.pid, RUNNER) is None
        assert kill_all_of(runner, pause=lambda _: None) == 1
        assert mine.wait(10) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in processes:
            process.kill()
            process.communicate()
