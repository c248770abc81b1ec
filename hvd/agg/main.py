"""The aggregator process: adds the rows up, observes the processes, publishes, broadcasts.

A companion (hvd/companion) that inherits the hub's end of the hand-off and the reader's end of the job events.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from hvd import __version__
from hvd.agg.hub import Hub
from hvd.agg.observe import CpuTime, Observer, Sample, Watched
from hvd.agg.options import EVENTS, HANDOFF, AggregatorOptions
from hvd.agg.trend import Trend, build_detail
from hvd.agg.updates import JobUpdates
from hvd.companion import loop
from hvd.companion.child import Child
from hvd.core import layout
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.core.totals import Totals
from hvd.metrics.columns import DETAILS
from hvd.metrics.table import (
    FAMILIES,
    HANDOFFS_REFUSED,
    TICK,
    WS_CONNECTED,
    WS_DISCONNECTED,
    WS_DROPPED,
    WS_FRAMES,
    is_error,
)
from hvd.read.history import history_of
from hvd.read.reading import AGGREGATOR_PAGE, Published, View
from hvd.read.snapshot import JOB_COUNTS, Json, build_raw, http_sums, merge_observed, rates, shown_job
from hvd.texts import rfc3339

Result = TypeVar("Result")

log = logging.getLogger("hvd.aggregator")

LEAD = 0.1  # s before a tick at which sizes of processes begin to be read, so that those of new ones are there in time
WARM_UP = 0.2  # s between the first sample and the first tick: CPU use is a difference of two samples

SHOWN_PROCESSES = 1000  # with figures of their own; the sums are of all. A page holds some 1,400
GREETING_AGE = 0.1  # s that a client's first message may be old: so a burst of clients costs one reading, not many


class Counters:
    """The hub's counters, in the aggregator's own row."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def responding(self, status: str) -> None:
        self._rows.count_response(("GET", "/ws", status), is_error(status))
        if status != "101":
            self._rows.count(HANDOFFS_REFUSED, (status,))

    def connected(self) -> None:
        self._rows.count(WS_CONNECTED)

    def disconnected(self, reason: str) -> None:
        self._rows.count(WS_DISCONNECTED, (reason,))

    def frame_sent(self, n: int) -> None:
        self._rows.count(WS_FRAMES, (), n)

    def frame_dropped(self) -> None:
        self._rows.count(WS_DROPPED)


