"""What gunicorn refuses: its own statuses and texts, as JSON problems, counted."""

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest
from gunicorn.config import Config
from gunicorn.http import errors

from hvd.core.block import Block
from hvd.core.limits import SERVER_ERROR
from hvd.core.progress import read_progress
from hvd.core.totals import Reader
from hvd.daemon.workers import CountingWorker, HvdThreadWorker
from hvd.instrument.counting import HttpSettings
from hvd.instrument.wsgi import counted
from hvd.metrics.table import error_of
from tests.unit.core.support import WORKER, own_rows


def refused(
    monkeypatch: pytest.MonkeyPatch,
    exc: BaseException,
    row: Mock,
    *,
    alive: bool = True,
    problems: bool = True,
    req: Any = None,
) -> Mock:
    """The client's socket after gunicorn has handled this exception."""
    settings = HttpSettings(exclude=re.compile("/static/.*"))
    monkeypatch.setattr(
        "hvd.daemon.workers.counting", SimpleNamespace(local=SimpleNamespace(row=row), settings=settings)
    )
    worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)
    worker.alive, worker.cfg, worker.answers_as_hvd = alive, Config(), problems
    worker.log = SimpleNamespace(**dict.fromkeys(("warning", "exception", "debug", "access"), lambda *a, **k: None))
    client = Mock(**{"gettimeout.return_value": None})
    worker.handle_error(req, client, ("127.0.0.1", 1), exc)
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
        call.respond((unparsed, unparsed, str(status)), error_of(str(status))),
        call.finish(),
    ]


def test_another_app_keeps_gunicorns_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted all the same, but for paths that are left out."""
    for path, status in (("/a", [call.respond(("GET", "/a", "500"), SERVER_ERROR), call.finish()]), ("/static/a", [])):
        row = Mock(interrupted=("GET", "/a"))
        client = refused(
            monkeypatch, ValueError("a bug"), row, problems=False, req=Mock(path=path, version=(1, 1), headers=[])
        )
        assert b"<html>" in client.sendall.call_args.args[0]
        assert row.mock_calls == status
        assert row.interrupted is None


def test_a_request_that_had_begun_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its method and route are those that the middleware noted."""
    row = Mock(interrupted=("POST", "/x"))
    refused(monkeypatch, ValueError("a bug"), row)
    assert row.mock_calls == [call.respond(("POST", "/x", "500"), SERVER_ERROR), call.finish()]
    assert row.interrupted is None


def test_a_request_cut_off_by_the_end_of_the_process_stays_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """The response counts, the request is the master's to count as aborted."""
    row = Mock(interrupted=("GET", "/slow"))
    refused(monkeypatch, SystemExit(1), row, alive=False)
    assert row.mock_calls == [call.respond(("GET", "/slow", "500"), SERVER_ERROR)]


def test_requests_of_a_class_that_nobody_knows_may_overlap_in_a_thread(block: Block) -> None:
    """Each has an entry, to the end of its body."""
    rows = own_rows(block)
    worker: Any = CountingWorker.__new__(CountingWorker)
    worker.share_rows(rows)

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x"

    ask = counted(app, rows)
    bodies = [
        ask({"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": ""}, lambda *response: lambda data: None)
        for path in ("/1", "/2")
    ]
    assert [next(iter(body)) for body in bodies] == [b"x", b"x"]
    assert sorted(progress.text for progress in read_progress(block, WORKER)) == ["GET /1", "GET /2"]
    assert [list(body) for body in bodies] == [[], []]
    heads = Reader(block).read().heads
    assert (heads.started, heads.finished, heads.aborted) == (2, 2, 0)
