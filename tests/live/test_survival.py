"""Deaths, reloads and upgrades under load: no total goes down, no request is lost or counted twice, nothing leaks."""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue
from hvd.core.journal import post_mortems_of
from hvd.core.slots import Slots, used_heads
from hvd.core.totals import Reader
from hvd.read.reading import BlockReader
from tests.support.http import Connection, Load
from tests.support.server import Server, upgradable
from tests.support.waiting import PATIENCE, until

ANSWERS = {
    "/hello": ("/hello", 200),
    "/status-of/201": ("/status-of/{code}", 201),
    "/status-of/404": ("/status-of/{code}", 404),
    "/status-of/500": ("/status-of/{code}", 500),
    "/items/1": ("/items/{number}", 200),
    "/items/2": ("/items/{number}", 200),
    "/slow?s=0.02": ("/slow", 200),
    "/nowhere": ("(unmatched)", 404),
}
"""What the load asks for, and the route and status under which it is counted."""


class Clients(Load):
    """Clients that ask for all of ANSWERS."""

    def __init__(self, server: Server, clients: int) -> None:
        super().__init__(server.address, list(ANSWERS), clients)

    @property
    def sent(self) -> Counter[tuple[str, int]]:
        """Requests by what their answer had to be."""
        return Counter(ANSWERS[path] for path in self.tally.sent.elements())

    @property
    def received(self) -> Counter[tuple[str, int]]:
        """Responses by route and status."""
        assert all(ANSWERS[path][1] == status for path, status in self.tally.received), self.tally.received
        return Counter(ANSWERS[path] for path, _ in self.tally.received.elements())


Flat = dict[str, float]


def of_snapshot(snapshot: dict[str, Any]) -> Flat:
    """The totals of a snapshot."""
    totals = {name: snapshot[name] for name in ("http_requests", "http_errors")}
    totals |= {f"requests.{name}": snapshot["requests"][name] for name in ("started", "finished", "aborted")}
    for route in snapshot["routes"]:
        totals |= {f"{route['route']} {status}": number for status, number in route["statuses"].items()}
    return totals


def of_metrics(text: str) -> Flat:
    """All counters and histograms of a text, but those of one process, which end with it."""
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith(("#", "hvd_process_cpu")))
    ends = ("_total", "_count", "_sum", "_bucket")
    return {name: float(value) for name, _, value in samples if name.partition("{")[0].endswith(ends)}


