"""Servers that hvd has no part in, and a task queue: what they serve counts in the daemon that they have joined."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http import load
from tests.support.server import ROOT, Server
from tests.support.waiting import until

ASGI = """\
import hvd
hvd.join()

async def shop(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    status = 404 if scope["path"] == "/none" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

app = hvd.count(shop)
"""

WSGI = """\
import hvd
hvd.join()

def shop(environ, start_response):
    status = "404 Not Found" if environ["PATH_INFO"] == "/none" else "200 OK"
    start_response(status, [("Content-Length", "2")])
    return [b"ok"]

app = hvd.count(shop)
"""

SERVERS = {
    "uvicorn": (ASGI, ["uvicorn", "shop:app", "--workers", "2", "--log-level", "warning", "--port"]),
    "granian": (
        WSGI,
        ["granian", "shop:app", "--interface", "wsgi", "--workers", "2", "--respawn-failed-workers", "--port"],
    ),
}
"""Its app, and its command up to the port."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path, instance: str) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HVD_")}
    return environ | {"PYTHONPATH": f"{folder}:{ROOT}", "HVD_INSTANCE": instance}


@contextlib.contextmanager
def running(folder: Path, instance: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Python's in the folder, which joins that daemon; it and its children are ended in the end."""
    environ = environment(folder, instance)
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environ, stdout=log, stderr=log, process_group=0
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def counted(daemon: Server) -> Counter[tuple[str, int]]:
    """Responses of the shop's, which has no routes, by method and status."""
    found: Counter[tuple[str, int]] = Counter()
    for (metric, pairs), number in daemon.admin_metrics().items():
        if metric == "hvd_http_requests_total" and (labels := dict(pairs))["route"].startswith("("):
            found[labels["method"], int(labels["status"])] += int(number)
    return found


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_s_workers_count_to_the_last_request(tmp_path: Path, name: str) -> None:
    """In a daemon that serves no app; where one of them is killed, the one that follows it joins as well."""
    app, command = SERVERS[name]
    (tmp_path / "shop.py").write_text(app)
    port, received = free_port(), Counter[tuple[str, int]]()
    with Server(tmp_path, workers=1) as daemon, running(tmp_path, daemon.instance, [*command, str(port)]):

        def serve() -> None:
            tally = load(("127.0.0.1", port), ["/", "/none"], clients=8, requests=2000)
            for (_, status), number in tally.received.items():
                received["GET", status] += number
            until(lambda: counted(daemon) == received, f"{received} are counted")

        until(lambda: answers(port), f"it listens; {(tmp_path / 'server.log').read_text()}", 30)
        serve()
        until(lambda: len(daemon.pids("joined")) >= 2, "both have joined")
        if name == "granian":  # uvicorn takes its time to start another one
            killed = daemon.pids("joined")[-1]
            os.kill(killed, signal.SIGKILL)
            until(lambda: killed not in daemon.pids("joined"), "its slot comes back")
            until(lambda: len(daemon.pids("joined")) >= 2, "another one has joined", 30)
            serve()
    assert daemon.alarms == []


TASKS = """\
import hvd, shop
from celery import Celery

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "queue"}

@app.task
def work():
    list(shop.app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *status_and_headers: None))
"""


def test_processes_of_a_task_queue_count(tmp_path: Path) -> None:
    """Celery's are forked from one that has joined."""
    (tmp_path / "shop.py").write_text(WSGI)
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "queue").mkdir()
    submit = "import tasks\nfor _ in range(100): tasks.work.delay()"
    with Server(tmp_path, workers=1) as daemon:
        environ = environment(tmp_path, daemon.instance)
        subprocess.run([sys.executable, "-c", submit], cwd=tmp_path, env=environ, check=True)
        with running(tmp_path, daemon.instance, ["celery", "-A", "tasks", "worker", "-c", "2"]) as celery:
            until(lambda: counted(daemon) == {("GET", 200): 100}, "all tasks are counted", 30)
            until(lambda: len(daemon.pids("joined")) == 3, "each has its slot")
            celery.terminate()
            celery.wait(60)
        until(lambda: daemon.pids("joined") == [], "all slots come back")
        ended = daemon.samples("hvd_process_exits_total", "kind", "cause")
        assert ended["joined", "exit"] >= 2, "the one that has submitted, and Celery's first process"
    assert daemon.alarms == []
