"""The admin server: it is replaced, upgraded and given up, and nothing of it is counted as the service's."""

import contextlib
import os
import signal
import socket
import stat
import time
from pathlib import Path

import psutil
import pytest

from hvd.settings.admin_record import read_record
from tests.support.http import Connection
from tests.support.jobs import JobsDaemon
from tests.support.repeating import repeatedly
from tests.support.runtime import runtime_folders
from tests.support.server import Server, upgradable
from tests.support.waiting import PATIENCE, until
from tests.support.websocket import INTERVAL, Witness
from tests.support.ws import RawWebSocket


@pytest.mark.parametrize(
    ("signum", "seconds"), [(signal.SIGKILL, 1.0), (signal.SIGSTOP, 4.0)], ids=["killed", "stopped"]
)
def test_it_is_replaced_and_no_client_is_lost(tmp_path: Path, signum: signal.Signals, seconds: float) -> None:
    """WebSocket clients go on, of whichever address they came over; a request waits meanwhile, and is answered."""
    with Server(tmp_path, workers=1, interval=INTERVAL) as server, contextlib.ExitStack() as stack:
        addresses = [*[server.admin_address] * 200, *[server.address] * 50]
        clients = [stack.enter_context(Witness(address)) for address in addresses]
        (first,) = server.pids("admin_server")
        killed = time.time()
        os.kill(first, signum)
        assert server.admin_get("/health", timeout=20 * PATIENCE).status == 200
        (second,) = server.pids("admin_server")
        assert second != first
        # Until it was started: what it then takes to import what it needs is the machine's matter.
        assert psutil.Process(second).create_time() - killed < seconds * PATIENCE
        stack.enter_context(Witness(server.admin_address))
        counts = [len(client.times) for client in clients]
        until(lambda: all(len(c.times) > n for c, n in zip(clients, counts, strict=True)), "all get more")
        assert not [client for client in clients if client.end is not None]
        until(lambda: server.snapshot()["websocket_clients"] == 251, "all are there")
        assert server.sample("hvd_process_exits_total", kind="admin_server", cause="SIGKILL") == 1


def test_a_reload_and_an_upgrade_keep_its_clients(tmp_path: Path) -> None:
    """The newer master's answers during the upgrade; clients stay where they are until their own master ends."""
    server = upgradable(Server(tmp_path, workers=1, interval=INTERVAL))
    with server, contextlib.ExitStack() as stack:
        addresses = [*[server.admin_address] * 200, *[server.address] * 50]
        clients = [stack.enter_context(Witness(address)) for address in addresses]
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

        with repeatedly(ask):
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
            assert server.admin_answers(10)
            os.kill(new, signal.SIGTERM)  # the upgrade is given up
            until(lambda: server.pids("admin_server") == [first], "the older one is left", 30)
            assert server.admin_get("/status").json()["answered_by"] == first
        assert server.admin_address == address
        assert not [client for client in clients if client.end is not None]
        until(lambda: read_record(runtime_folders(server.instance)[0]).pid == server.pid, "the record is its own again")  # type: ignore[union-attr]


def test_a_reload_reaches_it_as_it_runs(tmp_path: Path) -> None:
    """Kinds of job that are declared now, which it takes as a worker does, and loads what it needs for."""
    with JobsDaemon(tmp_path, {"plain": {"command": ["true"]}}) as server:
        (pid,) = server.pids("admin_server")
        server.declare({"plain": {"command": ["true"]}, "other": {"command": ["true"]}})
        server.reload()
        until(lambda: "other" in server.admin_get("/jobs/kinds").json()["kinds"], "it knows the new kind")
        with Connection(server.admin_address) as connection:
            body = b'{"kind": "other", "params": {}}'
            answer = connection.request("POST", "/jobs/submit", {"Content-Type": "application/json"}, body)
        assert answer.status == 202
        server.wait_ended()
        assert server.job(answer.json()["job_ids"][0])["status"] == "completed"
        assert server.pids("admin_server") == [pid]


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


def test_its_socket_is_for_this_user_and_its_group(tmp_path: Path) -> None:
    """Mode 0660 in a folder of mode 0750; nothing of it is left after a stop. Removed, it is made again."""
    with Server(tmp_path, workers=1, interval=INTERVAL) as server:
        path = Path(str(server.admin_address))
        status = path.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
        holders = {process.pid for process in server.processes() if holds(process, path)}
        assert holders == {server.pid, *server.pids("admin_server")}, "else clients would wait where nobody accepts"
        path.unlink()
        until(lambda: path.exists() and server.admin_answers(), "it is there again", 10)
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