@dataclass
class Watcher:
    """A client that reads both endpoints again and again, and compares each read with the one before."""

    server: Server
    reads: int = 0
    broken: int = 0
    faults: list[str] = field(default_factory=list)
    _before: dict[str, Flat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.is_set():
            with self.server.connection() as connection:
                try:
                    for _ in range(20):  # then on another connection, so that other workers answer too
                        self._read(connection)
                except OSError:
                    self.broken += 1  # the worker that was to answer died

    def _read(self, connection: Connection) -> None:
        snapshot = connection.get("/api/v1/snapshot").json()
        requests = snapshot["requests"]
        if requests["started"] != requests["finished"] + requests["in_flight"] + requests["aborted"]:
            self.faults.append(f"the identity does not hold: {requests}")
        if requests["in_flight"] < 1:
            self.faults.append(f"the read itself is in flight: {requests}")
        self._compare("snapshot", of_snapshot(snapshot))
        self._compare("metrics", of_metrics(connection.get("/metrics").body.decode()))
        self.reads += 1

    def _compare(self, kind: str, now: Flat) -> None:
        for name, value in self._before.get(kind, {}).items():
            if now.get(name, -1) < value:
                self.faults.append(f"{kind}: {name} went from {value} to {now.get(name)}")
        self._before[kind] = now

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def wait_reads(self, number: int = 3) -> None:
        """Until it has read so often from now on."""
        goal = self.reads + number
        until(lambda: self.reads >= goal, f"{number} more reads", 30)

    def assert_content(self, least: int) -> None:
        """It read often enough, and found no fault."""
        assert not self.faults, self.faults[:10]
        assert self.reads >= least


def slot_pids(block: Block, kind: int = layout.KIND_WORKER) -> set[int]:
    """Processes in the slot table that live."""
    return {slot.pid for slot in Slots(block).taken() if slot.kind == kind and slot.pid and slot.is_alive()}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def assert_slots_are_the_processes(server: Server, block: Block) -> None:
    """Each process of the daemon has one slot, its master too, and there is no other slot taken."""

    def agree() -> bool:
        slots = sorted(slot.pid for slot in Slots(block).taken())
        return slots == sorted(process.pid for process in server.processes())

    until(agree, "the slot table has exactly the live processes", 30)


def assert_exact(server: Server, clients: Clients) -> None:
    """What clients received <= what is counted <= what they sent, in total and by route and status."""
    counted, sent, received = server.counted(), clients.sent, clients.received
    for answer in sent:
        assert received[answer] <= counted.get(answer, 0) <= sent[answer], answer
    ours = sum(counted.get(answer, 0) for answer in sent)
    assert sum(received.values()) <= ours <= sum(sent.values())


def assert_settled(server: Server, block: Block) -> None:
    """At rest nothing is in flight, and aborted requests are those that have a cause."""
    server.wait_idle()
    heads = BlockReader(block).totals().heads
    assert heads.started == heads.finished + heads.aborted
    assert server.samples("hvd_http_requests_aborted_total").total() == heads.aborted


def exits(server: Server, cause: str, kind: str = "worker") -> int:
    """How many processes ended so."""
    return server.sample("hvd_process_exits_total", kind=kind, cause=cause)


@pytest.mark.long(20)
def test_totals_survive_deaths_reloads_and_changes_of_number(tmp_path: Path) -> None:
    """Workers killed, recycled, reloaded, more and fewer of them, and the aggregator killed, all under load."""
    order = random.Random(7)
    settings = {"workers": 3, "threads": 4, "interval": 0.2, "max_requests": 300, "max_requests_jitter": 100}
    with Server(tmp_path, graceful_timeout=int(5 * PATIENCE), **settings) as server, server.opened() as block:
        with Clients(server, 6) as clients, Watcher(server) as watcher:

            def wait_workers(number: int, besides: set[int] = frozenset()) -> None:  # type: ignore[assignment]
                until(
                    lambda: len(slot_pids(block)) == number and not slot_pids(block) & besides,
                    f"{number} workers, none of {sorted(besides)}",
                    30,
                )

            def kill_one() -> None:
                pid = order.choice(sorted(slot_pids(block)))
                with suppress(ProcessLookupError):  # it was recycled just now
                    kill(pid)
                until(lambda: pid not in slot_pids(block), f"worker {pid} is gone")

            for _ in range(8):
                kill_one()
                watcher.wait_reads(1)
            for _ in range(2):
                old = slot_pids(block)
                server.signal(signal.SIGHUP)
                wait_workers(3, old)
                kill_one()
                watcher.wait_reads()
            for signum, number in ((signal.SIGTTIN, 4), (signal.SIGTTIN, 5), (signal.SIGTTOU, 4), (signal.SIGTTOU, 3)):
                server.signal(signum)
                wait_workers(number)
                kill_one()
                watcher.wait_reads()
            for _ in range(2):
                gone = until(lambda: slot_pids(block, layout.KIND_AGGREGATOR), "an aggregator", 30)
                for pid in gone:
                    kill(pid)
                watcher.wait_reads()
                until(lambda gone=gone: slot_pids(block, layout.KIND_AGGREGATOR) - gone, "another aggregator", 30)  # type: ignore[misc]
        watcher.assert_content(least=30)
        server.wait_ready()
        wait_workers(3)
        assert_slots_are_the_processes(server, block)
        assert_settled(server, block)
        assert_exact(server, clients)
        assert exits(server, "SIGKILL") >= 10
        assert exits(server, "SIGKILL", "aggregator") == 2
        assert exits(server, "exit 0") >= 6, "reloaded, recycled and dismissed workers ended by themselves"
        assert clients.tally.responses > 1000


@pytest.mark.long(20)
def test_totals_survive_an_upgrade(tmp_path: Path) -> None:
    """USR2 brings a second master, TERM ends the first, with deaths in between: one block, one count, all the time."""
    order = random.Random(11)
    daemon = upgradable(Server(tmp_path, workers=2, threads=4, interval=0.2, graceful_timeout=int(5 * PATIENCE)))
    with daemon as server, server.opened() as block:
        old, node = server.pid, server.block.stat().st_ino
        with Clients(server, 4) as clients, Watcher(server) as watcher:
            watcher.wait_reads()
            server.signal(signal.SIGUSR2)
            until(lambda: len(block.masters()) == 2, f"two masters; log:\n{server.log}", 30)
            (new,) = set(block.masters()) - {old}
            until(
                lambda: len(slot_pids(block)) == 4 and len(slot_pids(block, layout.KIND_AGGREGATOR)) == 2,
                "both serve",
                30,
            )
            for _ in range(6):
                pid = order.choice(sorted(slot_pids(block)))
                kill(pid)
                until(lambda pid=pid: pid not in slot_pids(block) and len(slot_pids(block)) == 4, "replaced", 30)  # type: ignore[misc]
                watcher.wait_reads(1)
            server.signal(signal.SIGTERM)
            assert server.wait(30) == 0
            until(lambda: block.masters() == [new], "the old master is gone", 30)
            kill(order.choice(sorted(slot_pids(block))))
            watcher.wait_reads()
            until(lambda: len(slot_pids(block)) == 2, "two workers", 30)
        watcher.assert_content(least=10)
        server.wait_ready()
        assert server.block.stat().st_ino == node
        assert_slots_are_the_processes(server, block)
        assert {psutil.Process(pid).ppid() for pid in slot_pids(block)} == {new}
        assert_settled(server, block)
        assert_exact(server, clients)
        assert not exits(server, "unknown"), "each death was reported by its own master"
        assert exits(server, "SIGKILL") == 7
        assert exits(server, "exit", "master") == 1, "the new master has settled the old one's slot"
        server.stop_successor()


@dataclass(frozen=True)
class Extent:
    """How much of a block is in use: what a scrape has to read, and what the segment takes."""

    rows: int
    series: frozenset[tuple[str, tuple[str, ...]]]
    catalogue_bytes: int
    cells: int
    memory: int

    @classmethod
    def of(cls, block: Block) -> "Extent":
        catalogue = Catalogue(block, None)
        catalogue.refresh()
        rows = sum(len(used_heads(block, number)) for number in range(block.layout.slots))
        cells = block.cells
        return cls(
            rows,
            frozenset((series.family, series.labels) for series in catalogue.series),
            cells[layout.H_CATALOGUE_BYTES],
            cells[layout.H_CELLS_USED],
            os.fstat(block.fd).st_blocks * 512,
        )


def all_are_seen(block: Block) -> bool:
    """True once every answer that the load can get, and every step of a tick, has its series."""
    catalogue = Catalogue(block, None)
    catalogue.refresh()
    found = {series.labels[1:] for series in catalogue.series if series.family == "http"}
    steps = {series.labels for series in catalogue.series if series.family == "tick"}
    return found >= {(route, str(status)) for route, status in ANSWERS.values()} and ("broadcast",) in steps


def scrape_time(server: Server) -> float:
    """The quickest of some scrapes, in s: on a busy machine the others tell of other things, too."""
    times = []
    with server.connection() as connection:
        for _ in range(25):
            start = time.monotonic()
            assert connection.get("/metrics").status == 200
            times.append(time.monotonic() - start)
    return min(times)


@pytest.mark.long(38)
def test_two_hundred_deaths_leave_nothing_behind(tmp_path: Path) -> None:
    """Slots, rows, series and memory are bounded by the workers alive, not by those that ever lived."""
    workers, threads, at_once = 16, 2, 8
    with (
        # The app is loaded before the fork, so that two hundred workers start within seconds.
        Server(tmp_path, workers=workers, threads=threads, interval=0.2, arguments=("--preload",)) as server,
        server.opened() as block,
    ):
        until(lambda: len(slot_pids(block)) == workers, "all workers", 30)
        order, dead = random.Random(3), set[int]()
        with Clients(server, 4) as clients, Watcher(server) as watcher:
            watcher.wait_reads()
            until(lambda: all_are_seen(block), "each kind of request, and of the aggregator's work, is counted", 30)
            before, time_before = Extent.of(block), scrape_time(server)
            while len(dead) < 200:
                victims = order.sample(sorted(slot_pids(block)), at_once)
                for pid in victims:
                    kill(pid)
                dead.update(victims)
                until(lambda: len(slot_pids(block)) == workers and not slot_pids(block) & dead, "all are replaced", 30)
            watcher.wait_reads()
            after, time_after = Extent.of(block), scrape_time(server)
        watcher.assert_content(least=10)
        assert_slots_are_the_processes(server, block)
        assert_settled(server, block)
        assert_exact(server, clients)

        slots = [slot for slot in Slots(block).taken() if slot.kind == layout.KIND_WORKER]
        assert len(slots) == workers
        assert {slot.number for slot in slots} == set(range(layout.COMPANION_SLOTS, layout.COMPANION_SLOTS + workers))
        assert after.rows <= workers * (threads + 1) + 4  # of each worker its main thread's too; the companions'
        used = {("cpu", ("worker", str(slot.number))) for slot in slots}  # there once CPU time was seen, by slot
        counted = {("exits", ("worker", "SIGKILL")), ("aborted", ("SIGKILL",))}
        counted |= {("ends", ("worker", how)) for how in ("unplanned", "failed_boots")}  # some die before they serve
        assert after.series - before.series <= counted | used
        assert after.cells - before.cells <= 4 + workers
        row_bytes = layout.round_up((layout.HEAD_CELLS + after.cells) * layout.CELL, layout.PAGE)
        # first and shared rows, of those that may follow in a reload too: memory is taken for them before they need it
        reserved = 2 * (2 * workers + layout.COMPANION_SLOTS // 2)
        assert after.memory <= block.layout.first_row + (after.rows + reserved) * row_bytes
        assert time_after <= 3 * time_before + 0.05

        totals = Reader(block).read()
        (killed,) = (series for series in totals.of("exits") if series.labels == ("worker", "SIGKILL"))
        assert totals.cells[killed.offset] == len(dead) >= 200
        entries = server.snapshot()["post_mortems"]
        deaths = post_mortems_of(block).newest
        assert len(entries) == min(50, deaths)
        assert {entry["pid"] for entry in entries} <= dead
        until(lambda: server.log.count(") died (SIGKILL) with ") == deaths, "each has its line in the log")
