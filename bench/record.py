"""Recording one request (method, route, status, latency): CPU time a call, beside prometheus_client's.

`python bench/record.py [--rounds N] [--calls N]`
"""

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rounds import interleave, machine, ratio, table

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.catalogue import Catalogue
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.metrics.table import FAMILIES, HTTP, error_of

LABELS = [("GET", f"/route/{n}", status) for n in range(10) for status in ("200", "404")]
LATENCY_NS = 12_345_678

Record = Callable[[], None]
"""Records all LABELS once."""


def prometheus() -> Record:
    """A counter and a histogram with the same labels, found by label values at each call."""
    from prometheus_client import Counter, Histogram

    requests = Counter("bench_requests", "Requests.", ["method", "route", "status"])
    latency = Histogram("bench_latency_seconds", "Latency.", ["method", "route", "status"])

    def record() -> None:
        for labels in LABELS:
            requests.labels(*labels).inc()
            latency.labels(*labels).observe(LATENCY_NS / 1e9)

    return record


def hvd_record(rows: Rows) -> Record:
    """The same work: count, exact sum and bucket, found by label values at each call, in the thread's row."""
    runs = rows.runs[HTTP.key]

    def record() -> None:
        row = rows.mine()
        for labels in LABELS:
            row.record(runs, labels, LATENCY_NS)

    return record


def hvd_request(rows: Rows) -> Record:
    """All that hvd does for a request: in flight with its text and begin time, counted, finished."""
    requests = [(*labels, error_of(labels[-1])) for labels in LABELS]  # who calls a row knows that

    def record() -> None:
        for method, route, status, failed in requests:
            row = rows.mine()
            row.begin(method, route)
            row.respond((method, route, status), failed)
            row.finish()

    return record


def hvd_entry(rows: Rows) -> Record:
    """The same for a request of a thread that serves many at once."""
    requests = [(*labels, error_of(labels[-1])) for labels in LABELS]

    def record() -> None:
        for method, route, status, failed in requests:
            row = rows.entry()
            row.begin(method, route)
            row.respond((method, route, status), failed)
            row.finish()

    return record


def floor(rows: Rows) -> Record:
    """One shared-memory increment without a lock."""
    cells = rows.block.cells[rows.block.layout.row_cell(rows.slot, 0) + layout.HEAD_CELLS :]

    def record() -> None:
        for _ in LABELS:
            cells[0] += 1

    return record


def cpu_per_call(record: Record, calls: int, threads: int) -> float:
    """CPU time of the process in ns a call, with so many threads recording at once."""
    repeats = calls // threads // len(LABELS)
    start = threading.Barrier(threads + 1)

    def work() -> None:
        record()
        start.wait()
        for _ in range(repeats):
            record()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    before = time.process_time_ns()
    start.wait()
    for worker in workers:
        worker.join()
    return (time.process_time_ns() - before) / (repeats * threads * len(LABELS))


@contextmanager
def rows_of_a_block() -> Iterator[Rows]:
    block, _ = acquire(f"hvd-bench-{uuid.uuid4().hex[:8]}", Layout(layout.COMPANION_SLOTS + 1, 8, 200, TIMED_CELLS))
    try:
        Catalogue(block, FAMILIES.all).add_families()
        yield Rows(block, Slots(block).claim(layout.KIND_WORKER, os.getpid(), os.getpid()), FAMILIES)
    finally:
        block.remove_if_last()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=40_000, help="calls of each variant in a round")
    given = parser.parse_args()
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
    try:
        with rows_of_a_block() as rows:
            print(machine())
            variants = {
                "prometheus_client": prometheus(),
                "hvd": hvd_record(rows),
                "hvd, a whole request": hvd_request(rows),
                "hvd, one of many at once": hvd_entry(rows),
                "increment, no lock": floor(rows),
            }
            for threads in (1, 4):
                show(variants, given.rounds, given.calls, threads)
    finally:
        shutil.rmtree(folder)


def show(variants: dict[str, Record], rounds: int, calls: int, threads: int) -> None:
    measures = {name: (lambda record=record: cpu_per_call(record, calls, threads)) for name, record in variants.items()}
    figures = interleave(measures, rounds)
    theirs = figures["prometheus_client"]
    lines = [["", "ns a call", "times less CPU than prometheus_client"]]
    for name, found in figures.items():
        lines.append([name, f"{statistics.median(found):.0f}", f"{ratio(theirs, found):.1f}"])
    print(table(f"Recording one request, {threads} thread{'s' if threads > 1 else ''}", lines))


if __name__ == "__main__":
    main()
