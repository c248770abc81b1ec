"""Shared by tests of what is made of sums: totals and observations without a block behind them."""

import json
import math
import os
import random
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hvd.companion.child import as_json
from hvd.core import layout
from hvd.core.backlog import Backlog
from hvd.core.block import Block
from hvd.core.catalogue import OVERFLOW, Series
from hvd.core.durations import BOUNDS, BUCKETS
from hvd.core.pages import Page
from hvd.core.slots import Entry, Slot, Slots
from hvd.core.totals import Heads, SlotTotals, Totals
from hvd.metrics.companion_pages import AdminPage, AggregatorPage, ExporterPage, JobsPage, ProcessSample, decode
from hvd.metrics.sources import Figures
from hvd.metrics.table import FAMILIES
from hvd.read.companions import CompanionStates
from hvd.read.reading import Reading
from hvd.read.service import OpenRequest, Service, WorkerState

SECOND = 10**9
NOW = 1_769_200_200 * SECOND  # 2026-01-23T20:30:00Z
STARTED = 100 * SECOND  # monotonic; the reading is 50 s later


def timed(*durations_ns: int, responses: int | None = None) -> list[int]:
    """The cells of a timed series: these durations, and as many responses unless said otherwise."""
    buckets = [0] * BUCKETS
    for ns in durations_ns:
        buckets[bisect_left(BOUNDS, ns)] += 1
    return [len(durations_ns) if responses is None else responses, sum(durations_ns), *buckets]


def between(random_: random.Random, low: float, high: float) -> int:
    """A duration in ns, as likely in one decade as in another."""
    return round(math.exp(random_.uniform(math.log(low), math.log(high))))


def make_totals(
    counted: Mapping[tuple[str, ...], list[int]],
    heads: Heads | None = None,
    slots: tuple[SlotTotals, ...] = (),
    seconds: float = 50.0,
) -> Totals:
    """Totals in which each (family, *label values) has these cells, read so many seconds after the start."""
    cells, series = [0] * layout.HEAD_CELLS + timed(), []
    for (family, *labels), values in counted.items():
        assert len(values) == next(known.cells for known in FAMILIES.all if known.key == family)
        series.append(Series(family, tuple(labels), len(cells), len(values), set(labels) == {OVERFLOW}))
        cells += values
    view = memoryview(bytearray(8 * len(cells))).cast("q")
    for index, value in enumerate(cells):
        view[index] = value
    after = round(seconds * SECOND)
    return Totals(NOW, STARTED + after, NOW - after, STARTED, STARTED, view, tuple(series), heads or Heads(), slots)


def make_worker(pid: int, heads: Heads | None = None, busy: tuple[Entry, ...] = ()) -> SlotTotals:
    """A worker that took its slot 10 s after the daemon's start."""
    slot = Slot(8, layout.KIND_WORKER, pid, 1, 1, 1, STARTED + 10 * SECOND, 0, (0, 0, 0, 0))
    return SlotTotals(slot, heads or Heads(), busy)


def make_sample(kind: str, pid: int, **values: Any) -> ProcessSample:
    """What an aggregator publishes of one process."""
    sample: ProcessSample = {
        "kind": kind,
        "slot": 8,
        "pid": pid,
        "started": 1234,
        "cpu_percent": 1.5,
        "cpu_seconds": 2.25,
        "resident": 30_000_000,
        "proportional": 20_000_000,
        "threads": 3,
        "fds": 11,
        "start_time": 1_769_200_100.5,
    }
    return {**sample, **values}  # type: ignore[typeddict-item]


def make_page(*processes: ProcessSample, **values: Any) -> AggregatorPage:
    """What an aggregator published one second before the reading of `make_totals`."""
    page: AggregatorPage = {
        "page": "aggregator",
        "monotonic_ns": STARTED + 49 * SECOND,
        "timestamp": "2026-01-23T20:29:59Z",
        "interval_seconds": 2.0,
        "rates": {
            "requests_per_second": 5.0,
            "error_rate": 0.5,
            "server_error_rate": 0.25,
            "client_error_rate": 0.25,
            "p50": 1.0,
            "p90": 2.0,
            "p99": 3.0,
        },
        "last_minute": None,
        "minute_before": None,
        "with_open": {"p50_with_open": 1.5, "p90_with_open": 2.5, "p99_with_open": 18000.0},
        "queue_times": {"queue_time_p50": 4.5, "queue_time_p99": 250.0},
        "busy_ratio": 0.75,
        "cpu_usage": 12.5,
        "memory_usage": 40_000_000,
        "memory_ns": STARTED + 47 * SECOND,
        "threads": 7,
        "tasks": 2,
        "websocket_clients": 4,
        "processes": list(processes),
        "gone": [],
    }
    return {**page, **values}  # type: ignore[typeddict-item]


