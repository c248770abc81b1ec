"""The aggregator's tick: the figures that it publishes, writes into the history, and tells its clients.

It has no socket and no event loop: what is sent, and when, is the aggregator's (main.py).
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from hvd import __version__
from hvd.agg.news import EventWatch
from hvd.agg.observe import CpuTime, Observer, Sample, Watched
from hvd.agg.own_trend import OwnTrend
from hvd.agg.spans import Lately, Spans
from hvd.agg.trend import Trend, build_detail
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.core.stacks import StackFile
from hvd.core.totals import Totals
from hvd.metrics.columns import DETAILS
from hvd.metrics.companion_pages import AGGREGATOR_PAGE, AggregatorPage
from hvd.metrics.events import read_ends
from hvd.metrics.table import TICK
from hvd.metrics.usual import JOINED
from hvd.read.busy import BusyTime
from hvd.read.companions import CompanionStates
from hvd.read.history import history_of
from hvd.read.jobs import JOB_COUNTS, build_job_totals
from hvd.read.own import shown_families
from hvd.read.reading import BlockReader, Reading
from hvd.read.recent import Look
from hvd.read.requests import RequestSums, sum_queue, sum_requests
from hvd.read.service import Service
from hvd.read.snapshot import Raw, build_raw
from hvd.texts import rfc3339

Result = TypeVar("Result")

GONE = 100  # processes that have ended, of which it has the last figures
PROCESSES = 1000  # with figures of their own; the sums are of all. A page holds some 1,400
GREETING_AGE = 0.1  # s that a client's first messages may be old: so a burst of clients costs one reading, not many


class Ticker:
    """Makes the figures, tick after tick. One thread uses it.

    `publish` puts a page into the block; `clients` and `tasks` count the WebSocket clients and asyncio tasks there are,
    `watchers` the clients that ask for details; `name` has what names the service for people.
    """

    def __init__(
        self,
        block: Block,
        slot: int,
        rows: Rows,
        publish: Callable[[AggregatorPage], None],
        *,
        interval: float,
        runs_jobs: bool,
        clients: Callable[[], int],
        tasks: Callable[[], int],
        watchers: Callable[[], int] = lambda: 0,
        observer: Observer | None = None,
        stacks: StackFile | None = None,
        name: Mapping[str, str] | None = None,
    ) -> None:
        self._block, self._slot, self._rows = block, slot, rows
        self._publish, self._clients, self._tasks, self._watchers = publish, clients, tasks, watchers
        self._slots = Slots(block)
        self._stacks = stacks
        self._reader = BlockReader(block, runs_jobs=runs_jobs, stacks=stacks)
        self._observer = observer or Observer()
        self._cpu_time: CpuTime | None = None
        self._taken_ns = taken.taken_ns if (taken := self._slots.get(slot)) else 0
        self._is_newest = False
        totals = self._reader.totals()
        self._last = self._last_but_one = totals  # of the ticks
        self._requests = sum_requests(totals)  # of the last tick
        self._busy_time = BusyTime(self._reader.service(), self._requests.duration_ns)
        self._interval, self._name = interval, name or {}
        self._trend = Trend(history_of(block), self._requests, interval, lambda: self._is_newest)
        self._spans = Spans(block, interval)
        self.own = OwnTrend(block, lambda: self._is_newest)
        self._own_page: AggregatorPage | None = None
        self._reading: Reading | None = None  # what the messages are made of
        self._made_at = float("-inf")  # monotonic, s
        self.first_messages: tuple[str, ...] = ()  # what a new client gets, see build_first_messages
        self._detail = ""  # made when somebody wants it
        self._events = EventWatch(block)
        self._news = self._events.tick()

    def configure(self, interval: float, *, runs_jobs: bool) -> None:
        """Go on with these settings."""
        self._reader = BlockReader(self._block, runs_jobs=runs_jobs, stacks=self._stacks)
        self._interval = interval
        self._trend.set_interval(interval)
        self._spans.set_interval(interval)

    def measure(self) -> None:
        """Begin to read what is slow to read of the processes, for the next tick; never waits."""
        self._observer.measure(self._watched())

    def close(self) -> None:
        """Measure no more."""
        self._observer.close()

    def observe(self) -> list[Sample]:
        """Sample the processes: a tick's CPU use is that since the sample before."""
        return self._observer.sample(self._watched(), time.monotonic())

    def tick(self, *, is_last: bool = False) -> Raw:
        """Read, observe, publish, and make the messages anew. The last tick is that of a stop."""
        # Our slot, with its page, may have been that of the aggregator before us.
        companions = self._reader.companions(without=self._slot if self._cpu_time else None)
        cpu_time = self._cpu_time = self._cpu_time or CpuTime(self._rows, companions.last_page, PROCESSES)
        service, totals = self._reader.service(), self.timed("read", self._reader.totals)
        samples = self.timed("observe", self.observe)
        requests = sum_requests(totals)
        self._own_page = self._make_page(service, totals, requests, samples)
        self.timed("spans", lambda: self._tick_spans(totals, requests))
        self._requests, self._last_but_one, self._last = requests, self._last, totals
        self._publish(self._own_page)
        self._news = self._events.tick()
        # During an upgrade the newer of two aggregators counts and writes the history, once it has published.
        self._is_newest = all(taken_ns < self._taken_ns for taken_ns, _ in companions.aggregators)
        # The page comes first: a kill in between then loses some CPU time, which is better than counting it twice.
        cpu_time.count(samples[:PROCESSES], counts=self._is_newest)
        raw = self._make_messages(companions, service, totals)
        self._trend.tick(totals.time_ns, requests, raw, is_last=is_last)
        self.timed("own", self._tick_own)
        return raw

    def _tick_spans(self, totals: Totals, requests: RequestSums) -> None:
        """Before the page is published: it has the last minute, and another aggregator sees then that we are newer."""
        page = self._own_page
        assert page is not None
        busy = page["busy_ratio"], (totals.monotonic_ns - self._last.monotonic_ns) / 1e9
        page["last_minute"], page["minute_before"] = self._spans.tick(
            totals, requests, page["processes"], busy, is_writer=self._is_newest
        )

    def _tick_own(self) -> None:
        """Read own metrics, if a client or a pin needs them."""
        if self._watchers() or self.own.pinned:
            point = self._trend.point
            # at the time of the point, though they are read a little later: else its rate were of another span than its
            self.own.tick(self._look(self._last.monotonic_ns), point.time_ns if point else None)
        else:
            self.own.pause()

    def _look(self, at_ns: int) -> Look:
        """The own metrics of now, as those of that time (monotonic)."""
        return Look(at_ns, tuple(shown_families(self._reader.own())))

    def _make_page(
        self, service: Service, totals: Totals, requests: RequestSums, samples: list[Sample]
    ) -> AggregatorPage:
        seconds = (totals.monotonic_ns - self._last.monotonic_ns) / 1e9
        span = requests.since(self._requests)
        own = [sample for sample in samples if sample.kind != JOINED]
        return {
            "page": AGGREGATOR_PAGE,
            "monotonic_ns": totals.monotonic_ns,
            "timestamp": rfc3339(totals.time_ns),
            "interval_seconds": round(seconds, 3),
            "rates": span.rates(seconds),
            "last_minute": None,
            "minute_before": None,
            "with_open": span.with_open(service.ages_ns),
            "queue_times": sum_queue(totals).since(sum_queue(self._last)).queue_times(),
            "busy_ratio": self._busy_time.ratio(service, requests.duration_ns),
            "cpu_usage": round(sum(sample.cpu_percent or 0.0 for sample in own), 2),
            "memory_usage": sum(sample.memory for sample in own),
            "memory_ns": min((sample.sized_ns for sample in own if sample.sized_ns), default=totals.monotonic_ns),
            "threads": sum(sample.threads or 0 for sample in own),
            "tasks": self._tasks(),
            "websocket_clients": self._clients(),
            "processes": [sample.published() for sample in samples[:PROCESSES]],
            "gone": [sample.published() for sample in self._observer.ended[:GONE]],
        }

    def _make_messages(self, companions: CompanionStates, service: Service, totals: Totals) -> Raw:
        """`companions` are the other ones: this process knows that it lives itself."""
        if self._own_page:
            companions = companions.with_page(self._taken_ns, {**self._own_page, "websocket_clients": self._clients()})
        self._reading = Reading(companions, service, totals, self._reader.backlog(), ends=read_ends(self._block))
        raw = build_raw(self._reading)
        self.first_messages = build_first_messages(raw, self._interval, self._name)
        self._detail, self._made_at = "", time.monotonic()
        return raw

    def refresh(self) -> Raw | None:
        """Make the messages anew, unless they are still fresh enough for a new client. -> what they say."""
        if time.monotonic() - self._made_at <= GREETING_AGE:
            return None
        companions = self._reader.companions(without=self._slot)
        return self._make_messages(companions, self._reader.service(), self._reader.totals())

    @property
    def detail(self) -> str:
        """The details of what the messages tell; rates are since the tick before the last one, an interval at least."""
        if not self._detail and self._reading:
            own = self.own.detail(self._look(time.monotonic_ns()))
            lately = self._lately(self._reading)
            data = build_detail(self._reading, self._last_but_one, self._trend.point, own, self._news, lately)
            self._detail = message("detail", rfc3339(self._reading.totals.time_ns), data)
        return self._detail

    def _lately(self, reading: Reading) -> Lately | None:
        processes = self._own_page["processes"] if self._own_page else []
        return self._spans.lately(reading.totals, reading.requests, processes)

    def timed(self, step: str, work: Callable[[], Result]) -> Result:
        """Do a step of the tick, and count how long it took."""
        start = time.monotonic_ns()
        result = work()
        self._rows.record(TICK, (step,), time.monotonic_ns() - start)
        return result

    def _watched(self) -> list[Watched]:
        masters = self._block.cells[layout.H_MASTERS : layout.H_MASTERS + layout.MASTERS].tolist()
        watched = [Watched("master", number, pid) for number, pid in enumerate(masters) if pid]
        slots = (slot for slot in self._slots.taken() if slot.pid and slot.kind != layout.KIND_MASTER)
        return watched + [Watched(slot.kind_name, slot.number, slot.pid) for slot in slots]


def message(kind: str, timestamp: str, data: Mapping[str, object]) -> str:
    """A message of that type."""
    return json.dumps({"type": kind, "timestamp": timestamp, "data": data}, separators=(",", ":"))


def build_first_messages(raw: Raw, interval: float, name: Mapping[str, str]) -> tuple[str, str, str]:
    """What a new client gets at once; the first of them, `metrics`, is what all get every `interval` s. `name` has what
    people know the service by.
    """
    at = raw["timestamp"]
    status: dict[str, object] = {
        "version": __version__,
        "system_health": raw["system_health"],
        "uptime_seconds": raw["uptime_seconds"],
        "requests": raw["requests"],
        **{name: raw[name] for name in JOB_COUNTS},
        **build_job_totals(raw),
        "timestamp": at,
        "health": raw["health"],
        "reasons": raw["reasons"],
        "interval_seconds": interval,
        "columns": DETAILS,
        **name,
    }
    return (
        message("metrics", at, {"raw": raw}),
        message("status", at, status),
        message("jobs", at, {"jobs": raw["recent_jobs"]}),
    )
