"""Two daemons on one machine are two daemons; two of one name are refused."""

import subprocess
from pathlib import Path

import psutil

from tests.support.http import load
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket


def test_two_daemons_do_not_see_each_other(tmp_path: Path) -> None:
    """Each has its own block, counts, processes and WebSocket clients, and goes on when the other is gone."""
    with Server(tmp_path, workers=2, interval=0.2) as one, Server(tmp_path, workers=3, interval=0.2) as other:
        assert one.block != other.block
        load(one.address, ["/hello"], clients=2, requests=111)
        load(other.address, ["/items/1", "/status-of/404"], clients=2, requests=222)
        assert one.counted()["/hello", 200] == 111
        assert not any(route.startswith(("/items", "/status-of")) for route, _ in one.counted())
        assert sum(n for (route, _), n in other.counted().items() if route.startswith(("/i", "/status-of"))) == 222
        assert ("/hello", 200) not in other.counted()

        assert (len(one.pids("worker")), len(other.pids("worker"))) == (2, 3)
        for server in (one, other):
            known = {server.pid, *server.pids("worker"), *server.pids("aggregator")}
            assert {process.pid for process in server.processes()} == known
            assert {process["pid"] for process in server.snapshot()["processes"]} <= known
            assert server.get("/status").json()["instance"] == server.instance

        with RawWebSocket(one.address) as client:
            until(lambda: one.snapshot()["websocket_clients"] == 1, "the client is counted")
            assert other.snapshot()["websocket_clients"] == 0
            before = client.message()["data"]["raw"]
            assert other.stop() == 0
            assert one.get("/hello").status == 200
            until(
                lambda: client.message()["data"]["raw"]["http_requests"] > before["http_requests"], "the hub ticks on"
            )
        assert one.block.exists()
        one.wait_ready()
        assert one.counted()["/hello", 200] == 112
    assert not one.alarms
    assert not other.alarms


def test_a_second_daemon_of_the_same_name_is_refused(tmp_path: Path) -> None:
    """One clear message that names the first one's master and the way out; the first one doesn't notice."""
    with Server(tmp_path, workers=2, interval=0.2) as first:
        load(first.address, ["/hello"], clients=2, requests=50)
        processes = {process.pid for process in first.processes()}
        node = first.block.stat().st_ino
        second = Server(tmp_path, instance=first.instance, workers=2)
        assert second.start_in_vain() == 1
        (message,) = (line for line in second.log.splitlines() if line.startswith("hvd: "))
        assert message == (
            f"hvd: block hvd-{first.instance} belongs to a daemon that is running (master pid {first.pid}): stop it, "
            "or start this one on another address (HVD_BIND), and under another HVD_INSTANCE where that is set"
        )
        assert "Traceback" not in second.log
        assert "Listening" not in second.log

        assert {process.pid for process in first.processes()} == processes
        assert first.block.stat().st_ino == node
        assert first.counted()["/hello", 200] == 50
        first.wait_ready()
    assert not first.alarms


def test_a_name_is_free_again_after_a_clean_stop(tmp_path: Path) -> None:
    """The next daemon of that name starts at zero; its processes are its own."""
    with Server(tmp_path, workers=2) as first:
        load(first.address, ["/hello"], clients=2, requests=50)
        pids = {process.pid for process in first.processes()}
    with Server(tmp_path, instance=first.instance, workers=2) as second:
        assert ("/hello", 200) not in second.counted()
        assert not pids & {process.pid for process in second.processes()}
        assert psutil.Process(second.pid).is_running()
    assert subprocess.run(["ls", "/dev/shm"], capture_output=True, text=True).stdout.count(first.instance) == 0