def make_jobs(**values: Any) -> JobsPage:
    """What a job runner published when the daemon had just started; rows are given as lists."""
    page = decode(json.dumps({"page": "jobs", "monotonic_ns": STARTED, **values}).encode())
    assert page
    assert page["page"] == "jobs"
    return page


def make_admin() -> AdminPage:
    """What an admin server publishes while nothing is saturated."""
    page = decode(json.dumps({"page": "admin", "monotonic_ns": STARTED}).encode())
    assert page
    assert page["page"] == "admin"
    return page


def make_exporter(**values: Any) -> ExporterPage:
    """What an exporter publishes whose receiver takes metrics."""
    page = decode(json.dumps({"page": "exporter", "monotonic_ns": STARTED, "is_on": True, **values}).encode())
    assert page
    assert page["page"] == "exporter"
    return page


KINDS = {
    "aggregator": layout.KIND_AGGREGATOR,
    "jobs": layout.KIND_JOB_RUNNER,
    "admin": layout.KIND_ADMIN_SERVER,
    "exporter": layout.KIND_EXPORTER,
}
"""Of the companions, by the kinds of their pages."""


def publish(block: Block, page: AggregatorPage | JobsPage | AdminPage | ExporterPage) -> int:
    """Be, in this process, a companion that publishes this now -> its slot."""
    slots = Slots(block)
    slot = slots.claim(KINDS[page["page"]], os.getpid(), os.getpid())
    slots.beat(slot)
    page["monotonic_ns"] = time.monotonic_ns()
    Page(block, slot).write(as_json(page))
    return slot


def start_worker(block: Block, threads: int = 4) -> int:
    """Be, in this process, a worker that has booted -> its slot."""
    slots = Slots(block)
    slot = slots.claim(layout.KIND_WORKER, os.getpid(), os.getpid())
    slots.say_ready(slot, threads)
    return slot


def make_figures(
    totals: Totals,
    page: AggregatorPage | None = None,
    jobs: JobsPage | None = None,
    *,
    limits: Mapping[str, int] | None = None,
    aggregator_up: bool = True,
    job_runner_up: bool = True,
) -> Figures:
    """What /metrics is made of, where each family may have 64 series."""
    figures = make_reading(totals, page, jobs=jobs).figures(
        limits or {family.key: 64 for family in FAMILIES.all}, "27.0"
    )
    return replace(figures, aggregator_up=aggregator_up, job_runner_up=job_runner_up)


def make_reading(
    totals: Totals, page: AggregatorPage | None = None, service: Service | None = None, **companions: Any
) -> Reading:
    """A reading of a daemon whose aggregator, if it has published, ticks."""
    aggregators = ((STARTED, page),) if page else ()
    well = {"aggregator_age": 0.1, "admin_server_age": 0.1, "jobs_have_begun": True, "admin_has_begun": True}
    states = CompanionStates(aggregators, page, **{**well, "uptime": 60.0, **companions})
    return Reading(states, service or make_service(), totals, Backlog(3, 2048))


def make_service(*requests: OpenRequest, threads: int = 4, clients: tuple[int, ...] = (0,) * layout.CLIENTS) -> Service:
    """What one worker does when the reading of `make_totals` is made."""
    return Service(STARTED + 50 * SECOND, [WorkerState(12, STARTED, threads, clients, requests)])


def make_request(age: float, text: str = "GET /slow", number: int = 1) -> OpenRequest:
    """A request that this worker has in progress for so many seconds."""
    return OpenRequest(11, 12, STARTED, STARTED + round((50 - age) * SECOND), text, number)
