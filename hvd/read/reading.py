"""Reading a daemon's block as a whole: sums, what companions published, health, post-mortems.

The only place that turns the running system into the JSON and the numbers that HTTP and the hub give out. An answer is
made of one reading: each companion's page once, then the rows; so no figure is older than another that it goes with,
and no age is negative.
"""

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from hvd.core import layout, postmortem
from hvd.core.block import Block
from hvd.core.history import Point
from hvd.core.pages import Page
from hvd.core.proc import is_alive, is_stopped
from hvd.core.slots import Slot, Slots
from hvd.core.totals import Reader, Totals
from hvd.metrics.table import FAMILIES
from hvd.read.history import history_of
from hvd.read.snapshot import Json, build_snapshot, merge_observed

HEARTBEAT = 0.25  # s between an aggregator's signs of life
LATE = 1.5  # s without one, after which the daemon counts as degraded
STARTING = 15.0  # s that companions may take to begin, on a machine that is busy

AGGREGATOR_PAGE, JOBS_PAGE = "aggregator", "jobs"
"""What a companion's page is: slots change hands, and a page outlives its writer."""


@dataclass(frozen=True)
class Published:
    """What companions have published and how they are, read once, at one moment.

    `aggregators` are those that live and have published, with their pages; `last` is the newest aggregator's page since
    the daemon started, whether its writer lives or not; `jobs` the newest job runner's, see Queue.figures. Ages are in
    s since a sign of life; None where no companion that lives and isn't stopped ever gave one. `removed` is the block's
    path, where its name is gone; `missing` how many workers asked for can't be started. `have_begun` is true once each
    companion has published since the daemon started.
    """

    aggregators: tuple[tuple[Slot, Json], ...]
    last: Json | None
    jobs: Json | None
    aggregator_age: float | None
    job_runner_age: float | None
    runs_jobs: bool
    uptime: float
    removed: str
    missing: int
    have_begun: bool

    def observed(self) -> Json | None:
        """What the aggregators alive published last; while there is none, what the last one did, without what ended
        with it: WebSocket clients, tasks, and processes that are gone. None if nothing was published since the start.
        """
        own = merge_observed(page for _, page in self.aggregators)
        if own or not self.last:
            return own
        alive = [sample for sample in self.last["processes"] if is_alive(sample["pid"])]
        return {**self.last, "websocket_clients": 0, "tasks": 0, "processes": alive}

    def health(self) -> tuple[str, list[str]]:
        """What /health says of the daemon: healthy, degraded or starting; and what is wrong, a line each."""
        if self._is_starting():
            return "starting", []
        reasons = self.reasons()
        return ("degraded" if reasons else "healthy"), reasons

    def _is_starting(self) -> bool:
        """True until each companion has published for the first time since the daemon started, for some seconds."""
        return not self.have_begun and self.uptime <= STARTING

    def reasons(self) -> list[str]:
        """What is wrong, a line each."""
        reasons = []
        if not self.aggregator_ticks():
            reasons.append("aggregator away: process figures are old, /ws is not served")
        return reasons + self.lacks()

    def lacks(self) -> list[str]:
        """What is wrong beside the aggregator."""
        reasons = []
        if self.removed:
            reasons.append(f"{self.removed} was removed: should hvd be killed, its totals are lost; restart it")
        if self.missing:
            workers = "1 worker" if self.missing == 1 else f"{self.missing} workers"
            reasons.append(f"{workers} asked for can't be started: the log says why")
        return reasons + self.job_troubles()

    def aggregator_ticks(self) -> bool:
        """True while an aggregator gives signs of life, and has published."""
        return self.aggregator_age is not None and self.aggregator_age < LATE and bool(self.aggregators)

    def job_troubles(self) -> list[str]:
        """Why jobs don't run, where kinds of job are declared."""
        if not self.runs_jobs:
            return []
        if self.job_runner_age is None or self.job_runner_age >= LATE:
            return ["job runner away: jobs wait"]
        if self.jobs and self.jobs["trouble"]:
            return [f"{self.jobs['trouble']}: jobs wait"]
        return []


