"""A file system for shared memory that is nearly full: clear errors, exact totals, no process ended by SIGBUS."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from hvd.core.block import attach
from hvd.core.catalogue import Catalogue
from hvd.metrics.table import ABORTED, HANDOFFS_REFUSED, WS_DISCONNECTED
from tests.support.http import load
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket


def in_small_shm(server: Server, size: str) -> Server:
    """Start it with a /dev/shm of its own, of that size, in a mount namespace of its own."""
    script = f"mount -t tmpfs -o size={size} tmpfs /dev/shm && exec " + " ".join(server.command)
    server.command = ["unshare", "--mount", "sh", "-c", script]
    return server


def test_totals_stay_exact_when_no_series_can_be_added(tmp_path: Path) -> None:
    """Series that find no memory go to the overflow series; no worker dies."""
    server = in_small_shm(Server(tmp_path, workers=2, threads=4, max_series=2000), "6200k")
    with server:
        paths = [f"/status-of/{code}" for code in range(200, 600) if code not in (204, 304)]
        tally = load(server.address, paths, clients=8, requests=4000)
        assert tally.responses == 4000
        until(lambda: server.snapshot()["requests"]["in_flight"] == 1, "nothing but the reader is in flight")
        counted = server.get("/metrics").body.decode()
        assert 'hvd_http_requests_total{method="overflow",route="overflow",status="overflow"}' in counted
        snapshot = server.snapshot()
        assert sum(route["count"] for route in snapshot["routes"]) == snapshot["http_requests"]
        assert snapshot["http_requests"] >= 4000
        assert snapshot["http_errors"] == sum(n for (_, status), n in tally.received.items() if status >= 400)
        assert not [line for line in server.log.splitlines() if "SIGBUS" in line]


def use_up_the_last_page(path: Path) -> None:
    """Append series of one cell until there is no memory for another."""
    fd = os.open(path, os.O_RDWR)
    catalogue = Catalogue(attach(fd, path.name), None)
    for family in (ABORTED, WS_DISCONNECTED, HANDOFFS_REFUSED):
        for number in range(60):
            catalogue.get_or_add(family, (f"filler {number}",))
    os.close(fd)


OVERFLOWED = dict.fromkeys(("method", "route", "status"), "overflow")


def exits(server: Server) -> int:
    """How many workers' ends are counted, under whatever cause."""
    found = server.samples("hvd_process_exits_total", "kind")
    return found["worker",] + found["overflow",]


def test_with_full_memory_clients_and_workers_come_and_go(tmp_path: Path) -> None:
    """WebSocket clients get every message, from an aggregator that stays; what finds no room is counted as overflow.

    The memory is filled up from outside. Then come series that nobody has seen, threads that are new, the first
    client, a death, a reload.
    """
    server = in_small_shm(Server(tmp_path, workers=2, threads=4, interval=0.2), "64m")
    with server:
        assert server.process
        (aggregator,) = [one.pid for one in server.processes() if "hvd.agg" in one.cmdline()]
        shm = Path(f"/proc/{server.process.pid}/root/dev/shm")
        with (shm / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(b"x" * 4096) == 4096:
                pass
        paths = [f"/status-of/{code}" for code in range(200, 300) if code not in (204, 304)]
        assert load(server.address, paths, clients=8, requests=400).responses == 400
        use_up_the_last_page(shm / server.block.name)
        with RawWebSocket(server.address) as client:
            shown = lambda: client.message()["data"]["raw"]["websocket_clients"]  # noqa: E731
            until(lambda: shown() == 1, "it is counted")
            assert [shown() for _ in range(5)] == [1] * 5
        os.kill(server.snapshot()["workers"][0]["pid"], signal.SIGKILL)
        until(lambda: exits(server) == 1, "the death is counted")
        server.signal(signal.SIGHUP)
        until(lambda: exits(server) == 3, "workers that came after the memory was full serve")
        assert server.sample("hvd_series_overflow_total", family="http") > 0
        assert server.metrics()["hvd_counts_lost_total", frozenset()] == 0
        assert server.sample("hvd_http_requests_total", **OVERFLOWED) >= 300
        assert [one.pid for one in server.processes() if "hvd.agg" in one.cmdline()] == [aggregator]
        assert "Traceback" not in server.log
        assert "can't grow" not in server.log


def test_no_room_for_a_block_is_a_clear_error(tmp_path: Path) -> None:
    """The start ends with exit status 1 and one line that names the file system."""
    line = in_small_shm(Server(tmp_path), "100k").refusal()
    assert "hvd: no block can be made in /dev/shm: No space left on device" in line


def test_the_namespace_can_be_made() -> None:
    """These tests need to mount a file system; say so plainly where that isn't allowed."""
    result = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", ""], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"run the tests as root: {result.stderr}"
