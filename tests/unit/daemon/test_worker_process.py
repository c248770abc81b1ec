"""Signals to a worker that boots, and to one that is to stop."""

import os
import signal
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from gunicorn.config import Config

from hvd.core.totals import Reader
from hvd.daemon.worker_process import HELD
from hvd.daemon.workers import HvdThreadWorker
from hvd.errors import BlockFull
from hvd.instrument.counting import counting
from tests.unit.core.support import ended, fork


def test_a_quick_stop_waits_for_no_lock_of_the_thread_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal may have interrupted the thread that holds it; nor does it raise in the midst of something."""
    alarms: list[int] = []
    monkeypatch.setattr("hvd.daemon.worker_process.signal.alarm", alarms.append)
    woken: list[Any] = []
    worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)  # without a pool: to touch it is an AttributeError
    worker.alive, worker.booted, worker.cfg = True, True, Config()
    worker.method_queue = SimpleNamespace(defer=woken.append)
    worker.handle_quit(3, None)
    assert not worker.alive
    assert len(woken) == 1
    assert alarms == [3]


def booting(work: Any) -> tuple[Any, int]:
    """A worker that is just forked and does this work, and its pid; signals wait in it until then."""
    worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)
    worker.booted, worker.log = False, SimpleNamespace(reopen_files=lambda: os._exit(9))
    worker.ppid = os.getpid()
    worker.hold_signals()
    try:
        pid = fork(lambda: work(worker))
    finally:
        worker.let_signals()
    return worker, pid


@pytest.mark.parametrize(
    ("signum", "status"),
    [
        (signal.SIGTERM, 7),
        (signal.SIGQUIT, 7),
        (signal.SIGUSR1, 9),
        (signal.SIGABRT, -signal.SIGABRT),
        (signal.SIGHUP, -signal.SIGHUP),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_reaches_a_worker_that_boots(signum: int, status: int, when: str) -> None:
    """Sent before the child could do anything, or while it is in the midst of an import; USR1 reopens the log."""
    ready, go = os.pipe(), os.pipe()

    def work(worker: Any) -> None:
        if when == "before":
            os.read(go[0], 1)
        try:
            worker.begin_boot()
            os.write(ready[1], b"x")
            signal.pause()
        except SystemExit:
            os._exit(7)

    _, pid = booting(work)
    if when == "after":
        os.read(ready[0], 1)
    os.kill(pid, signum)
    os.write(go[1], b"x")
    try:
        assert ended(pid) == status
    finally:
        for fd in (*ready, *go):
            os.close(fd)


def test_a_terminals_interrupt_is_for_the_master_from_the_fork_on() -> None:
    """Ctrl-C reaches every process of the terminal."""

    def work(worker: Any) -> None:
        worker.begin_boot()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    _, pid = booting(work)
    assert ended(pid) != -signal.SIGINT
    assert not HELD & signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("handler", ["handle_exit", "handle_quit"])
def test_a_worker_that_loads_its_app_ends_at_once(handler: str) -> None:
    """There is no request to wait for; should the app catch the exception, an alarm ends the process."""

    def work(worker: Any) -> None:
        try:
            getattr(worker, handler)(signal.SIGTERM, None)
        except SystemExit as end:
            os._exit(7 if end.code == 0 and 0 < signal.alarm(0) <= 3 else 8)

    _, pid = booting(work)
    assert ended(pid) == 7


@pytest.mark.parametrize("trouble", ["", "all slots are taken", "its block can't be used"])
def test_a_worker_that_has_no_slot_counts_for_itself(trouble: str) -> None:
    """Whatever was missing, or failed: it serves, and says so once."""

    def work(worker: Any) -> None:
        said: list[str] = []
        worker.log = SimpleNamespace(warning=lambda text, *args: said.append(text % args))
        if "block" in trouble:
            worker.hvd_parts = Mock(side_effect=BlockFull(trouble))
        elif trouble:
            worker.hvd_trouble = trouble
        worker.hvd_enter()
        worker.hvd_enter()
        worker.say_ready()
        row = counting.local.row
        row.begin("GET", "/")
        row.respond(("GET", "/", "200"), False)
        row.finish()
        is_counted = Reader(counting.rows.block).read().heads.finished == 1
        has_said = len(said) == 1 and (trouble or "pre_fork") in said[0]
        os._exit(7 if is_counted and has_said else 8)

    _, pid = booting(work)
    assert ended(pid) == 7
