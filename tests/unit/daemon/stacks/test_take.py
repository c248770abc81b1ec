"""How the stacks of a process are taken, whatever its threads do."""

import ctypes
import os
import re
import signal
import threading
import time
from collections.abc import Callable

import pytest

from hvd.core.proc import is_stopped
from hvd.core.stacks import StackFile
from hvd.daemon.stacks.dumps import Dumps
from hvd.daemon.stacks.take import Take
from hvd.daemon.stacks.threads import read_threads
from hvd.read.stacks import parse
from tests.support.waiting import PATIENCE, until
from tests.unit.core.support import dead_pid, forked, standing
from tests.unit.daemon.stacks.conftest import SLOT


def take(file: StackFile, pid: int, dumps: Dumps, seconds: float = 5) -> Take:
    made, deadline = Take(file, SLOT, pid, dumps), time.monotonic() + seconds * PATIENCE
    while not made.step() and time.monotonic() < deadline:
        time.sleep(0.001)
    made.give_up()
    return made


def in_regex() -> None:
    re.match("(a*)*b", "a" * 40)


def in_loop() -> None:
    while True:
        abs(-1)


def in_sleep() -> None:
    time.sleep(1000)


def in_c_with_the_lock() -> None:
    ctypes.PyDLL(None).read(os.pipe()[0], ctypes.create_string_buffer(1), 1)


def in_read() -> None:
    os.read(os.pipe()[0], 1)


WORKS = (in_regex, in_loop, in_sleep, in_c_with_the_lock, in_read)


@pytest.mark.parametrize("threaded", [False, True], ids=["main thread", "another thread"])
@pytest.mark.parametrize("work", WORKS)
def test_a_thread_is_found_wherever_it_is(
    file: StackFile, dumps: Dumps, work: Callable[[], None], threaded: bool
) -> None:
    """Again and again; the process goes on."""

    def live() -> None:
        dumps.begin()
        file.write(SLOT, "ready")
        if threaded:
            threading.Thread(target=work, daemon=True).start()
            signal.pause()
        else:
            work()
        time.sleep(1000)

    with forked(live) as pid:
        until(lambda: file.read(SLOT) == "ready", "it is ready")
        time.sleep(0.05)
        for _ in range(3):
            made = take(file, pid, dumps)
            assert made.trouble == ""
            threads = parse(file.read(SLOT))
            assert len(threads) == 1 + threaded
            (stack,) = [one for one in threads if any(frame["function"] == work.__name__ for frame in one.frames)]
            assert stack.is_current is not threaded


def test_a_process_that_can_not_take_the_signals_is_never_sent_one(file: StackFile, dumps: Dumps) -> None:
    """One that has not come to it yet, or executes another program; one that is gone or stopped."""
    with standing(lambda: None) as pid:
        assert take(file, pid, dumps).trouble == "it has just been started, or runs another program"
        os.kill(pid, signal.SIGSTOP)
        until(lambda: is_stopped(pid), "it is stopped")
        assert take(file, pid, dumps).trouble == "it is stopped by a signal"
        os.kill(pid, 0)
    assert take(file, dead_pid(), dumps).trouble == "it has ended"


def test_a_process_whose_threads_run_python_is_never_dumped(
    file: StackFile, dumps: Dumps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its main thread can't answer either: a dump may end it. There are no stacks of it then."""
    monkeypatch.setattr("hvd.daemon.stacks.take.DUMP", signal.SIGKILL)  # which `catches` is asked of too
    monkeypatch.setattr("hvd.daemon.stacks.threads.Thread.catches", lambda *_: True)

    def live() -> None:
        dumps.begin()
        file.write(SLOT, "ready")
        threading.Thread(target=in_loop, daemon=True).start()
        in_read()  # without the interpreter's lock, and it does not come back for a signal

    with forked(live) as pid:
        until(lambda: file.read(SLOT) == "ready", "it is ready")
        time.sleep(0.1)
        assert "too busy" in take(file, pid, dumps, 0.5 / PATIENCE).trouble
        assert read_threads(pid)[pid].state in "RS", "it lives"
        assert file.request_of(SLOT) == 0
