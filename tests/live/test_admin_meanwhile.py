"""The admin server answers at once while the service is stuck, flooded, without workers, or without its database."""

import contextlib
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.floods import percentile_99
from tests.support.http import Address, Connection, connect
from tests.support.jobs import JobsDaemon
from tests.support.postgres import Postgres
from tests.support.repeating import repeatedly
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until
from tests.support.websocket import INTERVAL

PROBES = 500
LIMIT = 0.05  # s that the 99th percentile may take
WORKERS, THREADS = 2, 2


Trouble = Callable[[Server], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def every_thread_stuck(server: Server) -> Iterator[None]:
    with contextlib.ExitStack() as stack:

        def are_busy() -> bool:  # a worker takes more connections than it has threads for
            client = stack.enter_context(connect(server.address))
            client.sendall(b"GET /slow?s=600 HTTP/1.1\r\nHost: test\r\n\r\n")
            return server.in_progress().count("/slow") == WORKERS * THREADS

        until(are_busy, "all threads serve", pause=0.1)
        yield


@contextlib.contextmanager
def no_worker(server: Server) -> Iterator[None]:
    (server.folder / "none").touch()
    for pid in server.pids("worker"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not server.pids("worker"), "no worker is left")
    yield
    (server.folder / "none").unlink()


@contextlib.contextmanager
def aggregator_stopped(server: Server) -> Iterator[None]:
    """Again and again: the master replaces it."""
    with repeatedly(lambda: signal_all(server, "aggregator", signal.SIGSTOP), 0.3):
        yield


@contextlib.contextmanager
def aggregator_killed(server: Server) -> Iterator[None]:
    with repeatedly(lambda: signal_all(server, "aggregator", signal.SIGKILL), 0.3):
        yield


def unfinished(data: bytes) -> Trouble:
    """Clients that send so much and stop: of the service, and of the admin server itself."""

    @contextlib.contextmanager
    def clients(server: Server) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for address in [server.address, server.admin_address] * 50:
                stack.enter_context(connect(address)).sendall(data)
            yield

    return clients


half_heads = unfinished(b"GET /health HTTP/1.1\r\nHost: te")
half_bodies = unfinished(b"POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf")
silent_clients = unfinished(b"")
TROUBLES = {
    "every thread stuck": every_thread_stuck,
    "no worker": no_worker,
    "aggregator stopped": aggregator_stopped,
    "aggregator killed": aggregator_killed,
    "half heads": half_heads,
    "half bodies": half_bodies,
    "silent clients": silent_clients,
}


def signal_all(server: Server, kind: str, signum: signal.Signals) -> None:
    for pid in server.pids(kind):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


CONFIG = """\
import os
from hvd.gunicorn_conf import *

def pre_fork(server, worker):
    if os.path.exists("none"):
        raise OSError("no worker")
"""


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_it_answers_at_once_whatever_the_service_suffers(tmp_path: Path, trouble: Trouble) -> None:
    """500 times, 99 of 100 within 50 ms; a request of the service's would have waited, or have been refused."""
    (tmp_path / "gunicorn.conf.py").write_text(CONFIG)
    server = Server(tmp_path, workers=WORKERS, threads=THREADS, interval=INTERVAL, graceful_timeout=1)
    server.command[server.command.index("python:hvd.gunicorn_conf")] = "gunicorn.conf.py"
    with server:
        with trouble(server):
            assert percentile_99(server.admin_address, PROBES) < LIMIT * PATIENCE
            assert server.admin_get("/metrics").status == 200
        assert not [line for line in server.log.splitlines() if "admin server" in line and "ERROR" in line]


@pytest.mark.parametrize(("death", "cause"), [("os._exit(7)", "exit 7"), ("os.kill(os.getpid(), 9)", "SIGKILL")])
def test_it_answers_while_workers_die_as_they_boot(tmp_path: Path, death: str, cause: str) -> None:
    """An app whose import ends the process: there never is a worker."""
    (tmp_path / "dies.py").write_text(f"import os\n{death}\n")
    server = Server(tmp_path, app="dies:app", workers=WORKERS, threads=THREADS, interval=INTERVAL)
    with server.start(ready=False):
        until(server.admin_answers, f"it answers; log:\n{server.log}", 30)
        assert percentile_99(server.admin_address, PROBES) < LIMIT * PATIENCE
        (start, event) = server.admin_get("/api/v1/events").json()["events"][:2]
        assert (start["kind"], event["kind"], event["cause"]) == ("start", "boot_failed", cause)
        assert event["number"] > 3, "a loop is one event"
        assert f" failed to boot ({cause})" in event["text"]


@contextlib.contextmanager
def locked(server: JobsDaemon) -> Iterator[None]:
    """SQLite, by a transaction of another process."""
    database = sqlite3.connect(server.state / "hvd.sqlite3", isolation_level=None)
    with contextlib.closing(database):
        until(lambda: is_begun(database), "the database is locked")
        yield


def is_begun(database: sqlite3.Connection) -> bool:
    """Whether a transaction that writes has begun."""
    with contextlib.suppress(sqlite3.OperationalError):
        database.execute("BEGIN IMMEDIATE")
        return True
    return False


@contextlib.contextmanager
def submitting(server: JobsDaemon) -> Iterator[None]:
    """Eight clients submit all the time, at the service and at the admin server."""
    with contextlib.ExitStack() as stack:
        for address in [server.address, server.admin_address] * 4:

            def ask(address: Address = address) -> None:
                with contextlib.suppress(OSError), Connection(address, timeout=20) as connection:
                    connection.request("POST", "/jobs/submit", body=b'{"kind": "plain"}')

            stack.enter_context(repeatedly(ask))
        yield


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_it_answers_while_the_database_hangs(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    """And nobody who asks about jobs gets an answer."""
    settings = {}
    if kind == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        settings["database_url"] = postgres.database()
    with JobsDaemon(tmp_path, {"plain": {"command": ["true"]}}, **settings) as server:
        assert server.admin_get("/jobs").json()["jobs"] == []
        with postgres.standing_still() if kind == "postgresql" else locked(server), submitting(server):
            assert percentile_99(server.admin_address, PROBES) < LIMIT * PATIENCE
