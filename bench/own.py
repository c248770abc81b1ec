"""The app's own metrics: CPU time of inc, labels().inc, observe and set, beside prometheus_client's multiprocess mode.

`python bench/own.py [--rounds N] [--calls N]`. Each rival has a process of its own, as prometheus_client chooses where
it counts when it is imported: it with its files, the same on hvd's values (hvd.prometheus), and hvd's instruments.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rounds import interleave, machine, ratio, table

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from hvd.core.own.store import own_store
from hvd.core.slots import Slots

THEIRS, FRONT, OURS = "prometheus_client", "prometheus_client on hvd", "hvd"
AT_ONCE = 5  # calls of a turn, so that the loop costs little beside them

Work = Callable[[int], None]
"""Makes so many turns of AT_ONCE calls."""


def works_of(module: Any) -> dict[str, Work]:
    """One for each method, of metrics that this module makes."""
    counter = module.Counter("bench_turns", "Turns.")
    orders = module.Counter("bench_orders", "Orders.", ["shop", "country"])
    spans = module.Histogram("bench_spans", "Spans.")
    level = module.Gauge("bench_level", "Level.")

    def inc(turns: int) -> None:
        for _ in range(turns):
            counter.inc()
            counter.inc()
            counter.inc()
            counter.inc()
            counter.inc()

    def labels_inc(turns: int) -> None:
        for _ in range(turns):
            orders.labels("north", "fr").inc()
            orders.labels("north", "fr").inc()
            orders.labels("north", "fr").inc()
            orders.labels("north", "fr").inc()
            orders.labels("north", "fr").inc()

    def observe(turns: int) -> None:
        for _ in range(turns):
            spans.observe(0.3)
            spans.observe(0.3)
            spans.observe(0.3)
            spans.observe(0.3)
            spans.observe(0.3)

    def set(turns: int) -> None:
        for _ in range(turns):
            level.set(1.5)
            level.set(1.5)
            level.set(1.5)
            level.set(1.5)
            level.set(1.5)

    return {"inc()": inc, "labels().inc()": labels_inc, "observe()": observe, "set()": set}


def cpu_per_call(work: Work, calls: int, threads: int) -> float:
    """CPU time of the process in ns a call, with so many threads at once."""
    turns = calls // threads // AT_ONCE
    start = threading.Barrier(threads + 1)

    def count() -> None:
        work(1)
        start.wait()
        work(turns)

    workers = [threading.Thread(target=count) for _ in range(threads)]
    for worker in workers:
        worker.start()
    before = time.process_time_ns()
    start.wait()
    for worker in workers:
        worker.join()
    return (time.process_time_ns() - before) / (turns * threads * AT_ONCE)


@contextmanager
def block_for(series: int, slots: int = 1) -> Iterator[Block]:
    """A block with room for so many series of own metrics."""
    shape = Layout(layout.COMPANION_SLOTS + slots, 2, 200, TIMED_CELLS, own_series=series)
    block, _ = acquire(f"hvd-bench-{uuid.uuid4().hex[:8]}", shape)
    try:
        yield block
    finally:
        block.remove_if_last()


def take_slot(block: Block) -> None:
    """Count in a slot of this process from now on."""
    own_store.attach(block, Slots(block).claim(layout.KIND_WORKER, os.getpid(), os.getpid()))


def serve(name: str) -> None:
    """In a rival's process: measure what each line of the input asks for."""
    with block_for(100) as block:
        if name == FRONT:
            import hvd.prometheus

            hvd.prometheus.install()
        if name == OURS:
            import hvd as module
        else:
            import prometheus_client as module
        if name != THEIRS:
            take_slot(block)
        works = works_of(module)
        for line in sys.stdin:
            work, calls, threads = json.loads(line)
            print(cpu_per_call(works[work], calls, threads), flush=True)


class Rival:
    """A process that measures."""

    def __init__(self, name: str, folder: str) -> None:
        env = {key: value for key, value in os.environ.items() if key != "PROMETHEUS_MULTIPROC_DIR"}
        if name == THEIRS:
            env["PROMETHEUS_MULTIPROC_DIR"] = folder
        command = [sys.executable, str(Path(__file__)), "--serve", name]
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, work: str, calls: int, threads: int) -> float:
        """ns a call."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([work, calls, threads]), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=100_000, help="calls of each variant in a round")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    folder = tempfile.mkdtemp()
    rivals = {name: Rival(name, folder) for name in (THEIRS, FRONT, OURS)}
    try:
        print(machine())
        for threads in (1, 4):
            show(rivals, given.rounds, given.calls, threads)
    finally:
        for rival in rivals.values():
            rival.end()
        shutil.rmtree(folder)


def show(rivals: dict[str, Rival], rounds: int, calls: int, threads: int) -> None:
    lines = [["ns a call (times less CPU)", *rivals]]
    for work in ("inc()", "labels().inc()", "observe()", "set()"):
        measures = {
            name: (lambda rival=rival: rival.measure(work, calls, threads))  # noqa: B023  # called at once
            for name, rival in rivals.items()
        }
        figures = interleave(measures, rounds)
        lines.append(
            [
                work,
                *(
                    f"{statistics.median(found):.1f} ({ratio(figures[THEIRS], found):.1f})"
                    for found in figures.values()
                ),
            ]
        )
    print(table(f"The app's own metrics, {threads} thread{'s' if threads > 1 else ''}", lines))


if __name__ == "__main__":
    main()
