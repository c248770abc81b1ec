"""Rows of greenlets, and what hvd relies on in gunicorn (27.0.1) and gevent (26.9)."""

import inspect
import threading
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import pywsgi
from gunicorn.workers import base_async, ggevent

from hvd.core.block import Block
from hvd.core.progress import read_progress
from hvd.core.rows import Rows
from hvd.core.totals import Reader
from hvd.daemon.gevent_workers import CountingHandler, GreenletRow, Greenlets, Hub, HvdPyWSGIWorker
from tests.unit.core.support import WORKER, own_rows


@pytest.fixture
def rows(block: Block) -> Rows:
    return own_rows(block)


def test_a_greenlet_has_a_row_of_its_own(block: Block, rows: Rows) -> None:
    """For one request after the other; it is given back with the greenlet, what it had in progress as aborted."""
    local, seen = GreenletRow(rows), []

    def serve(path: str) -> None:
        for end in (True, False):
            row = local.row
            seen.append(row)
            row.begin("GET", path)
            gevent.sleep(0)
            assert local.row is row
            if end:
                row.respond(("GET", "/", "200"), False)
                row.finish()

    gevent.joinall([gevent.spawn(serve, f"/{number}") for number in range(3)])
    assert len(set(map(id, seen))) == 3
    seen.clear()
    gevent.sleep(0)  # the hub lets go of the last one
    heads = Reader(block).read().heads
    assert (heads.started, heads.finished, heads.aborted, heads.in_flight) == (6, 3, 3, 0)
    assert read_progress(block, WORKER) == []


def test_what_is_due_in_the_hub_may_be_cancelled() -> None:
    """It runs once, unless nobody wants it any more."""
    ran: list[str] = []
    Hub.call_later(0.001, lambda: ran.append("due"))
    Hub.call_later(0.001, lambda: ran.append("cancelled")).cancel()
    gevent.sleep(0.05)
    assert ran == ["due"]


def test_a_thread_beside_the_greenlets_has_one_too(rows: Rows) -> None:
    """As one of gevent's own pool."""
    local, found = GreenletRow(rows), []
    thread = threading.Thread(target=lambda: found.extend([local.row, local.row]))
    thread.start()
    thread.join()
    assert found[0] is found[1] is not local.row


def test_stacks_are_those_of_greenlets(block: Block, rows: Rows) -> None:
    """Each under the number that its request has for a thread; of idle ones there are none."""
    local = GreenletRow(rows)

    def wait(path: str) -> None:
        local.row.begin("GET", path)
        gevent.sleep(10)

    greenlets = [gevent.spawn(wait, f"/{number}") for number in range(2)]
    idle = gevent.spawn(lambda: (local.row, gevent.sleep(10)))
    gevent.sleep(0)
    try:
        frames = local.frames(inspect.currentframe())
        threads = {progress.thread: progress.text for progress in read_progress(block, WORKER)}
        assert threads.keys() == frames.keys() == {*map(id, greenlets)}
        for stack in frames.values():
            assert "wait" in [frame.f_code.co_name for frame in stack]
        local.row.begin("GET", "/here")
        assert inspect.currentframe() in local.frames(inspect.currentframe())[id(gevent.getcurrent())]
        local.row.abandon("exception")
    finally:
        gevent.killall([*greenlets, idle])


def test_an_orphan_has_time_for_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn's own notify would end the process at once."""
    worker: Any = Greenlets.__new__(Greenlets)
    worker.alive, worker.ppid = True, -1
    worker.notify()
    assert not worker.alive
    assert "sys.exit(0)" in inspect.getsource(ggevent.GeventWorker.notify)


def test_an_answer_of_gevents_own_server_is_counted(monkeypatch: pytest.MonkeyPatch, rows: Rows) -> None:
    """500, where an app has failed before anything was sent."""
    local, calls = GreenletRow(rows), []
    monkeypatch.setattr("hvd.daemon.gevent_workers.counting", SimpleNamespace(local=local))

    class Theirs:
        def handle_error(self, *error: object) -> None:
            calls.append(error)

    class Handler(CountingHandler, Theirs):
        pass

    row = local.row
    row.begin("GET", "/")
    row.interrupted = "GET", "/x"
    Handler().handle_error(ValueError, None, None)
    assert row.interrupted is None
    assert len(calls) == 1


def test_what_is_used_of_gunicorn_and_gevent_is_what_was_read() -> None:
    """None of it is public API."""
    run = inspect.getsource(ggevent.GeventWorker.run)
    assert "handler_class=self.wsgi_handler" in run
    assert "application=self.wsgi" in run
    assert "Pool(self.worker_connections)" in run
    assert "self.worker_connections = self.cfg.worker_connections" in inspect.getsource(base_async.AsyncWorker.__init__)
    assert "self.cfg.post_request(self, req, environ, resp)" in inspect.getsource(base_async.AsyncWorker.handle_request)
    assert list(inspect.signature(pywsgi.WSGIHandler.handle_error).parameters) == ["self", "t", "v", "tb"]
    assert list(inspect.signature(pywsgi.WSGIHandler.handle_one_response).parameters) == ["self"]
    response = inspect.getsource(pywsgi.WSGIHandler.handle_one_response)
    assert "self.handle_error(*sys.exc_info())" in response
    assert issubclass(HvdPyWSGIWorker.wsgi_handler, pywsgi.WSGIHandler)
