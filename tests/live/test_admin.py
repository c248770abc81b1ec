"""The admin server: it answers whatever happens to the service, and nothing of it is counted as the service's."""

import contextlib
import os
import signal
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hvd.settings.admin_record import read_record
from tests.support.http import Address, Connection, connect
from tests.support.jobs import JobsDaemon
from tests.support.runtime import runtime_folders
from tests.support.server import Server, upgradable
from tests.support.waiting import PATIENCE, until
from tests.support.websocket import INTERVAL, Witness
from tests.support.ws import RawWebSocket

PROBES = 500
LIMIT = 0.05  # s that the 99th percentile may take
WORKERS, THREADS = 2, 2
HALF_HEAD = b"GET /health HTTP/1.1\r\nHost: te"


def percentile_99(address: Address, number: int = PROBES) -> float:
    """Of how many seconds /health takes, each time over a new connection; it answers each time."""
    took = []
    for _ in range(number):
        start = time.monotonic()
        with Connection(address, timeout=5) as connection:
            assert connection.get("/health").status in (200, 503)
        took.append(time.monotonic() - start)
    return sorted(took)[int(number * 0.99)]


def answers(server: Server, seconds: float = 5) -> bool:
    """Whether the admin server does."""
    try:
        return server.admin_get("/health", timeout=seconds).status > 0
    except OSError:
        return False


# ---- what the service may suffer meanwhile

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
    with repeatedly(lambda: signal_all(server, "aggregator", signal.SIGSTOP)):
        yield


@contextlib.contextmanager
def aggregator_killed(server: Server) -> Iterator[None]:
    with repeatedly(lambda: signal_all(server, "aggregator", signal.SIGKILL)):
        yield


@contextlib.contextmanager
def half_heads(server: Server) -> Iterator[None]:
    """To the service, and to the admin server itself: as many as it has threads."""
    with contextlib.ExitStack() as stack:
        for address in [server.address] * 8 + [server.admin_address] * 8:
            stack.enter_context(connect(address)).sendall(HALF_HEAD)
        yield


def signal_all(server: Server, kind: str, signum: signal.Signals) -> None:
    for pid in server.pids(kind):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


@contextlib.contextmanager
def repeatedly(work: Callable[[], object], pause: float = 0.3) -> Iterator[None]:
    """Do it in a thread meanwhile."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(pause):
            work()

    thread = threading.Thread(target=run)
    work()
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


CONFIG = """\
import os
from hvd.gunicorn_conf import *

def pre_fork(server, worker):
    if os.path.exists("none"):
        raise OSError("no worker")
"""


@pytest.mark.parametrize("trouble", [every_thread_stuck, no_worker, aggregator_stopped, aggregator_killed, half_heads])
def test_it_answers_at_once_whatever_the_service_suffers(tmp_path: Path, trouble: Trouble) -> None:
    """500 times, 99 of 100 within 50 ms; a request of the service's would have waited, or have been refused."""
    (tmp_path / "gunicorn.conf.py").write_text(CONFIG)
    server = Server(tmp_path, workers=WORKERS, threads=THREADS, interval=INTERVAL, graceful_timeout=1)
    server.command[server.command.index("python:hvd.gunicorn_conf")] = "gunicorn.conf.py"
    with server:
        with trouble(server):
            assert percentile_99(server.admin_address) < LIMIT * PATIENCE
            assert server.admin_get("/metrics").status == 200
        assert not [line for line in server.log.splitlines() if "admin server" in line and "ERROR" in line]


@pytest.mark.parametrize("death", ["os._exit(7)", "os.kill(os.getpid(), 9)"])
def test_it_answers_while_workers_die_as_they_boot(tmp_path: Path, death: str) -> None:
    """An app whose import ends the process: there never is a worker."""
    (tmp_path / "dies.py").write_text(f"import os\n{death}\n")
    server = Server(tmp_path, app="dies:app", workers=WORKERS, threads=THREADS, interval=INTERVAL)
    with server.start(ready=False):
        until(lambda: answers(server), f"it answers; log:\n{server.log}", 30)
        assert percentile_99(server.admin_address) < LIMIT * PATIENCE


