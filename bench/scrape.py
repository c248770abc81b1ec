"""A scrape: 8 workers, 100 route/status series with a counter and a histogram each, beside prometheus_client.

`python bench/scrape.py [--rounds N] [--deaths N] [--their-deaths N]`. Wall time of building the text, before and after
worker deaths: processes that record, and are killed by SIGKILL. Theirs leave their files; hvd's leave their slots.
"""

import argparse
import logging
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rounds import interleave, machine, ratio, table

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.daemon.deaths import Settler
from hvd.export.exposition import Exposition
from hvd.metrics.table import FAMILIES, HTTP
from hvd.read.reading import BlockReader

WORKERS = 8
LABELS = [("GET", f"/route/{n}", status) for n in range(25) for status in ("200", "302", "404", "500")]
LATENCIES_NS = [int(50_000 * 1.25**step) for step in range(40)]  # 50 µs to 300 ms

Work = Callable[[], None]


def in_children(work: Work, count: int, *, at_once: int) -> None:
    """Run `work` in so many forked processes, each killed by SIGKILL when it is done, `at_once` at a time."""
    while count:
        batch = min(count, at_once)
        pids = [_forked(work) for _ in range(batch)]
        for pid in pids:
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != -signal.SIGKILL:
                sys.exit(f"a recording process (pid {pid}) did not end as it should")
        count -= batch


def _forked(work: Work) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(1)


class Prometheus:
    """prometheus_client in multiprocess mode."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        requests = Counter("bench_requests", "Requests.", ["method", "route", "status"])
        latency = Histogram("bench_latency_seconds", "Latency.", ["method", "route", "status"])

        def record() -> None:
            for labels in LABELS:
                for ns in LATENCIES_NS:
                    requests.labels(*labels).inc()
                    latency.labels(*labels).observe(ns / 1e9)

        def scrape() -> None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            generate_latest(registry)

        self.record, self.scrape = record, scrape


class Hvd:
    """hvd's block, its settler (what the master does at a death), its scrape."""

    def __init__(self, block: Block) -> None:
        self._slots = Slots(block)
        self._settler = Settler(block, logging.getLogger("bench"))
        reader, exposition = BlockReader(block), Exposition()

        def scrape() -> None:
            exposition.render(reader.read().figures(reader.series_limits(), ""))

        def record() -> None:
            rows = Rows(block, self._slots.claim(layout.KIND_WORKER, os.getppid(), os.getpid()), FAMILIES)
            runs = rows.runs[HTTP.key]
            for labels in LABELS:
                for ns in LATENCIES_NS:
                    rows.mine().record(runs, labels, ns)

        self.record, self.scrape = record, scrape

    def settle(self) -> None:
        """What a master does for its dead workers."""
        for slot in list(self._slots.taken()):
            self._settler.settle_slot(slot.number, slot.pid, "SIGKILL")


@contextmanager
def block_for_bench() -> Iterator[Block]:
    block, _ = acquire(f"hvd-bench-{uuid.uuid4().hex[:8]}", Layout(layout.COMPANION_SLOTS + 64, 8, 2000, TIMED_CELLS))
    try:
        Catalogue(block, FAMILIES.all).add_families()
        yield block
    finally:
        block.remove_if_last()


def timed(work: Work) -> float:
    """ms."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--deaths", type=int, default=1000, help="of hvd's workers")
    parser.add_argument("--their-deaths", type=int, default=100, help="of prometheus_client's workers")
    given = parser.parse_args()
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
    try:
        with block_for_bench() as block:
            print(machine())
            theirs, ours = Prometheus(), Hvd(block)
            in_children(theirs.record, WORKERS, at_once=WORKERS)
            in_children(ours.record, WORKERS, at_once=WORKERS)
            scrapes = {"prometheus_client": lambda: timed(theirs.scrape), "hvd": lambda: timed(ours.scrape)}
            before = interleave(scrapes, given.rounds)
            ours.settle()
            for _ in range(0, given.deaths, WORKERS):
                in_children(ours.record, min(WORKERS, given.deaths), at_once=WORKERS)
                ours.settle()
            in_children(theirs.record, given.their_deaths, at_once=WORKERS)
            after = interleave(scrapes, given.rounds)
            show(before, after, given.deaths, given.their_deaths)
    finally:
        shutil.rmtree(folder)


def show(before: dict[str, list[float]], after: dict[str, list[float]], deaths: int, their_deaths: int) -> None:
    name = "prometheus_client"
    lines = [["", "ms", "times faster", "ms after deaths", "times slower than before"]]
    for kind, count in ((name, their_deaths), ("hvd", deaths)):
        lines.append(
            [
                f"{kind} ({count} deaths)",
                f"{statistics.median(before[kind]):.2f}",
                f"{ratio(before[name], before[kind]):.1f}",
                f"{statistics.median(after[kind]):.2f}",
                f"{statistics.median(after[kind]) / statistics.median(before[kind]):.2f}",
            ]
        )
    print(table(f"A scrape of {WORKERS} workers, {len(LABELS)} series of counter and histogram", lines))


if __name__ == "__main__":
    main()
