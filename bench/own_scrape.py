"""A scrape of the app's own metrics, beside prometheus_client's multiprocess mode.

`python bench/own_scrape.py [--rounds N] [--series N] [--kind counter|histogram]`. 8 workers of 4 threads have counted
in each series; CPU time of all that /metrics does. Of hvd: at rest, when 1 % of the series have changed since the last
scrape, when all have, and the first scrape of a process.
"""

import argparse
import gc
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from own import block_for, take_slot
from rounds import machine, table

from hvd.core.block import Block
from hvd.core.catalogue import Catalogue
from hvd.core.own.definition import Definition
from hvd.core.own.store import own_store
from hvd.export.exposition import Exposition
from hvd.metrics.table import FAMILIES
from hvd.read.reading import BlockReader

WORKERS, THREADS = 8, 4
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)  # prometheus_client's
REST, SOME, ALL = b"-", b"1", b"a"

Count = Callable[[Sequence[int]], None]
"""Counts once in each of the series with these numbers."""


def theirs(kinds: Sequence[str], series: int) -> Count:
    """prometheus_client's; called in a worker."""
    import prometheus_client

    parents = [getattr(prometheus_client, kind.title())(f"bench_{kind}", "Bench.", ["number"]) for kind in kinds]
    counts = [[method_of(parent.labels(str(number))) for number in range(series)] for parent in parents]
    return lambda numbers: [count[number]() for count in counts for number in numbers] and None


def ours(block: Block, kinds: Sequence[str], series: int) -> Count:
    """hvd's; called in a worker."""
    take_slot(block)
    families = [
        own_store.declare(
            Definition(f"bench_{kind}", kind, "Bench.", "", ("number",), BUCKETS if kind == "histogram" else ())
        )
        for kind in kinds
    ]
    counts: list[list[Callable[[], None]]] = [
        [method_of(family.place((str(number),))) for number in range(series)] for family in families
    ]
    return lambda numbers: [count[number]() for count in counts for number in numbers] and families and None


def method_of(child: Any) -> Callable[[], None]:
    """What counts once."""
    return (lambda: child.observe(random.random() * 3)) if hasattr(child, "observe") else child.inc


class Workers:
    """Processes that count when they are told to."""

    def __init__(self, start: Callable[[], Count], series: int) -> None:
        self._ready, self._say = os.pipe()
        self._orders: list[int] = []
        self.pids: list[int] = []
        for _ in range(WORKERS):
            self._fork(start, series)
        self._wait()

    def _fork(self, start: Callable[[], Count], series: int) -> None:
        orders, order = os.pipe()
        pid = os.fork()
        if pid:
            self._orders.append(order)
            self.pids.append(pid)
            return
        try:
            count, numbers = start(), range(series)
            threads = [threading.Thread(target=count, args=(numbers,)) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            os.write(self._say, b"x")
            while said := os.read(orders, 1):
                count(numbers if said == ALL else random.sample(numbers, max(1, series // 100 // WORKERS)))
                os.write(self._say, b"x")
        finally:
            os._exit(1)

    def _wait(self) -> None:
        for _ in self.pids:
            if not os.read(self._ready, 1):
                sys.exit("a worker has ended")

    def tell(self, order: bytes) -> None:
        """Have all of them count, to the end."""
        if order != REST:
            for pipe in self._orders:
                os.write(pipe, order)
            self._wait()

    def end(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def timed(work: Callable[[], object]) -> float:
    """ms of CPU, without what is left of another scrape: this process has one thread, and waits for nothing."""
    start = time.process_time()
    work()
    spent = time.process_time() - start
    gc.collect()
    return spent * 1e3


def their_scrape() -> None:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    generate_latest(registry)


def our_scrape(block: Block) -> Callable[[], str]:
    reader, exposition = BlockReader(block), Exposition()
    return lambda: exposition.render(reader.read(own=True).figures(reader.series_limits(), ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--series", type=int, help="of each kind; else 100, then 10,000")
    parser.add_argument("--kind", choices=("counter", "histogram"), help="else both for 100, counters for 10,000")
    given = parser.parse_args()
    print(machine())
    sizes = [given.series] if given.series else [100, 10_000]
    for series in sizes:
        both = ("counter", "histogram") if series <= 100 else ("counter",)
        compare((given.kind,) if given.kind else both, series, given.rounds)


def compare(kinds: Sequence[str], series: int, rounds: int) -> None:
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
    all_workers: list[Workers] = []
    try:
        with block_for(4 * series * len(kinds), WORKERS) as block:
            Catalogue(block, FAMILIES.all).add_families()
            all_workers.append(Workers(lambda: theirs(kinds, series), series))
            all_workers.append(workers := Workers(lambda: ours(block, kinds, series), series))
            scrape = our_scrape(block)
            found: dict[str, list[float]] = {name: [] for name in ("prometheus_client", *STATES)}
            for _ in range(rounds):
                found["prometheus_client"].append(timed(their_scrape))
                found["hvd, first of a process"].append(timed(our_scrape(block)))
                for _ in range(3):
                    scrape()
                for name, order in list(STATES.items())[1:]:
                    workers.tell(order)
                    found[name].append(timed(scrape))
            show(f"{series:,} series of {' and '.join(kinds)}, {WORKERS} workers, {THREADS} threads each", found)
    finally:
        for one in all_workers:
            one.end()
        shutil.rmtree(folder)


STATES = {
    "hvd, first of a process": REST,
    "hvd, nothing changed": REST,
    "hvd, 1 % changed": SOME,
    "hvd, all changed": ALL,
}


def show(title: str, found: dict[str, list[float]]) -> None:
    theirs = statistics.median(found["prometheus_client"])
    lines = [["", "ms of CPU", "times faster"]]
    for name, figures in found.items():
        lines.append([name, f"{statistics.median(figures):.2f}", f"{theirs / statistics.median(figures):.0f}"])
    print(table(f"A scrape: {title}", lines))


if __name__ == "__main__":
    main()
