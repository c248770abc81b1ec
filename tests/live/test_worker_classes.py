"""Classes of worker other than gunicorn's sync and gthread; and workers that find themselves without hvd."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.guest import HELLO, Guest, Run
from tests.support.http import Asking
from tests.support.server import Server
from tests.support.waiting import until

OWN = '''\
import os
import socket
import threading

from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker


class Threads(ThreadWorker):
    def init_process(self):
        self.log.info("own init_process")
        super().init_process()

    def handle_request(self, req, conn):
        keeps = super().handle_request(req, conn)
        self.log.info("own handle_request %s", req.path)
        return keeps

    def handle_exit(self, sig, frame):
        self.log.info("own handle_exit")
        super().handle_exit(sig, frame)


class Loop(ThreadWorker):
    def init_process(self):
        ThreadWorker.init_process(self)

    def run(self):
        self.log.info("own run")
        ThreadWorker.run(self)


class Sync(SyncWorker):
    def handle_request(self, listener, req, client, addr):
        super().handle_request(listener, req, client, addr)
        self.log.info("own handle_request %s", req.path)

    def handle_exit(self, sig, frame):
        self.log.info("own handle_exit")
        super().handle_exit(sig, frame)


class Minimal(Worker):
    """Speaks as little HTTP as there can be, in a thread for each connection."""

    def run(self):
        (listener,) = self.sockets
        listener.settimeout(0.1)
        while self.alive:
            self.notify()
            try:
                client, _ = listener.accept()
            except OSError:
                continue
            threading.Thread(target=self.serve, args=(client,)).start()

    def serve(self, client):
        with client:
            client.settimeout(None)
            method, path, _ = client.recv(65536).split(b" ", 2)
            environ = {"REQUEST_METHOD": method.decode(), "PATH_INFO": path.decode(), "QUERY_STRING": ""}
            body = self.wsgi(environ, lambda status, headers, exc_info=None: client.sendall(
                ("HTTP/1.1 %s\\r\\nConnection: close\\r\\n" % status
                 + "".join("%s: %s\\r\\n" % header for header in headers) + "\\r\\n").encode()))
            for piece in body:
                client.sendall(piece)
            if hasattr(body, "close"):
                body.close()
'''

SLOW = (
    HELLO
    + """

import time
_fast = app

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(30)
    if environ["PATH_INFO"] == "/stream":
        _fast(environ, start_response)
        return (piece for piece in [b"o", b"k"])
    return _fast(environ, start_response)
"""
)


@pytest.mark.parametrize(("name", "capacity"), [("Threads", 6), ("Loop", 6), ("Sync", 2), ("Minimal", 2000)])
def test_a_class_of_ones_own_counts(tmp_path: Path, name: str, capacity: int) -> None:
    """Its overrides are in force, whatever it stands on; of one that hvd doesn't know, the start says so."""
    files = {"own.py": OWN, "shop.py": SLOW}
    conf = f'threads = {3 if name in ("Threads", "Loop") else 1}\nworker_class = "own.{name}"\n'
    with Guest(tmp_path, files=files, conf=conf) as guest:
        for path in ("/", "/", "/stream", "/stream"):
            assert guest.get(path).body == b"ok"
        until(lambda: guest.snapshot()["http_requests"] == 4, "all are counted")
        assert guest.snapshot()["worker_threads"] == capacity
        unknown = [line for line in guest.log.splitlines() if "none that hvd knows" in line]
        assert len(unknown) == (name == "Minimal")
        assert guest.alarms == unknown
        asking = Asking(guest.address, "/slow")
        busy = until(lambda: guest.snapshot()["longest_requests"], "it is in progress")[0]
        os.kill(busy["pid"], signal.SIGKILL)
        assert isinstance(asking.wait(), OSError)
        died = until(lambda: guest.snapshot()["post_mortems"], "there is a post-mortem")[0]
        assert (died["aborted"], [request["path"] for request in died["requests"]]) == (1, ["/slow"])
    assert name != "Loop" or "own run" in guest.log
    if name in ("Threads", "Sync"):
        assert guest.log.count("own handle_request /stream") == 2
        assert guest.log.count("own handle_exit") >= 2


def test_a_class_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    """Whoever names it, in hvd's settings or in gunicorn's; no traceback of gunicorn's."""
    own = Server(tmp_path, worker_class="nowhere.Worker")
    for server in (own, Guest(tmp_path, conf='worker_class = "nowhere.Worker"\n')):
        assert "worker class 'nowhere.Worker' can't be loaded: " in one_line(server)


