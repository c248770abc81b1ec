"""A gunicorn.conf.py with hooks of its own beside hvd's: both are at work, whatever the user's do."""

import os
import signal
from pathlib import Path

from tests.support.http import load
from tests.support.server import Server
from tests.support.waiting import until

OWN = """
import atexit, os

def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{text}\\n")

def on_starting(server): note("on_starting")
def when_ready(server): note("when_ready")
def pre_fork(server, worker): note("pre_fork")
def child_exit(server, worker):
    note("child_exit")
    raise ValueError("own child_exit")

from hvd.gunicorn_conf import *
from hvd import gunicorn_conf
from hvd.web.here import here

def post_fork(server, worker):
    gunicorn_conf.post_fork(server, worker)
    note(f"post_fork {here.parts.block.name}")
    atexit.register(note, "atexit of a worker")
def post_request(worker, req, environ, resp):
    gunicorn_conf.post_request(worker, req, environ, resp)
    if req.path == "/hello":
        note("post_request")
def worker_int(worker): note("worker_int")
def worker_exit(server, worker): note("worker_exit")
def nworkers_changed(server, new, old): note(f"nworkers_changed {new}")
def on_reload(server):
    note("on_reload")
    raise ValueError("own on_reload")
def on_exit(server): note(f"on_exit {os.path.exists('/dev/shm/hvd-' + os.environ['HVD_INSTANCE'])}")
"""


def test_own_hooks_live_beside_hvds(tmp_path: Path) -> None:
    """Before or after hvd's names are imported, those that call hvd's part themselves, and those that fail."""
    conf, notes = tmp_path / "own.py", tmp_path / "notes"
    conf.write_text(OWN)

    def count(text: str) -> int:
        return notes.read_text().splitlines().count(text)

    server = Server(tmp_path, arguments=("-c", str(conf)), environ={"NOTES": str(notes)}, workers=2, interval=0.2)
    with server:
        until(lambda: count(f"post_fork hvd-{server.instance}") == 2, "a worker's own hook finds hvd ready")
        assert count("on_starting") == count("when_ready") == 1
        assert count("pre_fork") == 2
        load(server.address, ["/hello"], clients=2, requests=50)
        until(lambda: count("post_request") == 50, "each request has its own hook")
        first = server.pids("worker")
        aggregator = server.pids("aggregator")
        os.kill(first[0], signal.SIGQUIT)
        until(lambda: count("child_exit") == 1, "a worker's end is told")
        until(lambda: len(set(server.pids("worker")) - set(first)) == 1, "it is replaced")
        assert count("atexit of a worker") == count("worker_exit") == count("worker_int") == 1

        server.reload()
        assert count("on_reload") == 1
        assert server.block.exists()
        assert server.pids("aggregator") == aggregator
        load(server.address, ["/hello"], clients=2, requests=50)
        until(lambda: server.snapshot()["requests"]["in_flight"] == 1, "only the one that asks is in progress")
        assert server.counted()["/hello", 200] == 100
        assert server.snapshot()["requests"]["aborted"] == 0
        exits = {cause for (cause,), number in server.samples("hvd_process_exits_total", "cause").items() if number}
        assert exits == {"exit 0"}

        conf.write_text("a typo")
        server.reload()
        assert "reload goes on with the settings in force" in server.log, "a file that can't be read is told"
        load(server.address, ["/hello"], clients=2, requests=50)
        until(lambda: count("post_request") == 150, "its hooks are still those of before")
    assert count("on_exit True") == 1
    assert not server.block.exists()
    for hook in ("child_exit", "on_reload"):
        assert f"the hook {hook} failed" in server.log
