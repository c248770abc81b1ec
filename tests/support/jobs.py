"""A daemon that runs jobs, for tests: its kinds of job, its queue's database, and what the two leave behind."""

import contextlib
import json
import os
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg

from hvd.core.proc import is_alive
from hvd.jobs.run.strays import JOB, RUNNER, mark_of
from tests.support.http import Connection, Response
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

Kinds = Mapping[str, Mapping[str, Any]]
Json = dict[str, Any]
Book = Counter[tuple[str, str]]
"""How many jobs there are of each kind and status."""

Result = TypeVar("Result")

FIGURES = ("jobs_active", "jobs_pending", "jobs_completed", "jobs_failed", "jobs_cancelled", "queue_length")


class JobsDaemon(Server):
    """A daemon whose hvd.toml declares these kinds; a queue in SQLite unless `database_url` says otherwise."""

    def __init__(self, folder: Path, kinds: Kinds, **settings: Any) -> None:
        self.state = Path(settings.pop("state_dir", folder / "state"))
        environ = {"HVD_CONFIG": str(folder / "hvd.toml"), **settings.pop("environ", {})}
        plain = {"workers": 2, "threads": 4, "interval": 0.2, "jobs_concurrency": 8, "jobs_grace": 1.0}
        super().__init__(folder, environ=environ, state_dir=self.state, **{**plain, **settings})
        self.database = str(settings.get("database_url", f"sqlite:///{self.state}/hvd.sqlite3"))
        self.declare(kinds)

    def declare(self, kinds: Kinds) -> None:
        """Write hvd.toml."""
        text = "".join(
            f"[jobs.kinds.{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in kind.items())
            for name, kind in kinds.items()
        )
        (self.folder / "hvd.toml").write_text(text)

    def wait_ready(self, seconds: float = 20) -> None:
        super().wait_ready(seconds)
        until(self._runs, f"the runner has opened the queue; log:\n{self.log}", seconds)

    def _runs(self) -> bool:
        try:
            return bool(self.rows(f"SELECT id FROM hvd_runners WHERE pid = {self.runner_pid}"))
        except (sqlite3.OperationalError, psycopg.errors.UndefinedTable):  # not made yet
            return False

    # ---- what clients do

    def post(self, path: str, body: object, **headers: str) -> Response:
        """POST as JSON."""
        with self.connection() as connection:
            return post(connection, path, body, **headers)

    def submit(self, kind: str, count: int = 1, **params: object) -> list[str]:
        """Submit so many jobs in one request -> their ids."""
        job = {"kind": kind, "params": params}
        body = job if count == 1 else {"jobs": [job] * count}
        answer = until_taken(lambda: self.post("/jobs/submit", body))
        assert answer.status == 202, answer.body
        ids: list[str] = answer.json()["job_ids"]
        assert len(ids) == count, answer.body
        return ids

    def job(self, job_id: str) -> Json:
        """The job as HTTP answers it."""
        answer = until_taken(lambda: self.get(f"/jobs/{job_id}"))
        assert answer.status == 200, answer.body
        found: Json = answer.json()
        return found

    def wait_status(self, job_id: str, *statuses: str, seconds: float = 15) -> Json:
        """The job once it is that."""

        def find() -> Json | None:
            job = self.job(job_id)
            return job if job["status"] in statuses else None

        found = until(find, f"{job_id} is {' or '.join(statuses)}; log:\n{self.log}", seconds)
        assert found
        return found

    # ---- what the database says, asked without hvd

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database answers."""
        if self.database.startswith("sqlite:///"):
            path = self.database.removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                return connection.execute(query).fetchall()
        with psycopg.connect(self.database) as pg:
            return pg.execute(query.encode()).fetchall()

    def book(self) -> Book:
        """The jobs by kind and status."""
        return _book(self.rows("SELECT kind, status, count(*) FROM hvd_jobs GROUP BY kind, status"))

    def ends(self) -> Book:
        """The jobs that have ended, as the totals in the database count them."""
        return _book(self.rows("SELECT kind, status, sum(count) FROM hvd_job_totals GROUP BY kind, status"))

    def open_jobs(self) -> int:
        """How many are pending or running."""
        return int(self.rows("SELECT count(*) FROM hvd_jobs WHERE status IN ('pending', 'running')")[0][0])

    def wait_ended(self, seconds: float = 30) -> None:
        """Until no job is pending or running."""
        until(lambda: not self.open_jobs(), f"no job is open; log:\n{self.log}", seconds, 0.05)

    def record_moves(self) -> None:
        """From now on keep each change of a job's status, whoever makes it: in SQLite, by a trigger."""
        with contextlib.closing(sqlite3.connect(self.database.removeprefix("sqlite:///"), timeout=10)) as connection:
            connection.execute("CREATE TABLE test_moves (id TEXT, old TEXT, new TEXT)")
            connection.execute(
                "CREATE TRIGGER test_move AFTER UPDATE OF status ON hvd_jobs WHEN OLD.status <> NEW.status "
                "BEGIN INSERT INTO test_moves VALUES (OLD.id, OLD.status, NEW.status); END"
            )
            connection.commit()

    def moves(self) -> dict[str, list[str]]:
        """The statuses that each job went through, as "pending running pending", since `record_moves`."""
        found: dict[str, list[str]] = {}
        for job_id, old, new in self.rows("SELECT id, old, new FROM test_moves ORDER BY rowid"):
            steps = found.setdefault(job_id, [old])
            assert steps[-1] == old, f"{job_id} went {steps}, then from {old} to {new}"
            steps.append(new)
        return found

    # ---- what the daemon shows

    def job_metrics(self) -> tuple[Book, Book]:
        """hvd_jobs_total and hvd_jobs by kind and status; those that are 0 left out."""
        books = {"hvd_jobs_total": Book(), "hvd_jobs": Book()}
        for (name, labels), value in self.metrics().items():
            if name in books and value:
                books[name][dict(labels)["kind"], dict(labels)["status"]] = int(value)
        return books["hvd_jobs_total"], books["hvd_jobs"]

    def figures(self) -> Json:
        """The job figures of the next `metrics` message on /ws, `provider_stats` too."""
        with RawWebSocket(self.address) as client:
            raw = client.message()["data"]["raw"]
        return {name: raw[name] for name in (*FIGURES, "provider_stats")}

    def assert_books_agree(self, seconds: float = 5) -> None:
        """With no job open: the jobs, the totals beside them, /metrics, /ws and the snapshot tell the same."""
        book = self.book()
        assert self.ends() == book, f"the totals are {self.ends()}, the jobs {book}"
        until(lambda: self.job_metrics() == (book, Book()), f"/metrics tells {book}; log:\n{self.log}", seconds)
        expected = figures_of(book)
        until(lambda: self.figures() == expected, f"/ws tells {expected}", seconds)
        snapshot = self.snapshot()
        shown = {name: snapshot[name] for name in expected}
        assert shown == expected, f"the snapshot tells {shown}, not {expected}"

    # ---- processes

    @property
    def runner_pid(self) -> int:
        """Of the job runner, once there is one alive."""

        def find() -> int | None:
            return next((pid for pid in self.pids("job_runner") if is_alive(pid)), None)

        return until(find, f"a job runner; log:\n{self.log}") or 0

    def job_processes(self) -> set[int]:
        """Pids of what jobs of this daemon's have started, however they have changed parent, group or session."""
        return {process.pid for process in self.processes() if mark_of(process.pid, JOB)}

    def processes_of(self, runner_id: str) -> set[int]:
        """Pids of what that runner's jobs have started."""
        return {pid for pid in self.job_processes() if mark_of(pid, RUNNER) == runner_id}

    def wait_no_job_process(self, seconds: float = 10) -> None:
        until(lambda: not self.job_processes(), f"no process of a job is left; log:\n{self.log}", seconds)

    def kill_all(self) -> None:
        """SIGKILL for all of the daemon's own processes, as good as at once; not for what its jobs started."""
        own = [process for process in self.processes() if not mark_of(process.pid, JOB)]
        own.sort(key=lambda process: process.pid != self.pid)  # the master first: it watches all others
        for signum in (signal.SIGSTOP, signal.SIGKILL):  # so that none sees another die
            for process in own:
                with contextlib.suppress(psutil.NoSuchProcess):  # what a job starts with is a fork of the runner
                    process.send_signal(signum)
        psutil.wait_procs(own, timeout=10 * PATIENCE)
        self.wait()


