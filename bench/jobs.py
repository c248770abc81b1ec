"""Jobs: submissions a second, how soon one starts, how many do-nothing jobs a second run, what an idle runner costs.

`python bench/jobs.py [--jobs N] [--rounds N] [--seconds S]`, on SQLite and on PostgreSQL; then procrastinate's worker
beside hvd's on one PostgreSQL, in turns.
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
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import procrastinate
import psutil
import psycopg
from rival_jobs import app_of
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
        self.database_url = database_url
        self.database: psycopg.Connection[Any] | None = None

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

    def completed(self) -> int:
        """Asked of PostgreSQL itself, by a connection that stays, as of procrastinate: an answer of hvd's own, and a
        new connection, cost some milliseconds.
        """
        if self.database_url:
            if self.database is None:
                self.database = psycopg.connect(self.database_url, autocommit=True)
            row = self.database.execute("SELECT count(*) FROM hvd_jobs WHERE status = 'completed'").fetchone()
            return int(row[0]) if row else 0
        count: int = ask(self.connection(), "GET", "/status")["jobs"]["jobs_completed"]
        return count

    def stop(self) -> None:
        if self.database:
            self.database.close()
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


def submissions_and_ends(submit: Callable[[], None], completed: Callable[[], int], jobs: int) -> tuple[float, float]:
    """-> submissions a second of so many jobs from all clients, and jobs a second from the first to the last end."""
    before = completed()
    threads = [threading.Thread(target=submit) for _ in range(CLIENTS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    submitted = time.monotonic() - started
    wait_completed(completed, before + jobs // CLIENTS * CLIENTS)
    return jobs / submitted, jobs / (time.monotonic() - started)


def burst(server: Daemon, jobs: int) -> tuple[float, float]:
    """-> submissions a second, one job each, and jobs a second."""

    def submit() -> None:
        connection = server.connection()
        for _ in range(jobs // CLIENTS):
            while "accepted" not in ask(connection, "POST", "/jobs/submit", {"kind": "noop", "params": {}}):
                time.sleep(0.01)  # 503: a machine that is busy with other things beside

    return submissions_and_ends(submit, server.completed, jobs)


def batch(server: Daemon, jobs: int) -> float:
    """-> jobs a second, all of them submitted at once."""
    before, started = server.completed(), time.monotonic()
    ask(server.connection(), "POST", "/jobs/submit", {"jobs": [{"kind": "noop", "params": {}}] * jobs})
    wait_completed(server.completed, before + jobs)
    return jobs / (time.monotonic() - started)


def wait_completed(completed: Callable[[], int], count: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while completed() < count:
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


class Rival:
    """procrastinate with one worker process, in a database of its own of the same server."""

    def __init__(self, url: str, concurrency: int) -> None:
        self._connector = procrastinate.SyncPsycopgConnector(conninfo=url, max_size=CLIENTS)
        self._app = app_of(self._connector)
        self._app.open()
        self._app.schema_manager.apply_schema()
        program = Path(__file__).with_name("rival_jobs.py")
        self.worker = subprocess.Popen(
            [sys.executable, str(program), url, str(concurrency)], stderr=subprocess.DEVNULL, cwd=program.parents[1]
        )

    def completed(self) -> int:
        query = "SELECT count(*) AS count FROM procrastinate_jobs WHERE status = 'succeeded'"
        return int(self._connector.execute_query_one(query)["count"])

    def burst(self, form: str, jobs: int) -> float:
        """-> jobs a second, submitted one by one by as many clients as hvd has."""
        task = self._app.tasks[form]

        def submit() -> None:
            for _ in range(jobs // CLIENTS):
                task.defer()

        return submissions_and_ends(submit, self.completed, jobs)[1]

    def batch(self, form: str, jobs: int) -> float:
        """-> jobs a second, all of them submitted at once."""
        before, started = self.completed(), time.monotonic()
        self._app.tasks[form].batch_defer(*({} for _ in range(jobs)))
        wait_completed(self.completed, before + jobs)
        return jobs / (time.monotonic() - started)

    def stop(self) -> None:
        self.worker.terminate()
        self.worker.wait(30)
        self._app.close()


def compare(postgres: Postgres, jobs: int, rounds: int) -> list[list[str]]:
    """hvd and procrastinate on one server, in turns: each idles while the other works."""
    concurrency = len(os.sched_getaffinity(0))
    url = postgres.database()
    with daemon(url) as server:
        rival = Rival(postgres.database(), concurrency)
        try:
            found: dict[str, list[tuple[float, float]]] = {"hvd": [], "asyncio": [], "thread": []}
            for _ in range(rounds):
                found["hvd"].append((burst(server, jobs)[1], batch(server, jobs)))
                for form in ("asyncio", "thread"):
                    found[form].append((rival.burst(form, jobs), rival.batch(form, jobs)))
        finally:
            rival.stop()
    medians = {name: [statistics.median(each) for each in zip(*pairs, strict=True)] for name, pairs in found.items()}
    rows = [["", "jobs/s, singly", "jobs/s, batch"]]
    rows.append(["hvd", *(f"{rate:,.0f}" for rate in medians["hvd"])])
    for form in ("asyncio", "thread"):
        rows.append([f"procrastinate, {form}", *(f"{rate:,.0f}" for rate in medians[form])])
        ratios = [ours / theirs for ours, theirs in zip(medians["hvd"], medians[form], strict=True)]
        rows.append([f"hvd / {form}", *(f"{ratio:.2f}" for ratio in ratios)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5, help="beside procrastinate")
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    heads = ["database", "submits/s", "start ms", "98 % ms", "jobs/s, singly", "jobs/s, batch", "idle CPU %"]
    rows = [heads, ["SQLite", *measure(None, given.jobs, given.seconds)]]
    with Postgres() as postgres:
        rows.append(["PostgreSQL", *measure(postgres.database(), given.jobs, given.seconds)])
        beside = compare(postgres, given.jobs, given.rounds)
    print(machine())
    print(table(f"{given.jobs} jobs of the program `true`, {CLIENTS} clients, two workers", rows))
    print(table(f"the same beside procrastinate {procrastinate.__version__} on one PostgreSQL, in turns", beside))
    print(
        f"As many jobs at once on both sides: {len(os.sched_getaffinity(0))}, each a process of the program. Singly: "
        "from the first submission to the last end; hvd's clients speak HTTP to two workers, procrastinate's have a "
        "connection to the database each. Batch: all in one submission, hundredths of the time on both sides, and "
        "then a full queue. A program is waited for in asyncio's loop, which is procrastinate's ordinary way, or in a "
        "thread. Each end is in a commit; the server does not wait for its disk (fsync=off), for either."
    )


if __name__ == "__main__":
    main()