def test_it_answers_while_the_database_hangs(tmp_path: Path) -> None:
    """Eight clients ask about jobs all the time, at the service and at the admin server, and get no answer."""
    with JobsDaemon(tmp_path, {"plain": {"command": ["true"]}}) as server:
        assert server.admin_get("/jobs").json()["jobs"] == []
        database = sqlite3.connect(server.state / "hvd.sqlite3", isolation_level=None, check_same_thread=False)
        with contextlib.closing(database), contextlib.ExitStack() as stack:
            until(lambda: locked(database), "the database is locked")
            for address in [server.address, server.admin_address] * 4:

                def ask(address: Address = address) -> None:
                    with contextlib.suppress(OSError), Connection(address, timeout=20) as connection:
                        connection.request("POST", "/jobs/submit", body=b'{"kind": "plain"}')

                stack.enter_context(repeatedly_in_background(ask))
            assert percentile_99(server.admin_address) < LIMIT * PATIENCE


def locked(database: sqlite3.Connection) -> bool:
    with contextlib.suppress(sqlite3.OperationalError):
        database.execute("BEGIN IMMEDIATE")
        return True
    return False


@contextlib.contextmanager
def repeatedly_in_background(work: Callable[[], object]) -> Iterator[None]:
    """As `repeatedly`, but the first time too."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            work()
            is_over.wait(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


# ---- what happens to the admin server itself


@pytest.mark.parametrize(
    ("signum", "seconds"), [(signal.SIGKILL, 1.0), (signal.SIGSTOP, 4.0)], ids=["killed", "stopped"]
)
def test_it_is_replaced_and_no_client_is_lost(tmp_path: Path, signum: signal.Signals, seconds: float) -> None:
    """200 WebSocket clients that came over it go on; a request that comes meanwhile waits, and is answered."""
    with Server(tmp_path, workers=1, interval=INTERVAL) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Witness(server.admin_address)) for _ in range(200)]
        (first,) = server.pids("admin_server")
        start = time.monotonic()
        os.kill(first, signum)
        assert server.admin_get("/health", timeout=20).status == 200
        assert time.monotonic() - start < seconds * PATIENCE
        assert server.pids("admin_server") != [first]
        stack.enter_context(Witness(server.admin_address))
        counts = [len(client.times) for client in clients]
        until(lambda: all(len(c.times) > n for c, n in zip(clients, counts, strict=True)), "all get more")
        assert not [client for client in clients if client.end is not None]
        until(lambda: server.snapshot()["websocket_clients"] == 201, "all are there")
        assert server.sample("hvd_process_exits_total", kind="admin_server", cause="SIGKILL") == 1


def test_a_reload_and_an_upgrade_keep_its_clients(tmp_path: Path) -> None:
    """The newer master's answers during the upgrade; clients stay where they are until their own master ends."""
    server = upgradable(Server(tmp_path, workers=1, interval=INTERVAL))
    with server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Witness(server.admin_address)) for _ in range(200)]
        (first,) = server.pids("admin_server")
        server.reload()
        assert server.admin_get("/status").json()["answered_by"] == first
        address = server.admin_address
        failures: list[OSError] = []

        def ask() -> None:
            try:
                server.admin_get("/health")
            except OSError as error:
                failures.append(error)

        with repeatedly_in_background(ask):
            server.signal(signal.SIGUSR2)
            until(lambda: len(server.pids("admin_server")) == 2, "each master has one", 30)
            (second,) = set(server.pids("admin_server")) - {first}
            until(lambda: server.admin_get("/status").json()["answered_by"] == second, "the newer one answers", 10)
            time.sleep(0.5)
            assert {server.admin_get("/status").json()["answered_by"] for _ in range(20)} == {second}
            assert not [client for client in clients if client.end is not None]
            with server.opened() as block:
                (new,) = set(block.masters()) - {server.pid}
            record = read_record(runtime_folders(server.instance)[0])
            assert record
            assert record.pid == new
            assert not failures
            os.kill(second, signal.SIGSTOP)
            assert answers(server, 10)
            os.kill(new, signal.SIGTERM)  # the upgrade is given up
            until(lambda: server.pids("admin_server") == [first], "the older one is left", 30)
            assert server.admin_get("/status").json()["answered_by"] == first
        assert server.admin_address == address
        assert not [client for client in clients if client.end is not None]
        until(lambda: read_record(runtime_folders(server.instance)[0]).pid == server.pid, "the record is its own again")  # type: ignore[union-attr]


