"""A daemon that may have 64 descriptors a process: what finds none fails by itself, and nobody ends of it."""

import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.http import Connection, connect
from tests.support.jobs import JobsDaemon
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

APP = """
import os, threading, time
from tests.support.app import app as inner
def hog(path):
    taken = []
    while not os.path.exists(path):
        try:
            taken.append(os.dup(0))
        except OSError:
            time.sleep(0.001)
    for fd in taken:
        os.close(fd)
def app(environ, start_response):
    if environ["PATH_INFO"] == "/hog":
        threading.Thread(target=hog, args=(environ["QUERY_STRING"],)).start()
    return inner(environ, start_response)
"""
"""Its /hog?PATH takes every descriptor that there is, until that file is there."""


@pytest.mark.parametrize(("worker_class", "threads"), [("gthread", 4), ("sync", 1)])
def test_without_descriptors_things_fail_one_by_one(tmp_path: Path, worker_class: str, threads: int) -> None:
    """Connections wait, upgrades get 503, jobs and reloads come through; all is well again when there are some."""
    (tmp_path / "hogging.py").write_text(APP)
    server = JobsDaemon(
        tmp_path,
        {"limit": {"command": ["sh", "-c", "ulimit -Sn"]}},
        workers=1,
        worker_class=worker_class,
        keepalive=2,
        threads=threads,
    )
    server.command = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *server.command[:-1]]
    server.command += ["--pythonpath", str(tmp_path), "hogging:app"]
    with server, ExitStack() as stack:
        before = server.pids("worker"), server.pids("aggregator"), server.runner_pid
        many = [stack.enter_context(Connection(server.address)) for _ in range(80)]
        assert {one.get("/hello").status for one in many} == {200}, "all at once, and idle meanwhile"

        with ExitStack() as clients:
            statuses = [clients.enter_context(RawWebSocket(server.address)).status for _ in range(60)]
            assert sorted(set(statuses)) == [101, 503]
            assert 16 <= statuses.count(101) <= 40
        until(lambda: server.snapshot()["websocket_clients"] == 0, "all are gone")
        with RawWebSocket(server.address) as client:
            assert client.status == 101

        server.get(f"/hog?{tmp_path}/enough")

        def one_waits() -> socket.socket | None:
            sock = stack.enter_context(connect(server.address))
            sock.sendall(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
            time.sleep(0.1)
            if "new connections wait: Too many open files, the limit is 64" in server.log:
                return sock
            sock.close()  # it came before all were taken; the next one finds its descriptor taken, too
            return None

        waiting = until(one_waits, "one waits", pause=0.1)
        (tmp_path / "enough").touch()
        assert waiting
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200 "), "and is answered"

        (job,) = server.submit("limit")
        assert server.wait_status(job, "completed")["output"] == ["64"]
        assert (server.pids("worker"), server.pids("aggregator"), server.runner_pid) == before
        server.signal(signal.SIGHUP)
        until(lambda: server.is_healthy() and server.pids("worker") != before[0], "the reload is through")
    assert "Exception in worker process" not in server.log