def test_hvds_own_endpoints_need_a_class_that_passes_sockets_on(tmp_path: Path) -> None:
    """Which gevent's don't, nor those that nobody knows."""
    line = one_line(Server(tmp_path, app="hvd.web.wsgi:app", worker_class="gevent"))
    assert "worker class 'gevent' can't serve hvd's own endpoints, which need gthread or sync" in line


def test_hvds_own_app_is_no_guest(tmp_path: Path) -> None:
    """Under install, or named to `hvd run`: its settings would be of two kinds."""
    for kind in Guest, Run:
        line = one_line(kind(tmp_path, app="hvd.web.wsgi:app"))
        assert "hvd.web.wsgi:app is hvd's own app: serve it by `hvd run` without an app" in line


HOOKS = """\
def two(server, worker):
    pass


def one(worker):
    pass


def four(worker, req, environ, resp):
    pass


def on_starting(server):
    for name, hook in {{"post_fork": two, "post_worker_init": one, "post_request": four, {more}}}.items():
        server.cfg.set(name, hook)
"""


def test_hooks_that_are_replaced_later_change_nothing(tmp_path: Path) -> None:
    """When hvd has put its own around them: the worker does what they would have done."""
    more = '"child_exit": two, "worker_exit": two'
    with Guest(tmp_path, conf=HOOKS.format(more=more), workers=1, arguments=("-k", "gevent")) as guest:
        (pid,) = guest.pids("worker")
        for _ in range(3):
            assert guest.get("/").body == b"ok"
        until(lambda: guest.snapshot()["requests"]["finished"] == 3, "all are finished")
        os.kill(pid, signal.SIGKILL)
        until(lambda: guest.pids("worker") not in ([], [pid]), "another one has a slot")
        until(lambda: guest.snapshot()["worker_threads"], "it is ready")
    assert [line for line in guest.alarms if "SIGKILL" not in line] == []


ALONE = "this worker has no slot; it serves, and counts for itself alone: "


def test_a_worker_without_a_slot_serves(tmp_path: Path) -> None:
    """A hook was replaced that gives it one; and none is left. It says so, once."""
    replaced = Guest(tmp_path, conf=HOOKS.format(more='"pre_fork": two'), workers=1)
    with replaced.start(ready=False):
        until(lambda: ALONE in replaced.log, "it says so")
        assert [replaced.get("/").body for _ in range(3)] == [b"ok"] * 3
        assert len(replaced.alarms) == 1
        assert f"{ALONE}gunicorn has not called hvd's hook pre_fork" in replaced.alarms[0]
    with Guest(tmp_path, workers=2, slots=6) as full:
        for number in (3, 4, 5, 6):
            full.signal(signal.SIGTTIN)
            until(lambda number=number: len(full.pids("worker")) == number, "there is one more")
        full.signal(signal.SIGTTIN)
        until(lambda: ALONE in full.log, "one has none")
        assert {full.get("/").body for _ in range(30)} == {b"ok"}
        assert len(full.alarms) == 1
        assert f"{ALONE}all 6 worker slots of block" in full.alarms[0]
        full.signal(signal.SIGTTOU)
        until(lambda: len(full.pids("worker")) == 5, "the oldest one has ended")


@pytest.mark.parametrize("kind", ["gevent", "own.Minimal"])
def test_a_syntax_error_is_answered_with_gunicorns_page(tmp_path: Path, kind: str) -> None:
    """While code is reloaded; and what is counted is what clients saw."""
    files = {"own.py": OWN, "shop.py": "def app(:\n"}
    with Guest(tmp_path, files=files, workers=1, arguments=("-k", kind, "--reload")) as guest:
        answers = [guest.get("/") for _ in range(3)]
        assert {answer.status for answer in answers} == {500}
        assert all(b"SyntaxError" in answer.body for answer in answers)
        until(lambda: guest.snapshot()["requests"]["finished"] == 3, "they are counted")
        (tmp_path / "shop.py").write_text(HELLO)
        until(lambda: answers_ok(guest), "it is served once the error is mended")
        until(lambda: guest.snapshot()["requests"]["in_flight"] == 0, "nothing is in progress")
        requests = guest.snapshot()["requests"]
        assert requests["started"] == requests["finished"]


def answers_ok(server: Server) -> bool:
    try:
        return server.get("/").status == 200
    except OSError:
        return False


def one_line(server: Server) -> str:
    """What it is refused with."""
    assert server.start_in_vain() == 2
    (line,) = (line for line in server.log.splitlines() if "[INFO]" not in line)
    return line
