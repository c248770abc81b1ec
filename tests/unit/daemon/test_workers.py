"""What gunicorn refuses: its own statuses and texts, as JSON problems, counted; and signals to a worker that boots."""

import json
import os
import signal
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest
from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

from hvd.daemon.workers import CLASSES, HELD, HvdSyncWorker, HvdThreadWorker
from hvd.settings.value_types import WORKER_CLASS
from tests.unit.core.support import ended, fork


def refused(
    monkeypatch: pytest.MonkeyPatch, exc: BaseException, row: Mock, *, alive: bool = True, counts: bool = True
) -> Mock:
    """The client's socket after gunicorn has handled this exception."""
    monkeypatch.setattr("hvd.daemon.workers.here", SimpleNamespace(local=SimpleNamespace(row=row)))
    worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)
    worker.alive, worker.cfg, worker.wsgi = alive, Config(), SimpleNamespace(is_counting=counts)
    worker.log = SimpleNamespace(**dict.fromkeys(("warning", "exception", "debug", "access"), lambda *a, **k: None))
    client = Mock(**{"gettimeout.return_value": None})
    worker.handle_error(None, client, ("127.0.0.1", 1), exc)
    return client


@pytest.mark.parametrize(
    ("exc", "status"),
    [
        (errors.InvalidRequestLine("x"), 400),
        (errors.InvalidHeader("x"), 400),
        (errors.LimitRequestLine(9, 8), 414),
        (errors.LimitRequestHeaders("too many"), 431),
        (errors.UnsupportedTransferCoding("x"), 501),
        (ValueError("a bug"), 500),
    ],
)
def test_gunicorns_own_status_goes_out_as_one_problem(
    monkeypatch: pytest.MonkeyPatch, exc: Exception, status: int
) -> None:
    """One sendall, with the status that gunicorn chose, and no HTML left in the detail."""
    row = Mock(interrupted=None)
    client = refused(monkeypatch, exc, row)
    client.sendall.assert_called_once()
    head, _, body = client.sendall.call_args.args[0].partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == status
    assert "<" not in problem.get("detail", "")
    unparsed = "(unparsed)"
    assert row.mock_calls == [
        call.begin(unparsed),
        call.respond((unparsed, unparsed, str(status)), True),
        call.finish(),
    ]


def test_a_request_that_had_begun_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its method and route are those that the middleware noted."""
    row = Mock(interrupted=("POST", "/x"))
    refused(monkeypatch, ValueError("a bug"), row)
    assert row.mock_calls == [call.respond(("POST", "/x", "500"), True), call.finish()]
    assert row.interrupted is None


def test_a_request_cut_off_by_the_end_of_the_process_stays_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """The response counts, the request is the master's to count as aborted."""
    row = Mock(interrupted=("GET", "/slow"))
    refused(monkeypatch, SystemExit(1), row, alive=False)
    assert row.mock_calls == [call.respond(("GET", "/slow", "500"), True)]


def test_nothing_is_counted_where_no_app_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An uncounted app, or gunicorn's stand-in for one with a syntax error, changes no cell; the answer is the same."""
    row = Mock(interrupted=None)
    client = refused(monkeypatch, ValueError("a bug"), row, counts=False)
    assert client.sendall.call_args.args[0].startswith(b"HTTP/1.1 500 ")
    assert row.mock_calls == []


def test_gunicorns_classes_have_a_counting_counterpart() -> None:
    """The two that are supported, and no others."""
    assert {SyncWorker: HvdSyncWorker, ThreadWorker: HvdThreadWorker} == CLASSES
    assert all(issubclass(ours, theirs) for theirs, ours in CLASSES.items())
    assert all(WORKER_CLASS.read(ours.setting) == ours.setting for ours in CLASSES.values())


def test_a_quick_stop_waits_for_no_lock_of_the_thread_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal may have interrupted the thread that holds it; nor does it raise in the midst of something."""
    alarms: list[int] = []
    monkeypatch.setattr("hvd.daemon.workers.signal.alarm", alarms.append)
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
