"""gunicorn's threaded worker without a master."""

import contextlib
import errno
import inspect
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker

from hvd.core.block import Block
from hvd.daemon.admin.options import THREADS
from hvd.daemon.admin.worker import TURN, AdminWorker
from hvd.daemon.clients.limited import LimitedThreadWorker
from hvd.daemon.clients.pace import Limits
from hvd.daemon.workers import OWN_DESCRIPTORS, THREAD_DESCRIPTORS
from hvd.metrics.table import ADMIN
from tests.support.http import Connection, connect
from tests.support.waiting import until
from tests.unit.core.support import counts, own_rows


def test_gunicorn_is_as_it_was_read() -> None:
    """The arguments, that the loop calls `notify` first and then looks at the number of connections, and its turn."""
    assert list(inspect.signature(Worker.__init__).parameters)[1:] == [
        *("age", "ppid", "sockets", "app", "timeout", "cfg", "log")
    ]
    loop = inspect.getsource(ThreadWorker.run)
    steps = [
        "while self.alive",
        "self.notify()",
        "set_accept_enabled(can_accept)",
        "wait_for_and_dispatch_events(",
    ]
    places = [loop.index(step) for step in steps]
    assert places == sorted(places)
    assert "def wait_for_and_dispatch_events(self, timeout)" in inspect.getsource(ThreadWorker)
    assert "self.init_signals()" in inspect.getsource(Worker.init_process)


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


class Running:
    """An AdminWorker in a thread of this process; its signals are this process's own."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.turns: list[float] = []
        self.worker = AdminWorker(self.listener, app, Limits(), lambda: self.turns.append(time.monotonic()))
        self.thread = threading.Thread(target=self.worker.init_process)
        self.thread.start()


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    running = Running(tmp_path / "sock", monkeypatch)
    yield running
    running.worker.alive = False
    running.thread.join(20)
    assert not running.thread.is_alive()
    for fd in running.worker.PIPE:
        os.close(fd)
    running.worker.tmp.close()


def test_it_serves_and_turns(tmp_path: Path, running: Running) -> None:
    """With as many threads as it should have; a sign of life comes each 0.25 s, requests or not."""
    with Connection(str(tmp_path / "sock")) as connection:
        assert connection.get("/").body == b"ok"
    until(lambda: len(running.turns) > 5, "it turns")
    assert running.worker.cfg.threads == THREADS
    assert TURN <= 0.5


def test_it_can_leave_connections_to_another_server(tmp_path: Path, running: Running) -> None:
    """They wait, and are served once it accepts again; those that are open are served all the time."""
    with Connection(str(tmp_path / "sock")) as connection:
        assert connection.get("/").status == 200
        running.worker.stand_back(True)
        turns = len(running.turns)
        until(lambda: len(running.turns) > turns + 1, "it has turned")
        assert connection.get("/").status == 200
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(tmp_path / "sock"))
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            waiting.settimeout(3 * TURN)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            running.worker.stand_back(False)
            waiting.settimeout(20)
            assert waiting.recv(12) == b"HTTP/1.1 200"


def test_where_descriptors_are_lacking_connections_wait(
    tmp_path: Path, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever opens many would end it. It takes no more than it has room for, some beside them."""
    lacks = [OSError(errno.EMFILE, "Too many open files")] * 3
    accept = LimitedThreadWorker.accept

    def accept_or_lack(worker: Any, listener: Any) -> None:
        if lacks:
            raise lacks.pop()
        accept(worker, listener)

    monkeypatch.setattr(LimitedThreadWorker, "accept", accept_or_lack)
    with Connection(str(tmp_path / "sock")) as connection:
        assert connection.get("/").status == 200
    assert not lacks
    monkeypatch.setattr("hvd.daemon.admin.worker.count_free", lambda: 50)
    worker = AdminWorker(running.listener, app, Limits(), lambda: None)
    assert worker.worker_connections == 50 - OWN_DESCRIPTORS - THREADS * THREAD_DESCRIPTORS
    worker.tmp.close()


def test_half_requests_hold_no_thread(tmp_path: Path, running: Running) -> None:
    """More of them than it has threads."""
    with contextlib.ExitStack() as stack:
        for _ in range(2 * THREADS):
            stack.enter_context(connect(str(tmp_path / "sock"))).sendall(b"GET / HTTP/1.1\r\nHo")
        with Connection(str(tmp_path / "sock")) as connection:
            assert connection.get("/").status == 200


def test_what_is_no_request_is_a_problem_that_counts_apart(
    tmp_path: Path, running: Running, block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 408 does, which the loop itself answers to who is late."""
    parts = SimpleNamespace(parts=SimpleNamespace(rows=own_rows(block)))
    monkeypatch.setattr("hvd.daemon.admin.worker.here", parts)
    with Connection(str(tmp_path / "sock")) as connection:
        answer = connection.exchange(b"BAD\r\n\r\n")
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    running.worker.take_limits(Limits(head_seconds=0.1))
    with connect(str(tmp_path / "sock")) as late:
        late.sendall(b"GET / HTTP/1.1\r\nHo")
        assert late.recv(12) == b"HTTP/1.1 408"
    assert counts(block, ADMIN.key) == {("(unparsed)", "(unparsed)", status): 1 for status in ("400", "408")}
