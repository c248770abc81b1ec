"""What the kernel tells of threads, and when a process counts as still."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from hvd.daemon.stacks.threads import COMPUTES, RESTS, Thread, Watch, read_thread, read_threads
from tests.support.waiting import until
from tests.unit.core.support import dead_pid

MAIN, OTHER = 10, 11


PROGRAM = """
import signal, threading

signal.signal({signum}, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, {{{signum} + 1}})
threading.Thread(target=signal.pause, daemon=True).start()
signal.pause()
"""


def test_a_process_is_read_with_all_its_threads() -> None:
    """Their state, time, and the signals that are caught, blocked and pending."""
    signum = signal.SIGRTMIN + 3
    # no fork of this process: what a library (gRPC, OpenTelemetry) does at a fork begins threads in the child
    with subprocess.Popen([sys.executable, "-c", PROGRAM.format(signum=int(signum))]) as process:
        pid = process.pid
        try:
            until(lambda: len(read_threads(pid)) == 2 and read_threads(pid)[pid].state == "S", "both threads sleep")
            main = read_threads(pid)[pid]
            assert (main.catches(signum), main.catches(signum + 1)) == (True, False)
            assert (main.blocks(signum), main.blocks(signum + 1)) == (False, True)
            assert not main.has_pending(signum + 1)
            os.kill(pid, signum + 1)
            assert read_threads(pid)[pid].has_pending(signum + 1) or read_threads(pid)[pid].pauses > main.pauses
            assert main.cpu_ns > 0
        finally:
            process.kill()
    with pytest.raises(OSError, match="No such"):
        read_threads(dead_pid())


def test_time_is_read_without_scheduler_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """In ticks then."""
    pid = os.getpid()
    exact = read_thread(pid, pid).cpu_ns
    opened = open

    def without(path: str, **how: str) -> object:
        if str(path).endswith("schedstat"):
            raise FileNotFoundError(path)
        return opened(path, **how)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", without)
    assert abs(read_thread(pid, pid).cpu_ns - exact) < 1e9


def at(state: str, cpu_ms: float = 0, pauses: int = 0) -> Thread:
    return Thread(state, int(cpu_ms * 1e6), pauses, 0, 0, 0)


def looks(*pairs: tuple[Thread, Thread]) -> list[bool]:
    """What a Watch says at each look, at a main thread and another one."""
    watch = Watch(MAIN)
    return [watch.stands_still({MAIN: main, OTHER: other}) for main, other in pairs]


def test_threads_that_sleep_are_still() -> None:
    """At the second look, if they have slept all the time; one that has run is not."""
    assert looks((at("S"), at("S")), (at("S"), at("D"))) == [False, True]
    assert looks((at("S"), at("S")), (at("S"), at("S", RESTS / 1e6 + 0.1))) == [False, False]


def test_a_thread_that_keeps_the_lock_and_computes_is_still() -> None:
    """While the main thread waits for the lock, which it shows by its pauses, and after a time without a pause."""
    long = COMPUTES / 1e6
    assert looks((at("S"), at("R")), (at("S", 0.01, 2), at("R", long))) == [False, True]
    assert looks((at("S"), at("R")), (at("S", 0.01, 2), at("R", long - 1))) == [False, False], "not long enough"
    assert looks((at("S"), at("R")), (at("S", 0, 0), at("R", long))) == [False, False], "nobody waits for the lock"
    assert looks((at("S"), at("R")), (at("S", 0.01, 2), at("R", long, 1))) == [False, False], (
        "it has paused: it is Python"
    )
    later = (at("S"), at("R")), (at("S", 0.01, 1), at("R", 5, 1)), (at("S", 0.02, 3), at("R", 5 + long, 1))
    assert looks(*later) == [False, False, True], "it has left Python since"


def test_a_main_thread_that_waits_for_lock_and_processor_is_still() -> None:
    """On a machine that is busy it is about to run whenever it is looked at; another thread may run Python then."""
    long = COMPUTES / 1e6
    assert looks((at("R"), at("R")), (at("R", 0.1, 2), at("R", long))) == [False, True]
    assert looks((at("R"), at("R")), (at("R", 0.1, 1), at("R", long))) == [False, False]
    assert looks((at("S"), at("R")), (at("S", 0.1, 2), at("R", 0.1))) == [False, False]


def test_a_main_thread_that_computes_is_in_c() -> None:
    """Else it would have run the handler of the signal; another thread beside it that computes may run Python."""
    long = COMPUTES / 1e6
    assert looks((at("R"), at("S")), (at("R", long), at("S"))) == [False, True]
    assert looks((at("R"), at("R")), (at("R", long), at("R", long))) == [False, False]


def test_a_thread_that_has_just_begun_is_not_still() -> None:
    """Nobody knows yet what it does."""
    watch = Watch(MAIN)
    watch.stands_still({MAIN: at("S")})
    assert not watch.stands_still({MAIN: at("S"), OTHER: at("S")})
    assert watch.stands_still({MAIN: at("S"), OTHER: at("S")})


def test_a_thread_that_runs_python_is_never_still() -> None:
    """This very process, whose main thread waits for the lock: the interpreter still keeps to its own rule."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            re.escape("x")

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        watch, pid, end = Watch(os.getpid()), os.getpid(), time.monotonic() + 1
        while time.monotonic() < end:
            assert not watch.stands_still(read_threads(pid)), "this thread runs Python, as the others do"
            time.sleep(0.005)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