class Aggregator:
    """One tick after the other. All of it runs in one asyncio loop."""

    def __init__(self, child: Child[AggregatorOptions]) -> None:
        self._child, self._block, self._slot = child, child.block, child.slot
        options = child.options
        self._slots = Slots(self._block)
        self._view = View(self._block, runs_jobs=options.runs_jobs)
        self._rows = Rows(self._block, self._slot, FAMILIES)
        self._observer = Observer()
        self._cpu_time: CpuTime | None = None
        self._taken_ns = taken.taken_ns if (taken := self._slots.get(self._slot)) else 0
        self._is_newest = False
        totals = self._view.totals()
        self._before = self._mark(totals)
        self._ticked = self._ticked_before = totals
        self._trend = Trend(history_of(self._block), totals, options.interval, lambda: self._is_newest)
        self._updates: JobUpdates | None = None
        self._own: Json = {}  # what our page says
        self._frames: tuple[str, ...] = ()
        self._shown: tuple[Totals, Json] = (totals, {})  # what the frames are made of
        self._detail_frame = ""  # made when somebody wants it
        self._framed = float("-inf")
        self._is_stopping = False
        self._news = asyncio.Event()  # there are other options, or it is to stop
        self.hub = Hub(
            counters=Counters(self._rows),
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            max_clients=options.max_clients,
            greeting=self._greeting,
        )

    async def run(self) -> None:
        """Tick until told to stop, then close the clients' connections."""
        log.debug("aggregator %d ready", os.getpid())
        hub_end, event_reader = self._child.socket(HANDOFF), self._child.socket(EVENTS)
        self._observe()
        self._observer.measure(self._watched())
        await asyncio.sleep(min(WARM_UP, self._child.options.interval))
        self.tick()
        self.hub.listen(hub_end)
        self._updates = JobUpdates(event_reader, self._send_update)
        await self._tick_until_stopped()
        self._updates.close()
        await self.hub.close()

    def stop(self) -> None:
        """Let `run` return soon."""
        self._is_stopping = True
        self._news.set()

    def reload(self) -> None:
        """Go on with the child's options of now; clients stay connected, even if fewer are allowed."""
        options = self._child.options
        self._view = View(self._block, runs_jobs=options.runs_jobs)
        self._trend.set_interval(options.interval)
        self.hub.set_limits(options.max_clients, options.ping_interval, options.ping_timeout)
        self._news.set()

    async def _tick_until_stopped(self) -> None:
        due = float("inf")
        while not self._is_stopping:
            self._news.clear()
            interval = self._child.options.interval
            due = min(due, time.monotonic() + interval)
            if await self._is_interrupted(due - min(LEAD, interval / 4)):
                continue
            self._observer.measure(self._watched())
            if await self._is_interrupted(due):
                continue
            self.tick()
            late = time.monotonic() - due
            due += interval * (1 + int(late // interval))  # beats that were missed are skipped, the rhythm stays

    async def _is_interrupted(self, deadline: float) -> bool:
        """Wait until that monotonic time -> whether there was news before."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), max(0.0, deadline - time.monotonic()))
        return self._news.is_set()

    def tick(self) -> None:
        """Read, observe, publish, broadcast."""
        if self._cpu_time is None:  # the slot that we have, and its page, may have been that of the one before us
            self._cpu_time = CpuTime(self._rows, self._view.published().last, SHOWN_PROCESSES)
        published = self._view.published(without=self._slot)
        totals = self._timed("read", self._view.totals)
        samples = self._timed("observe", self._observe)
        mark = self._mark(totals)
        self._own = self._observed(totals, mark, samples)
        self._before = mark
        self._ticked_before, self._ticked = self._ticked, totals
        self._child.publish(self._own)
        # Of two, during an upgrade, the newer one counts and writes the history, once it has published.
        self._is_newest = all(slot.taken_ns < self._taken_ns for slot, _ in published.aggregators)
        # The page comes first: killed between the two, some time is left out. Counted twice it would be told for ever.
        self._cpu_time.count(samples[:SHOWN_PROCESSES], counts=self._is_newest)
        raw = self._make_frames(published, totals)
        self._trend.tick(totals, mark[1], raw)
        self._timed("broadcast", lambda: self.hub.broadcast(self._frames[0]))
        if self.hub.detailed_clients:
            self.hub.broadcast(self._detail(), detailed=True)

    def _observed(self, totals: Totals, mark: tuple[int, Json, int], samples: list[Sample]) -> Json:
        """What this tick publishes; `mark` is of its totals."""
        at_ns, before, errors = self._before
        seconds = (totals.monotonic_ns - at_ns) / 1e9
        return {
            "page": AGGREGATOR_PAGE,
            "monotonic_ns": totals.monotonic_ns,
            "timestamp": rfc3339(totals.time_ns),
            "interval_seconds": round(seconds, 3),
            "rates": rates(mark[1], before, seconds, mark[2] - errors),
            "cpu_usage": round(sum(sample.cpu_percent or 0.0 for sample in samples), 2),
            "memory_usage": sum(
                (sample.resident or 0) if sample.proportional is None else sample.proportional for sample in samples
            ),
            "memory_ns": min((sample.sized_ns for sample in samples if sample.sized_ns), default=totals.monotonic_ns),
            "threads": sum(sample.threads or 0 for sample in samples),
            "tasks": len(asyncio.all_tasks()),
            "websocket_clients": self.hub.clients,
            "processes": [sample.as_dict() for sample in samples[:SHOWN_PROCESSES]],
        }

    def _make_frames(self, published: Published, totals: Totals) -> Json:
        """The frames for clients; `published` is what others than we ourselves did."""
        own = {**self._own, "websocket_clients": self.hub.clients} if self._own else None
        observed = merge_observed([*(page for _, page in published.aggregators), *([own] if own else [])])
        reasons = published.lacks()  # that we live ourselves, we know
        raw = build_raw(totals, observed, healthy=not reasons, jobs=published.jobs)
        if self._updates:
            self._updates.take(raw["recent_jobs"])
        status = {name: raw[name] for name in ("system_health", "uptime_seconds", "requests", *JOB_COUNTS)}
        self._frames = (
            message("metrics", raw["timestamp"], {"raw": raw}),
            message(
                "status",
                raw["timestamp"],
                {"version": __version__, **status, "reasons": reasons, "columns": DETAILS},
            ),
            message("jobs", raw["timestamp"], {"jobs": raw["recent_jobs"]}),
        )
        self._shown, self._detail_frame = (totals, observed or {}), ""
        self._framed = time.monotonic()
        return raw

    def _detail(self) -> str:
        """The details of what the frames show; rates are since the tick before the last one, an interval at least."""
        if not self._detail_frame:
            totals, observed = self._shown
            data = build_detail(totals, self._ticked_before, observed, self._trend.point)
            self._detail_frame = message("detail", rfc3339(totals.time_ns), data)
        return self._detail_frame

    def _greeting(self, detailed: bool) -> tuple[str, ...]:
        """A new client's first messages, with the counts of now; clients that come together share them."""
        if time.monotonic() - self._framed > GREETING_AGE:
            published = self._view.published(without=self._slot)
            self._make_frames(published, self._view.totals())
        return (*self._frames, self._detail()) if detailed else self._frames

    def _send_update(self, job: Json) -> None:
        self.hub.broadcast(message("job_update", rfc3339(time.time_ns()), shown_job(job)))

    @staticmethod
    def _mark(totals: Totals) -> tuple[int, Json, int]:
        """What the next tick's rates are measured from: time in ns, sums, errors."""
        return totals.monotonic_ns, http_sums(totals), totals.heads.errors

    def _timed(self, step: str, work: Callable[[], Result]) -> Result:
        start = time.monotonic_ns()
        result = work()
        self._rows.record(TICK, (step,), time.monotonic_ns() - start)
        return result

    def _observe(self) -> list[Sample]:
        return self._observer.sample(self._watched(), time.monotonic())

    def _watched(self) -> list[Watched]:
        masters = enumerate(self._block.cells[layout.H_MASTERS : layout.H_MASTERS + layout.MASTERS].tolist())
        taken = ((slot.kind_name, slot.number, slot.pid) for slot in self._slots.taken())
        return [Watched(*process) for process in (*(("master", *master) for master in masters), *taken) if process[2]]


def message(kind: str, timestamp: str, data: Json) -> str:
    """A message to WebSocket clients."""
    return json.dumps({"type": kind, "timestamp": timestamp, "data": data}, separators=(",", ":"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Returns the exit status."""
    return loop.run(Child.begin("hvd.agg", (HANDOFF, EVENTS), AggregatorOptions, arguments), _begin)


def _begin(child: Child[AggregatorOptions]) -> Aggregator:
    aggregator = Aggregator(child)
    gc.freeze()  # what is loaded by now stays: the collector need not look at it again
    return aggregator
