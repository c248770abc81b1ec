"""What gunicorn refuses itself: its own statuses and texts, as JSON problems, counted."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

from hvd.workers import CLASSES, HvdSyncWorker, HvdThreadWorker


class Client:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def gettimeout(self) -> None:
        return None

    def setblocking(self, flag: bool) -> None:
        pass


class FakeRow:
    """Notes the calls that it gets."""

    def __init__(self, interrupted: tuple[str, str] | None = None) -> None:
        self.interrupted = interrupted
        self.calls: list[tuple[str, ...]] = []

    def begin(self, method: str, path: str) -> None:
        self.calls.append(("begin", method))

    def respond(self, method: str, route: str, status: str) -> None:
        self.calls.append(("respond", method, route, status))

    def finish(self) -> None:
        self.calls.append(("finish",))


def refused(monkeypatch: pytest.MonkeyPatch, exc: BaseException, row: FakeRow, *, alive: bool = True) -> Client:
    """The client after gunicorn has handled this exception."""
    rows = SimpleNamespace(mine=lambda: row)
    monkeypatch.setattr("hvd.workers.here", SimpleNamespace(worker=SimpleNamespace(rows=rows)))
    worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)
    worker.alive, worker.cfg = alive, Config()
    worker.log = SimpleNamespace(**dict.fromkeys(("warning", "exception", "debug", "access"), lambda *a, **k: None))
    client = Client()
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
    row = FakeRow()
    client = refused(monkeypatch, exc, row)
    assert len(client.sent) == 1
    head, _, body = client.sent[0].partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == status
    assert "<" not in problem.get("detail", "")
    assert row.calls == [
        ("begin", "(unparsed)"),
        ("respond", "(unparsed)", "(unparsed)", str(status)),
        ("finish",),
    ]


def test_a_request_that_had_begun_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its method and route are those that the middleware noted."""
    row = FakeRow(interrupted=("POST", "/x"))
    refused(monkeypatch, ValueError("a bug"), row)
    assert row.calls == [("respond", "POST", "/x", "500"), ("finish",)]
    assert row.interrupted is None


def test_a_request_cut_off_by_the_end_of_the_process_stays_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """The response counts, the request is the master's to count as aborted."""
    row = FakeRow(interrupted=("GET", "/slow"))
    refused(monkeypatch, SystemExit(1), row, alive=False)
    assert row.calls == [("respond", "GET", "/slow", "500")]


def test_gunicorns_classes_have_a_counting_counterpart() -> None:
    """The two that are supported, and no others."""
    assert {SyncWorker: HvdSyncWorker, ThreadWorker: HvdThreadWorker} == CLASSES
    assert all(issubclass(ours, theirs) for theirs, ours in CLASSES.items())


def test_a_quick_stop_waits_for_no_lock_of_the_thread_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal may have interrupted the thread that holds it; nor does it raise in the midst of something."""
    alarms: list[int] = []
    monkeypatch.setattr("hvd.workers.signal.alarm", alarms.append)
    woken: list[Any] = []
    worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)  # without a pool: to touch it is an AttributeError
    worker.alive, worker.cfg, worker.method_queue = True, Config(), SimpleNamespace(defer=woken.append)
    worker.handle_quit(3, None)
    assert not worker.alive
    assert len(woken) == 1
    assert alarms == [3]
