"""The limited workers: what they need of gunicorn's, and the threaded one without an arbiter."""

import inspect
import os
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from gunicorn import util
from gunicorn.config import Config
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import TConn, ThreadWorker
from gunicorn.workers.sync import SyncWorker

from hvd.daemon.clients.client_socket import RequestTimeout
from hvd.daemon.clients.limited import LimitedSyncWorker, LimitedThreadWorker
from hvd.daemon.clients.pace import Limits
from hvd.metrics.clients import HALF_BODY, HALF_HEAD
from tests.support.http import Connection
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("theirs", "parts"),
    [
        (
            ThreadWorker.run,
            ("while self.alive:", "self.nr_conns < self.worker_connections", "self.wait_for_and_dispatch_events("),
        ),
        (ThreadWorker.run, ("self.murder_keepalived()", "self._cap_keepalive(", "while self.nr_conns > 0:")),
        (ThreadWorker.run, ("if self.keepalived_conns:", "self.keepalived_conns[0].timeout")),
        (ThreadWorker.enqueue_req, ("self.tpool.submit(self.handle, conn)", "self.finish_request, conn, fut")),
        (ThreadWorker.handle, ("conn.sock.setblocking(True)", "conn.init()", "next(conn.parser)", "conn.data_ready")),
        (ThreadWorker.handle, ("self.handle_request(req, conn)", "self.handle_error(req, conn.sock, conn.client, e)")),
        (ThreadWorker.handle_request, ("len(self.keepalived_conns) >= self.max_keepalived",)),
        (ThreadWorker.finish_request, ("conn.parser.unreader.buf.getvalue()", "conn.close(graceful=True)")),
        (ThreadWorker.accept, ("listener.accept()", "self.nr_conns += 1", "listener.getsockname()")),
        (TConn.__init__, ("self.data_ready = False", "self.parser = None", "self.initialized = False")),
        (TConn.init, ("self.sock.setblocking(True)", "self.initialized", "ssl_wrap_socket(self.sock, self.cfg)")),
        (SyncWorker.accept, ("client.setblocking(1)", "self.handle(listener, client, addr)")),
        (SyncWorker.handle, ("self.handle_request(listener, req, client, addr)", "util.close_graceful(client)")),
        (SyncWorker.handle, ("self.handle_error(req, client, addr, e)", "except http.errors.NoMoreData")),
        (Worker.handle_error, ("util.write_error(client, status_int, reason, mesg)",)),
        (util.close_graceful, ("sock.shutdown(socket.SHUT_WR)", "sock.settimeout(remaining)", "timeout=2.0")),
    ],
)
def test_gunicorn_is_as_it_was_read(theirs: Any, parts: tuple[str, ...]) -> None:
    """What the limited workers replace, call, or rely on: read hvd/daemon/clients/limited.py again where this fails."""
    source = inspect.getsource(theirs)
    assert [part for part in parts if part not in source] == []


APP: Any = SimpleNamespace(wsgi=lambda: _app)


def _app(environ: Any, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read() + b"!"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Alone(LimitedThreadWorker):
    """A worker in a thread of the test, without an arbiter and without its signals."""

    def init_signals(self) -> None:
        pass


@pytest.fixture
def alone() -> Iterator[tuple[Alone, tuple[str, int], list[list[int]]]]:
    """With its address, and the numbers that it reported last."""
    listener = socket.create_server(("127.0.0.1", 0))
    cfg, log = Config(), Mock()
    cfg.set("threads", 1)
    cfg.set("keepalive", 15)
    worker = Alone(1, os.getppid(), [listener], APP, 30, cfg, log)
    worker.limits = Limits(0.5, 0.5, 0.5)
    reports: list[list[int]] = []
    worker.report = lambda counts: reports.append([*counts])
    thread = threading.Thread(target=worker.init_process)
    address = listener.getsockname()
    thread.start()
    try:
        yield worker, address, reports
    finally:
        worker.handle_exit(15, None)
        thread.join(20)
        for fd in worker.PIPE:
            os.close(fd)
        worker.tmp.close()
        assert not thread.is_alive()
        assert worker.nr_conns == 0


def test_a_threaded_worker_needs_no_arbiter(alone: tuple[Alone, tuple[str, int], list[list[int]]]) -> None:
    """Requests on one connection, while a client says nothing, one stops in a head, and one in a body."""
    _, address, reports = alone
    slow = [socket.create_connection(address) for _ in range(3)]
    slow[1].sendall(b"GET / HTTP/1.1\r\nHo")
    slow[2].sendall(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n1")
    began = time.monotonic()
    with Connection(address) as honest:
        assert honest.get("/").body == b"!"
        assert honest.request("POST", "/", body=b"x" * 300_000).body == b"x" * 300_000 + b"!"
        until(lambda: reports[-1:] == [[1, 1, 1, 0, 1, 0]], "they show as what they are")
        assert time.monotonic() - began < 5
        for sock, answer in zip(slow, (b"", b"HTTP/1.1 408 ", b"HTTP/1.1 408 "), strict=True):
            sock.settimeout(10)
            assert sock.recv(13) == answer
            sock.close()
        assert honest.get("/").body == b"!"
    until(lambda: reports[-1:] == [[0] * 6], "all are gone")


@pytest.mark.parametrize("kind", [LimitedThreadWorker, LimitedSyncWorker])
def test_a_request_that_is_late_gets_408(kind: Any) -> None:
    """In the form of gunicorn's own answers."""
    worker = kind.__new__(kind)
    client = Mock(**{"gettimeout.return_value": 0.0})
    worker.handle_error(None, client, ("127.0.0.1", 1), RequestTimeout("late"))
    assert client.sendall.call_args.args[0].startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_sync_worker_says_what_it_waits_for_when_that_changes() -> None:
    """It waits itself: while a request comes in, it can't serve another one."""
    worker, reports = LimitedSyncWorker.__new__(LimitedSyncWorker), list[list[int]]()
    worker.report = lambda counts: reports.append([*counts])
    for state in (None, HALF_HEAD, HALF_HEAD, None, HALF_BODY, None, None):
        worker._report(state)
    assert reports == [[0, 1, 0, 0, 0, 0, 1], [0] * 7, [0, 0, 1, 0, 0, 0, 0], [0] * 7]
