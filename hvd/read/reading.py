"""Reading a daemon's block: the one place that turns the running system into figures for HTTP, the hub and the export.

An answer is made of one Reading: the companions' pages once, then the rows; so no figure is older than another that it
goes with, and no age is negative.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar, cast

from hvd.core import layout, postmortem
from hvd.core.backlog import Backlog, listeners, read_backlog
from hvd.core.beats import beats
from hvd.core.block import Block
from hvd.core.history import Point
from hvd.core.own.figures import NO_OWN, OwnFigures, OwnReader
from hvd.core.pages import Page
from hvd.core.proc import is_stopped
from hvd.core.slots import Slot, Slots
from hvd.core.stacks import StackFile
from hvd.core.totals import Reader, Totals
from hvd.errors import BlockForeign
from hvd.metrics.companion_pages import (
    ADMIN_PAGE,
    AGGREGATOR_PAGE,
    EXPORTER_PAGE,
    JOBS_PAGE,
    AdminPage,
    AggregatorPage,
    ExporterPage,
    JobsPage,
    decode,
)
from hvd.metrics.events import Ends, read_ends
from hvd.metrics.sources import Figures, ServiceFigures
from hvd.metrics.table import FAMILIES
from hvd.read.companions import MASTER_LATE, CompanionStates, SilentMaster
from hvd.read.health import STATUSES, HealthState, judge
from hvd.read.history import history_of
from hvd.read.requests import RequestSums, sum_requests
from hvd.read.saturation import SaturationState, saturation_of
from hvd.read.service import Service, read_service
from hvd.read.stacks import LastStacks

log = logging.getLogger("hvd")


@dataclass(frozen=True)
class Vitals:
    """Whether a daemon works at one moment: its companions, then what its workers do. No sums, so it is cheap."""

    companions: CompanionStates
    service: Service

    @cached_property
    def saturation(self) -> SaturationState:
        """For how long the workers have been saturated."""
        return saturation_of(self.service, self.companions.admins)

    @cached_property
    def health(self) -> HealthState:
        """What /health says."""
        return judge(self.companions, self.service, self.saturation)


@dataclass(frozen=True)
class Reading(Vitals):
    """A daemon at one moment, as one answer shows it: the same, then the sums of all rows. `backlog` is what waits to
    be accepted, None where the kernel doesn't tell; `own` the app's own metrics, where they were asked for; `ends` how
    many processes ended, and how.
    """

    totals: Totals
    backlog: Backlog | None
    own: OwnFigures = NO_OWN
    ends: Ends = field(default_factory=lambda: Ends(planned=0, unplanned=0, failed_boots=0))

    @cached_property
    def requests(self) -> RequestSums:
        """All requests so far."""
        return sum_requests(self.totals)

    @cached_property
    def observation(self) -> AggregatorPage | None:
        """What only the aggregator knows, see CompanionStates.observation."""
        return self.companions.observation()

    @property
    def observed_age(self) -> float | None:
        """Seconds since the aggregator published; None if it did not."""
        return self._age(self.observation["monotonic_ns"]) if self.observation else None

    @property
    def memory_age(self) -> float | None:
        """Seconds since the oldest part of the memory figures was read; None where nothing was published."""
        return self._age(self.observation["memory_ns"]) if self.observation else None

    def figures(
        self, limits: Mapping[str, int], gunicorn: str, job_kinds: Iterable[str] = (), own_limit: int = 0
    ) -> Figures:
        """For the metrics; limits as BlockReader.series_limits and own_limit have them, gunicorn's version, the kinds
        of job.
        """
        return Figures(
            self.totals,
            limits,
            gunicorn,
            self.observation,
            self.observed_age,
            self.memory_age,
            self.companions.jobs,
            aggregator_up=self.companions.aggregator_ticks(),
            job_runner_up=not self.companions.job_troubles(),
            job_kinds=tuple(job_kinds),
            service=self._service_figures(),
            own=self.own,
            own_limit=own_limit,
            exporter=self.companions.exporter,
        )

    def _service_figures(self) -> ServiceFigures:
        return ServiceFigures(
            workers=len(self.service.workers),
            threads=self.service.threads,
            busy=self.service.busy,
            queued=self.service.queued,
            longest_seconds=self.service.longest_seconds,
            saturated_seconds=self.saturation.seconds,
            loop_lag_seconds=self.service.event_loop_lag_seconds,
            joined=self.service.joined,
            waiting_clients=cast(dict[str, int], self.service.waiting_clients),
            backlog=self.backlog,
            open_by_method=self.service.open_by_method,
            health={status: int(status == self.health.status) for status in STATUSES},
        )

    def _age(self, at_ns: int) -> float:
        return round((self.totals.monotonic_ns - at_ns) / 1e9, 3)


class BlockReader:
    """Reads the block of a daemon, in any process that has attached it. Thread-safe: one sum of all rows at a time."""

    def __init__(self, block: Block, *, runs_jobs: bool = False, stacks: StackFile | None = None) -> None:
        """`stacks` is the file in which the daemon's processes leave where their threads stand."""
        self.stacks = LastStacks(block, stacks)
        self._block = block
        self._runs_jobs = runs_jobs
        self._slots = Slots(block)
        self._reader = Reader(block, FAMILIES.all)
        self._history = history_of(block)
        self._lock = threading.Lock()
        self._own: OwnReader | None = None
        self._own_is_damaged = False

    def read(self, *, own: bool = False) -> Reading:
        """A new reading, with the app's own metrics or without. Raises BlockForeign where the catalogue is damaged."""
        vitals = self.vitals()
        figures = self.own() if own else NO_OWN
        return Reading(
            vitals.companions, vitals.service, self.totals(), self.backlog(), figures, read_ends(self._block)
        )

    def vitals(self) -> Vitals:
        """Whether the daemon works now."""
        return Vitals(self.companions(), self.service())

    def service(self) -> Service:
        """What the workers do now, and where in the code, as far as somebody has looked."""
        return read_service(self._block, self.stacks)

    def backlog(self) -> Backlog | None:
        """What waits to be accepted now, None where the kernel doesn't tell."""
        return read_backlog(listeners(self._block))

    def deaths(self) -> int:
        """How many processes have ended unplanned since the daemon started, or failed to boot."""
        ends = read_ends(self._block)
        return ends["unplanned"] + ends["failed_boots"]

    def totals(self) -> Totals:
        """The sums now. Raises BlockForeign where the catalogue is damaged."""
        with self._lock:
            return self._reader.read()

    def own(self) -> OwnFigures:
        """The app's own metrics now; none from the moment on when their catalogue is damaged: all else goes on."""
        with self._lock:  # most readers never ask for them: sums of a whole row are megabytes
            reader = self._own = self._own or OwnReader(self._block)
        if self._own_is_damaged:
            return NO_OWN
        try:
            return reader.read()
        except BlockForeign as error:
            self._own_is_damaged = True
            log.error("hvd: the app's own metrics are shown no more until hvd is restarted: %s", error)
            return NO_OWN

    @property
    def own_limit(self) -> int:
        """How many series one of these may have."""
        return self._block.layout.own_series // 2

    def companions(self, without: int | None = None) -> CompanionStates:
        """The companions now; the page of the slot `without` isn't read."""
        started, slots = self._block.cells[layout.H_STARTED_MONO], self._companion_slots()
        by_slot: dict[int, AggregatorPage] = {}
        jobs, admins, exporters = list[JobsPage](), list[AdminPage](), list[ExporterPage]()
        for number in range(layout.COMPANION_SLOTS):  # free ones too: slots change hands, a page outlives its writer
            page = decode(Page(self._block, number).read()) if number != without else None
            if page and page["page"] == JOBS_PAGE:
                jobs.append(page)
            elif page and page["page"] == ADMIN_PAGE:
                admins.append(page)
            elif page and page["page"] == EXPORTER_PAGE and page["monotonic_ns"] >= started:
                exporters.append(page)
            elif page and page["page"] == AGGREGATOR_PAGE and page["monotonic_ns"] >= started:
                by_slot[number] = page
        last_page = _newest(by_slot.values())
        last_jobs = _newest(page for page in jobs if page["monotonic_ns"] >= started)
        return CompanionStates(
            aggregators=tuple(
                (slot.taken_ns, page)
                for slot in slots
                if slot.kind == layout.KIND_AGGREGATOR
                and (page := by_slot.get(slot.number))
                and page["monotonic_ns"] >= slot.taken_ns  # else its predecessor's
            ),
            last_page=last_page,
            # that of a daemon which was killed, too: totals are what they were until the next runner says more
            jobs=_newest(jobs) if self._runs_jobs else last_jobs,
            admins=tuple(admins),
            aggregator_age=_age(slots, layout.KIND_AGGREGATOR),
            job_runner_age=_age(slots, layout.KIND_JOB_RUNNER),
            admin_server_age=_age(slots, layout.KIND_ADMIN_SERVER),
            admin_has_begun=any(page["monotonic_ns"] >= started for page in admins),
            runs_jobs=self._runs_jobs,
            uptime=(time.monotonic_ns() - started) / 1e9,
            removed="" if self._block.file_name.holds() else str(self._block.path),
            missing=self._block.missing(),
            jobs_have_begun=not self._runs_jobs or last_jobs is not None,
            silent_masters=tuple(_silent_masters(self._block)),
            exporter=_newest(exporters),
            exporter_age=_age(slots, layout.KIND_EXPORTER),
        )

    def _companion_slots(self) -> list[Slot]:
        slots = (self._slots.get(number) for number in range(layout.COMPANION_SLOTS))
        return [slot for slot in slots if slot and slot.is_alive()]

    def heartbeat_age(self) -> float | None:
        """Seconds since an aggregator gave a sign of life; None if none that lives and isn't stopped ever did."""
        return _age(self._companion_slots(), layout.KIND_AGGREGATOR)

    def series_limits(self) -> Mapping[str, int]:
        """How many series each family may have."""
        return {family.key: family.most(self._block.layout.series) for family in FAMILIES.all}

    def history(self) -> list[Point]:
        """The points of the last fifteen minutes."""
        return self._history.read()

    def post_mortems(self) -> Sequence[Mapping[str, object]]:
        """The last processes that died at work, newest first."""
        return postmortem.read(self._block)


def _silent_masters(block: Block) -> Iterator[SilentMaster]:
    """Those that a signal has stopped, and those whose loop doesn't turn, as far as they tell."""
    for beat in beats(block):
        age = max(0, time.monotonic_ns() - beat.turned_ns) / 1e9 if beat.turned_ns else None
        if (stands := is_stopped(beat.pid)) or (age or 0.0) >= MASTER_LATE:
            yield SilentMaster(beat.pid, age, stands)


_Page = TypeVar("_Page", AggregatorPage, JobsPage, ExporterPage)


def _newest(pages: Iterable[_Page]) -> _Page | None:
    return max(pages, key=lambda page: page["monotonic_ns"], default=None)


def _age(companions: Iterable[Slot], kind: int) -> float | None:
    beats = [slot.heartbeat_ns for slot in companions if slot.kind == kind and not is_stopped(slot.pid)]
    newest = max(beats, default=0)
    return (time.monotonic_ns() - newest) / 1e9 if newest else None