@dataclass(frozen=True)
class Reading:
    """A daemon at one moment: what was published, then the sums."""

    published: Published
    totals: Totals


class View:
    """What any process of the daemon can tell of it. Thread-safe: one read at a time."""

    def __init__(self, block: Block, *, runs_jobs: bool = False) -> None:
        self._block = block
        self._runs_jobs = runs_jobs
        self._slots = Slots(block)
        self._reader = Reader(block, FAMILIES.all)
        self._history = history_of(block)
        self._lock = threading.Lock()

    def read(self) -> Reading:
        """All that an answer needs."""
        published = self.published()
        return Reading(published, self.totals())

    def totals(self) -> Totals:
        """The sums now."""
        with self._lock:
            return self._reader.read()

    def published(self, without: int = -1) -> Published:
        """What companions published; the page of the slot `without` isn't looked at."""
        started = self._block.cells[layout.H_STARTED_MONO]
        companions = self._companions()
        numbers = (number for number in range(layout.COMPANION_SLOTS) if number != without)
        pages = {number: page for number in numbers if (page := self._page(number))}
        since = {number: page for number, page in pages.items() if page["monotonic_ns"] >= started}
        own = [
            (slot, page)
            for slot in companions
            if slot.kind == layout.KIND_AGGREGATOR
            and (page := since.get(slot.number))
            and page["page"] == AGGREGATOR_PAGE
            and page["monotonic_ns"] >= slot.taken_ns  # else its predecessor's
        ]
        last = _newest(since.values(), AGGREGATOR_PAGE)
        return Published(
            tuple(own),
            last,
            # that of a daemon which was killed, too: totals are what they were until the next runner says more
            _newest((pages if self._runs_jobs else since).values(), JOBS_PAGE),
            _age(companions, layout.KIND_AGGREGATOR),
            _age(companions, layout.KIND_JOB_RUNNER),
            self._runs_jobs,
            (time.monotonic_ns() - started) / 1e9,
            "" if self._block.file_name.holds() else str(self._block.path),
            self._block.missing(),
            last is not None and (not self._runs_jobs or _newest(since.values(), JOBS_PAGE) is not None),
        )

    def _companions(self) -> list[Slot]:
        slots = (self._slots.get(number) for number in range(layout.COMPANION_SLOTS))
        return [slot for slot in slots if slot and slot.is_alive()]

    def _page(self, slot: int) -> Json | None:
        data = Page(self._block, slot).read()
        page: Json | None = json.loads(data) if data else None
        return page

    def heartbeat_age(self) -> float | None:
        """Seconds since an aggregator gave a sign of life; None if none that lives and isn't stopped ever did."""
        return _age(self._companions(), layout.KIND_AGGREGATOR)

    def series_limits(self) -> dict[str, int]:
        """How many series each family may have."""
        return {family.key: family.most(self._block.layout.series) for family in FAMILIES.all}

    def history(self) -> list[Point]:
        """The points of the last fifteen minutes."""
        return self._history.read()

    def post_mortems(self) -> list[Json]:
        """The last processes that died at work, newest first."""
        return postmortem.read(self._block)

    def snapshot(self) -> Json:
        """The answer of /api/v1/snapshot."""
        reading, post_mortems = self.read(), self.post_mortems()
        published = reading.published
        return build_snapshot(
            reading.totals,
            published.observed(),
            post_mortems,
            jobs=published.jobs,
            health=published.health()[0],
        )


def _newest(pages: Iterable[Json], what: str) -> Json | None:
    of_that_kind = (page for page in pages if page["page"] == what)
    return max(of_that_kind, key=lambda page: int(page["monotonic_ns"]), default=None)


def _age(companions: Iterable[Slot], kind: int) -> float | None:
    beats = [slot.heartbeat_ns for slot in companions if slot.kind == kind and not is_stopped(slot.pid)]
    newest = max(beats, default=0)
    return (time.monotonic_ns() - newest) / 1e9 if newest else None
