"""Jobs: submissions a second, how soon one starts, how many do-nothing jobs a second run, what an idle runner costs.

`python bench/jobs.py [--jobs N] [--seconds S]`; beside SQLite on PostgreSQL too where its programs are installed.
"""

import argparse
import contextlib
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from rounds import machine, table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.postgres import Postgres

KINDS = '[jobs.kinds.noop]\ncommand = ["true"]\n'
CLIENTS = 8
DEADLINE = 120.0


class Daemon:
    """A daemon with one kind of job, on a unix socket."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        config = folder / "hvd.toml"
        config.write_text(KINDS)
        self.socket = str(folder / "http.sock")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HVD_")}
        environ |= {"HVD_BIND": f"unix:{self.socket}", "HVD_INSTANCE": f"bench-{uuid.uuid4().hex[:8]}"}
        environ |= {"HVD_WORKERS": "2", "HVD_LOG_LEVEL": "error", "HVD_CONFIG": str(config)}
        if database_url:
            environ["HVD_DATABASE_URL"] = database_url
        command = [sys.executable, "-m", "gunicorn", "-c", "python:hvd.gunicorn_conf"]
        self.process = subprocess.Popen(command, env=environ, cwd=folder)

    def connection(self) -> http.client.HTTPConnection:
        import socket

        made = http.client.HTTPConnection("localhost")
        made.sock = socket.socket(socket.AF_UNIX)
        made.sock.connect(self.socket)
        return made

    def runner(self) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if "hvd.jobs" in child.cmdline())

    def wait_healthy(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if ask(self.connection(), "GET", "/health")["status"] == "healthy":
                    return
            time.sleep(0.05)
        raise SystemExit("the daemon does not start")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    return answer


@contextlib.contextmanager
def daemon(database_url: str | None) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory() as folder:
        made = Daemon(Path(folder), database_url)
        try:
            made.wait_healthy()
            yield made
        finally:
            made.stop()


def burst(server: Daemon, jobs: int) -> tuple[float, float]:
    """-> submissions a second from all clients, one job each, and jobs a second from the first to the last end."""

    def submit() -> None:
        connection = server.connection()
        for _ in range(jobs // CLIENTS):
            assert ask(connection, "POST", "/jobs/submit", {"kind": "noop", "params": {}})["accepted"] == 1

    before = completed(server)
    threads = [threading.Thread(target=submit) for _ in range(CLIENTS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    submitted = time.monotonic() - started
    wait_completed(server, before + jobs // CLIENTS * CLIENTS)
    return jobs / submitted, jobs / (time.monotonic() - started)


def batch(server: Daemon, jobs: int) -> float:
    """-> jobs a second, all of them submitted at once."""
    before, started = completed(server), time.monotonic()
    ask(server.connection(), "POST", "/jobs/submit", {"jobs": [{"kind": "noop", "params": {}}] * jobs})
    wait_completed(server, before + jobs)
    return jobs / (time.monotonic() - started)


def completed(server: Daemon) -> int:
    count: int = ask(server.connection(), "GET", "/status")["jobs"]["jobs_completed"]
    return count


def wait_completed(server: Daemon, count: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while completed(server) < count:
        if time.monotonic() > deadline:
            raise SystemExit("the jobs do not end")
        time.sleep(0.02)


def latencies(server: Daemon, count: int) -> list[float]:
    """Milliseconds from a job's acceptance to its start, one after the other on an idle runner."""
    connection, found = server.connection(), []
    for _ in range(count):
        (name,) = ask(connection, "POST", "/jobs/submit", {"kind": "noop", "params": {}})["job_ids"]
        job: dict[str, Any] = {"ended_at": None}
        while job["ended_at"] is None:
            job = ask(connection, "GET", f"/jobs/{name}")
            time.sleep(0.002)
        created, started = (datetime.fromisoformat(job[key]) for key in ("created_at", "started_at"))
        found.append((started - created).total_seconds() * 1000)
    return found


def idle(server: Daemon, seconds: float) -> float:
    """CPU time of the runner and its guard, percent of a core."""
    runner = server.runner()
    processes = [runner, *runner.children()]

    def used() -> float:
        return sum(time.clock_gettime(~process.pid << 3 | 2) for process in processes)  # see idle.py

    time.sleep(2)
    before = used()
    time.sleep(seconds)
    return 100 * (used() - before) / seconds


def measure(database_url: str | None, jobs: int, seconds: float) -> list[str]:
    with daemon(database_url) as server:
        delays = latencies(server, 100)
        submits, through = zip(*(burst(server, jobs) for _ in range(3)), strict=True)
        return [
            f"{statistics.median(submits):,.0f}",
            f"{statistics.median(delays):.1f}",
            f"{sorted(delays)[-2]:.1f}",
            f"{statistics.median(through):,.0f}",
            f"{statistics.median(batch(server, jobs) for _ in range(3)):,.0f}",
            f"{idle(server, seconds):.2f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=800)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    heads = ["database", "submits/s", "start ms", "98 % ms", "jobs/s, singly", "jobs/s, batch", "idle CPU %"]
    rows = [heads, ["SQLite", *measure(None, given.jobs, given.seconds)]]
    with Postgres() as postgres:
        rows.append(["PostgreSQL", *measure(postgres.database(), given.jobs, given.seconds)])
    print(machine())
    print(table(f"{given.jobs} jobs of the program `true`, {CLIENTS} clients, two workers", rows))


if __name__ == "__main__":
    main()
