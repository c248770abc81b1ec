"""A file system for shared memory that is nearly full: clear errors, exact totals, no process ended by SIGBUS."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from hvd.core.block import attach
from hvd.core.catalogue import Catalogue
from hvd.metrics.table import ABORTED, HANDOFFS_REFUSED, WS_DISCONNECTED
from tests.support.http import load
from tests.support.server import ROOT, Server
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket


def in_small_shm(server: Server, size: str) -> Server:
    """Start it with a /dev/shm of its own, of that size, in a mount namespace of its own."""
    script = f"mount -t tmpfs -o size={size} tmpfs /dev/shm && exec " + " ".join(server.command)
    server.command = ["unshare", "--mount", "sh", "-c", script]
    return server


def test_totals_stay_exact_when_no_series_can_be_added(tmp_path: Path) -> None:
    """Series that find no memory go to the overflow series; no worker dies."""
    server = in_small_shm(Server(tmp_path, workers=2, threads=4, max_series=2000), "8000k")
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


OWN = """\
import logging, os, sys
from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.layout import Layout
from hvd.core.own.definition import Definition
from hvd.core.own.figures import OwnReader
from hvd.core.own.notes import Exemplar, Notes
from hvd.core.own.store import OwnStore
from hvd.core.slots import Slots
from hvd.errors import BlockError

block, _ = acquire("hvd-full", Layout(24, 2, 16, 172, own_series=4000))
slots, stores = Slots(block), [OwnStore() for _ in range(3)]
for store in stores:
    store.attach(block, slots.claim(layout.KIND_WORKER, os.getpid(), os.getpid()))
orders = [store.declare(Definition("orders", "counter", "", labels=("n",))) for store in stores]
sizes = [store.declare(Definition("sizes", "histogram", "", labels=("n",), buckets=(1.0, 2.0))) for store in stores]
with open("/dev/shm/filler", "wb", buffering=0) as filler:
    try:
        while filler.write(b"x" * 4096) == 4096:
            pass
    except OSError:
        pass
reader, expected = OwnReader(block), 0
for number in range(1500):
    for own in (*orders, *sizes):
        place = own.place((str(number),))
        place.inc() if own in orders else place.observe(1)
    expected += 6
late = stores[0].declare(Definition("late", "counter", ""))
late.place().inc()
Notes(block).write(5000, Exemplar({}, 1.0, 1.0))
orders[0].remove(("1",))
try:
    slots.claim(layout.KIND_JOINED, os.getpid(), os.getpid())
except BlockError as error:
    print("no slot:", error)
figures = {family.definition.name: family.samples for family in reader.read().families}
removed = 3 if "1" not in [sample.labels[0] for sample in figures["orders"]] else 0
counted = sum(sample.value for sample in figures["orders"]) + sum(sample.value.observed for sample in figures["sizes"])
assert counted + removed == expected, (counted, removed, expected)
assert any(sample.labels == ("overflow",) for sample in figures["orders"])
os.unlink("/dev/shm/filler")
stores[0]._look_at = stores[0].catalogue._retry_at = 0.0
late.place().inc()
figures = {family.definition.name: family.samples for family in reader.read().families}
assert figures["late"][0].value == 2
os.unlink("/dev/shm/hvd-full")
print("exact")
"""


def test_own_metrics_are_exact_when_memory_is_full(tmp_path: Path) -> None:
    """Series and metrics that find no room, an exemplar, a removal, a slot: the process lives, and all is counted."""
    (tmp_path / "own.py").write_text(OWN)
    script = f"mount -t tmpfs -o size=12m tmpfs /dev/shm && exec {sys.executable} {tmp_path / 'own.py'}"
    command = ["unshare", "--mount", "sh", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 * PATIENCE)
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["exact"]), done.stderr


def limited(server: Server, limit: str) -> Server:
    """Start it under a limit of a shell's ulimit."""
    server.command = ["sh", "-c", f'ulimit {limit} && exec "$@"', "sh", *server.command]
    return server


def test_no_room_for_a_block_is_a_clear_error(tmp_path: Path) -> None:
    """The start ends with one line: the file system or the limit, how much is needed and there, and the remedy."""
    small = in_small_shm(Server(tmp_path), "100k").refusal()
    assert re.search(
        r"hvd: no block can be made in /dev/shm: No space left on device, \d\.\d MB are needed, 0\.\d MB free: make "
        r"that file system larger \(a container's by --shm-size\), or set slots, threads or max_series lower",
        small,
    ), small
    closed = in_small_shm(Server(tmp_path), "1m,ro").refusal()
    assert "hvd: no shared memory can be made in /dev/shm: Read-only file system: mount a tmpfs there" in closed
    files = limited(Server(tmp_path), "-f 1024").refusal()
    assert re.search(r"File too large, it has \d+ MB, .* files may have [\d.]+ MB: lift that limit \(ulimit -f", files)
    addresses = limited(Server(tmp_path), "-v 500000").refusal()
    assert re.search(r"GiB of addresses, not of memory, can't be mapped \(.*\): allow them \(ulimit -v", addresses)
    descriptors = limited(Server(tmp_path), "-n 12").refusal()
    assert "Too many open files: 12 are allowed (ulimit -n, LimitNOFILE=); allow 1,024" in descriptors


def test_the_namespace_can_be_made() -> None:
    """These tests need to mount a file system; say so plainly where that isn't allowed."""
    result = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", ""], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"run the tests as root: {result.stderr}"