def figures_of(book: Book) -> Json:
    """What `raw` has to say of ended jobs; without durations nobody knows a mean."""
    return {
        "jobs_active": 0,
        "jobs_pending": 0,
        "queue_length": 0,
        **{f"jobs_{status}": total(book, status) for status in ("completed", "failed", "cancelled")},
        "provider_stats": {kind: _Stats(book, kind) for kind in {kind for kind, _ in book}},
    }


class _Stats:
    """Equal to `provider_stats` of a kind that has these counts, whatever its mean duration."""

    def __init__(self, book: Book, kind: str) -> None:
        self._counts = {
            "jobs_total": sum(number for (each, _), number in book.items() if each == kind),
            "jobs_active": 0,
            "jobs_completed": book[kind, "completed"],
            "jobs_failed": book[kind, "failed"],
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, dict):
            return NotImplemented
        mean = other.get("avg_duration_seconds")
        return {**self._counts, "avg_duration_seconds": mean} == other and isinstance(mean, float) and mean >= 0

    def __repr__(self) -> str:
        return repr(self._counts)


def total(book: Book, status: str) -> int:
    """All kinds' jobs of that status."""
    return sum(number for (_, each), number in book.items() if each == status)


def post(connection: Connection, path: str, body: object, **headers: str) -> Response:
    """POST as JSON, on a connection that is kept; bytes are sent as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return connection.request("POST", path, {"Content-Type": "application/json", **headers}, data)


def until_taken(ask: Callable[[], Response]) -> Response:
    """The answer that a client gets who comes again after a 503 with Retry-After: nothing was done then."""

    def answered() -> Response | None:
        answer = ask()
        return None if answer.status == 503 and "retry-after" in answer.headers else answer

    answer = until(answered, "a busy database has answered", 60, 0.5)  # less often: asking keeps it busy
    assert answer
    return answer


def together(work: Sequence[Callable[[], Result]]) -> list[Result]:
    """Do all of this at the same moment, in a thread each -> the results, in order; raises what the first raised."""
    start = threading.Barrier(len(work))
    results: dict[int, Result] = {}
    errors: list[BaseException] = []

    def one(number: int) -> None:
        try:
            start.wait(30 * PATIENCE)
            results[number] = work[number]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(work))]


def shell(script: str, *arguments: object) -> list[str]:
    """A command that runs this script; `arguments` are its $0, $1, ...; braces are the script's own."""
    return ["sh", "-c", *(str(text).replace("{", "{{").replace("}", "}}") for text in (script, *arguments))]


def lines(path: Path) -> list[str]:
    """What jobs have written there, a line each; none if none has."""
    return path.read_text().splitlines() if path.exists() else []


def kill(pids: Iterable[int]) -> None:
    """SIGKILL for those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _book(rows: Iterable[tuple[Any, ...]]) -> Book:
    return Book({(kind, status): int(count) for kind, status, count in rows})


def _toml(value: object) -> str:
    """A value in TOML, whose texts, numbers and lists are JSON's."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
