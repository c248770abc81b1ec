"""Classes of worker other than gunicorn's sync and gthread; and workers that find themselves without hvd."""

from pathlib import Path

import pytest

from tests.support.guest import HELLO, Guest
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


@pytest.mark.parametrize(("name", "capacity"), [("Threads", 6), ("Sync", 2), ("Minimal", 2000)])
def test_a_class_of_ones_own_counts(tmp_path: Path, name: str, capacity: int) -> None:
    """Its overrides are in force, whatever it stands on; of one that hvd doesn't know, the start says so."""
    files = {"own.py": OWN, "shop.py": SLOW}
    conf = f'threads = {3 if name == "Threads" else 1}\nworker_class = "own.{name}"\n'
    with Guest(tmp_path, files=files, conf=conf) as guest:
        for path in ("/", "/", "/stream", "/stream"):
            assert guest.get(path).body == b"ok"
        until(lambda: guest.snapshot()["http_requests"] == 4, "all are counted")
        assert guest.snapshot()["worker_threads"] == capacity
        unknown = [line for line in guest.log.splitlines() if "none that hvd knows" in line]
        assert len(unknown) == (name == "Minimal")
    assert guest.alarms == unknown
    if name != "Minimal":
        assert guest.log.count("own handle_request /stream") == 2
        assert guest.log.count("own handle_exit") == 2


def test_a_class_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    """Whoever names it, in hvd's settings or in gunicorn's; no traceback of gunicorn's."""
    own = Server(tmp_path, worker_class="nowhere.Worker")
    for server in (own, Guest(tmp_path, conf='worker_class = "nowhere.Worker"\n')):
        assert "worker class 'nowhere.Worker' can't be loaded: " in one_line(server)


def one_line(server: Server) -> str:
    """What it is refused with."""
    assert server.start_in_vain() == 2
    (line,) = server.log.splitlines()
    return line
