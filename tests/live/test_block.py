"""Blocks and names: removed, damaged, too large, locked by a process that is stopped; two daemons are two."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from hvd.core import layout
from hvd.core.block import Block, open_block
from hvd.core.proc import is_stopped
from hvd.core.slots import Slots
from tests.support.http import load
from tests.support.server import Server, upgradable
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket
from tests.unit.core.support import keeping_locked

READER = """if True:
    import sys
    from multiprocessing import shared_memory
    shared_memory.SharedMemory(name=sys.argv[1]).close()"""


def test_a_daemon_outlives_its_blocks_name(tmp_path: Path) -> None:
    """Removed by a reader it is restored; removed for good, that is said, and there is no second daemon still."""
    server = Server(tmp_path, workers=1, interval=0.2)
    with upgradable(server), server.opened() as block:
        load(server.address, ["/hello"], clients=1, requests=50)
        node = server.block.stat().st_ino
        subprocess.run([sys.executable, "-W", "ignore", "-c", READER, server.block.name], check=True)
        until(lambda: "had been removed, and is there again" in server.log, "it is restored, and said")
        assert server.block.stat().st_ino == node
        server.wait_ready()

        server.block.unlink()  # as logind does
        server.spare.unlink()
        removed = f"{server.block} was removed: should hvd be killed, its totals are lost; restart it"
        degraded = ("degraded", [removed])
        until(lambda: ((health := server.get("/health").json())["status"], health["reasons"]) == degraded, "it is seen")
        until(lambda: "can't be restored" in server.log, "it is said")
        refused = partial(Server, tmp_path, instance=server.instance, workers=1)
        assert "belongs to a daemon that is running: stop it" in refused().refusal()

        load(server.address, ["/hello"], clients=1, requests=50)
        server.signal(signal.SIGUSR2)

        def both_serve() -> bool:
            kinds = [slot.kind_name for slot in Slots(block).taken()]
            return len(block.masters()) == kinds.count("worker") == kinds.count("aggregator") == 2

        until(both_serve, "both serve", 30)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.counted()["/hello", 200] == 100
        assert "belongs to a daemon that is running: stop it" in refused().refusal()
        os.kill(*block.masters(), signal.SIGTERM)  # the block has no name by which to ask for its masters
        until(lambda: not server.processes(), "the new master ends cleanly", 30)
        assert not server.block.exists()
    assert "Traceback" not in server.log


def catalogue(block: Block) -> None:
    block.raw[block.layout.catalogue + 12] ^= 1


def other_format(block: Block) -> None:
    block.cells[layout.H_FORMAT] = 99


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A daemon that was killed at once, after six requests at least, with its block."""
    with Server(tmp_path_factory.mktemp("killed"), workers=1, max_series=16, slots=8) as server:
        for _ in range(5):
            server.get("/hello")
        server.kill_master()
        until(lambda: not server.processes(), "its workers are gone, and write no more")
        assert not server.spare.exists(), "whoever removes the block has removed it"
        yield server


@pytest.mark.parametrize("damage", [catalogue, other_format])
def test_a_block_that_cannot_be_used_is_kept_aside(
    tmp_path: Path, killed: Server, damage: Callable[[Block], None]
) -> None:
    """The daemon starts with a new one; a warning tells where the old one is, and what it had counted."""
    server = Server(tmp_path, workers=1)
    shutil.copyfile(killed.block, server.block)
    block = open_block(server.block.name)
    damage(block)
    os.close(block.fd)
    before = hashlib.sha256(server.block.read_bytes()).digest()
    try:
        with server:
            (aside,) = server.block.parent.glob(f"{server.block.name}.aside-*")
            assert hashlib.sha256(aside.read_bytes()).digest() == before
            (warning,) = [line for line in server.log.splitlines() if "is kept as" in line]
            assert "[WARNING]" in warning
            found = re.search(
                rf"block {server.block.name}.*; it is kept as {aside}, its last totals: (\d+) requests started, (\d+)",
                warning,
            )
            assert found, warning
            assert 6 <= int(found[1]) <= int(found[2]) + 1
            assert ("/hello", 200) not in server.counted()
            assert "Traceback" not in server.log
    finally:
        for other in server.block.parent.glob(f"{server.block.name}.aside-*"):
            other.unlink()


def test_a_block_that_can_not_be_mapped_leaves_nothing(tmp_path: Path) -> None:
    """Each setting may be as large as it is, all of them together may not."""
    assert "can't be mapped" in Server(tmp_path, slots=4096, threads=256, max_series=100000).refusal()


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
            known = {server.pid, *server.pids("worker"), *server.pids("aggregator"), *server.pids("admin_server")}
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
            "or start this one on another address, and under another HVD_INSTANCE where that is set"
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


def test_requests_are_answered_and_a_stop_ends(tmp_path: Path) -> None:
    """While somebody stopped holds the block's lock: new series, new threads, ticks, a death of a worker; and the
    daemon ends as if nothing were.
    """
    server = Server(tmp_path, workers=2, threads=4, interval=0.2, graceful_timeout=2)
    with server:
        with server.opened() as block, keeping_locked(block) as holder:
            os.kill(holder, signal.SIGSTOP)
            until(lambda: is_stopped(holder), "the holder is stopped")
            start = time.monotonic()
            paths = [f"/status-of/{code}" for code in range(400, 500)]
            assert load(server.address, paths, clients=8, requests=200).responses == 200
            with RawWebSocket(server.address) as client:
                for _ in range(5):
                    client.message()
            assert time.monotonic() - start < 20 * PATIENCE
            until(lambda: server.snapshot()["requests"]["in_flight"] == 1, "only this very request is in progress")
            worker = server.snapshot()["workers"][0]["pid"]
            os.kill(worker, signal.SIGKILL)
            until(lambda: f"process {holder} keeps block" in server.log, "the log names who keeps the lock")
            assert server.get("/health").status == 200
            assert server.stop() == 0
        assert "Traceback" not in server.log