def test_the_newer_master_goes_on_with_the_address(tmp_path: Path) -> None:
    """And removes it in the end."""
    server = upgradable(Server(tmp_path, workers=1, interval=INTERVAL))
    with server:
        path = server.admin_address
        server.signal(signal.SIGUSR2)
        until(lambda: len(server.pids("admin_server")) == 2, "each master has one", 30)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.admin_address == path
        assert server.admin_get("/health").status == 200
        server.stop_successor()


def test_its_work_is_not_the_service_s(tmp_path: Path) -> None:
    """Neither requests nor WebSockets that came over it; they have a histogram of their own."""
    with Server(tmp_path, workers=1, interval=INTERVAL) as server:
        before = server.snapshot()["requests"]
        with RawWebSocket(server.admin_address) as client:
            client.message()
        assert b"<!doctype html>" in server.admin_get("/", Accept="text/html").body
        for path, status in (("/health", 200), ("/health", 200), ("/no-such", 404), ("/jobs", 404)):
            assert server.admin_get(path).status == status
        assert server.admin_get("/ws").status == 426
        with Connection(server.admin_address) as connection:
            text = connection.get("/metrics").body.decode()
        for labels, count in (
            ('method="GET",route="/health",status="200"', 2),
            ('method="GET",route="(unmatched)",status="404"', 1),
            ('method="GET",route="/jobs",status="404"', 1),
            ('method="GET",route="/ws",status="101"', 1),
            ('method="GET",route="/ws",status="426"', 1),
        ):
            assert f"hvd_admin_request_duration_seconds_count{{{labels}}} {count}\n" in text
        assert server.counted().get(("/ws", 101), 0) == 0
        after = server.snapshot()["requests"]
        assert after["started"] - before["started"] == 2, "those two of the service, /metrics and this"
        assert after["aborted"] == 0
        routes = {route["route"] for route in server.snapshot()["routes"]}
        assert "(unmatched)" not in routes


# ---- its address


def test_its_socket_is_for_this_user_alone(tmp_path: Path) -> None:
    """Mode 0600 in a folder of mode 0700; nothing of it is left after a stop. Removed, it is made again."""
    with Server(tmp_path, workers=1, interval=INTERVAL) as server:
        path = Path(str(server.admin_address))
        status = path.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        holders = {process.pid for process in server.processes() if holds(process, path)}
        assert holders == {server.pid, *server.pids("admin_server")}, "else clients would wait where nobody accepts"
        path.unlink()
        until(lambda: path.exists() and answers(server), "it is there again", 10)
        assert "had been removed, and is there again" in server.log
    assert not path.parent.exists()


def holds(process: psutil.Process, path: Path) -> bool:
    """Whether the process has the socket open that listens there."""
    return any(connection.laddr == str(path) for connection in process.net_connections("unix"))


def test_a_killed_daemon_s_socket_is_replaced(tmp_path: Path) -> None:
    """By the next one of the name."""
    with Server(tmp_path, workers=1, interval=INTERVAL) as server:
        path = server.admin_address
        server.kill_master()
        until(lambda: not server.processes(), "its processes end", 20)
        assert Path(str(path)).exists()
        with Server(tmp_path, instance=server.instance, workers=1, interval=INTERVAL) as successor:
            assert successor.admin_address == path
            assert successor.admin_get("/health").status == 200


def test_an_address_that_is_set_and_taken_ends_the_start(tmp_path: Path) -> None:
    """In one line, with what to do; the other server is not touched."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "sock"))
        other.listen()
        line = Server(tmp_path, workers=1, admin_bind=f"unix:{tmp_path}/sock").refusal()
        assert "another server listens" in line
        assert "HVD_ADMIN_BIND" in line
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "sock"))


def test_it_takes_little_memory(tmp_path: Path) -> None:
    """35 MB at most, what it shares with others taken by halves and the like, after each kind of answer."""
    with Server(tmp_path, workers=1, interval=INTERVAL) as server:
        (pid,) = server.pids("admin_server")
        for path in ("/health", "/metrics", "/status", "/api/v1/snapshot", "/api/v1/history", "/", "/openapi.json"):
            for accept in ("*/*", "text/html, */*;q=0.1"):
                assert server.admin_get(path, Accept=accept).status == 200
        with RawWebSocket(server.admin_address) as client:
            client.message()
        (pss,) = (
            line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")
        )
        assert int(pss.split()[1]) < 35_000
