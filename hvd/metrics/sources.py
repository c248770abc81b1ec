"""The values of metrics that no family counts: functions of a daemon's Figures, all of one moment."""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import product
from typing import NamedTuple

from hvd import __version__
from hvd.core.backlog import Backlog
from hvd.core.catalogue import Series
from hvd.core.own.figures import NO_OWN, OwnFigures
from hvd.core.totals import Totals
from hvd.metrics.companion_pages import JOB_DURATIONS, AggregatorPage, ExporterPage, JobsPage, ProcessSample
from hvd.metrics.usual import JOB_ENDED, JOB_OPEN


@dataclass(frozen=True)
class ServiceFigures:
    """What the workers do: how many live and have booted, their threads, those that are busy, requests that wait for
    one, the age of the oldest request in progress, for how long all are busy; how late an event loop is, None where
    there is none; processes that have joined; clients that are waited for by state; the backlog, None where the kernel
    doesn't tell; and 1 for the state of health that holds. `open_by_method` are the requests in progress, as far as
    their methods are known.
    """

    workers: int = 0
    threads: int = 0
    busy: int = 0
    queued: int = 0
    longest_seconds: float = 0.0
    saturated_seconds: float = 0.0
    loop_lag_seconds: float | None = None
    joined: int = 0
    waiting_clients: Mapping[str, int] = field(default_factory=dict)
    backlog: Backlog | None = None
    health: Mapping[str, int] = field(default_factory=dict)
    open_by_method: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """A daemon's figures, all of one moment. `limits` says how many series each family may have; `observation` and
    `jobs` are None while nothing is published, and the ages, in s, while there is no observation. `job_kinds` are those
    declared. `own` are the app's own metrics, each of which may have `own_limit` series; `hidden` the names of those
    that are not shown, since they are taken. `exporter` is what the exporter of metrics tells, where there is one.
    """

    totals: Totals
    limits: Mapping[str, int]
    gunicorn: str
    observation: AggregatorPage | None = None
    observed_age: float | None = None
    memory_age: float | None = None
    jobs: JobsPage | None = None
    aggregator_up: bool = False
    job_runner_up: bool = False
    service: ServiceFigures = ServiceFigures()
    job_kinds: Sequence[str] = ()
    own: OwnFigures = NO_OWN
    own_limit: int = 0
    hidden: Sequence[str] = ()
    exporter: ExporterPage | None = None

    @cached_property
    def series(self) -> Mapping[str, list[Series]]:
        """The series of each family, by its key."""
        by_family: dict[str, list[Series]] = {family: [] for family in self.limits}
        for series in self.totals.series:
            by_family.setdefault(series.family, []).append(series)
        return by_family


class Distribution(NamedTuple):
    """A sample of a histogram: counts that are not cumulative, by upper bound and one more above; and their sum."""

    bounds: Sequence[float | str]
    counts: Sequence[int]
    total: float


Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float | Distribution]]
"""Label values, and the value that goes with them."""

Source = Callable[[Figures], Samples | None]
"""Gives None where the figures aren't there: then the metric is left out."""


def value_of(of: Callable[[Figures], float]) -> Source:
    """One sample without labels."""
    return lambda figures: [((), of(figures))]


def observed_of(of: Callable[[AggregatorPage], float]) -> Source:
    """One sample of what the aggregator observes."""
    return lambda figures: None if figures.observation is None else [((), of(figures.observation))]


def exported_of(of: Callable[[ExporterPage], float]) -> Source:
    """One sample of what the exporter tells, while it has a receiver."""

    def samples(figures: Figures) -> Samples | None:
        page = figures.exporter
        return [((), of(page))] if page and page["is_on"] else None

    return samples


def of_service(of: Callable[[ServiceFigures], float | None]) -> Source:
    """One sample of what the workers do, where it is known."""
    return lambda figures: None if (value := of(figures.service)) is None else [((), value)]


def backlog_of(of: Callable[[Backlog], int]) -> Source:
    """One sample, where the kernel tells."""
    return lambda figures: None if figures.service.backlog is None else [((), of(figures.service.backlog))]


def by_name(of: Callable[[Figures], Mapping[str, int]]) -> Source:
    """A sample for each name."""
    return lambda figures: [((name,), number) for name, number in of(figures).items()]


def processes_by_kind(figures: Figures) -> Samples | None:
    """How many processes of each kind the aggregator observes."""
    if figures.observation is None:
        return None
    kinds = [process["kind"] for process in figures.observation["processes"]]
    return [((kind,), kinds.count(kind)) for kind in sorted(set(kinds))]


def process_values(of: Callable[[ProcessSample], float | None]) -> Source:
    """A sample for each process that has a slot, by kind and slot, as far as it could be read."""

    def samples(figures: Figures) -> Samples | None:
        if figures.observation is None:
            return None
        processes = [process for process in figures.observation["processes"] if process["slot"] is not None]
        values = (((process["kind"], str(process["slot"])), of(process)) for process in processes)
        return [(labels, value) for labels, value in values if value is not None]

    return samples


def by_family(of: Callable[[Figures, str], int]) -> Source:
    """A sample for each family."""
    return lambda figures: [((family,), of(figures, family)) for family in figures.limits]


def overflowed(figures: Figures, family: str) -> int:
    """Counts that fell into the family's overflow series."""
    cells = figures.totals.cells
    return sum(cells[series.offset] for series in figures.series[family] if series.is_overflow)


def by_own_family(of: Callable[[OwnFigures], Mapping[str, float]]) -> Source:
    """A sample for each own metric that has any, by its name."""
    return lambda figures: [((name,), value) for name, value in of(figures.own).items()] or None


def own_limit(figures: Figures) -> Samples | None:
    """How many series an own metric may have; nothing where there is no room for any."""
    return [((), figures.own_limit)] if figures.own_limit else None


def conflicts(figures: Figures) -> Samples | None:
    """How many declarations of a name are not shown: they disagree with the first, or the name is another's."""
    number = Counter(figures.own.conflicts)
    number.update(figures.hidden)
    return [((name,), count) for name, count in sorted(number.items())] or None


def open_connections(figures: Figures) -> Samples:
    """Connections of the app that are open, by kind and route. A process that is dead has none."""
    runs = ((series.labels, figures.totals.run(series)) for series in figures.series["connections"])
    return [(labels, max(0, run[0] - run[1])) for labels, run in runs if run[0]]


@cache
def _python_version() -> str:
    return platform.python_version()


def jobs_of(of: Callable[[JobsPage, Figures], Samples]) -> Source:
    """Samples of the jobs' page; none until the job runner has read its database: a total that began with 0 would
    then jump.
    """
    return lambda figures: of(figures.jobs, figures) if figures.jobs and figures.jobs["read_ns"] else None


def _zeros(figures: Figures, statuses: Sequence[str]) -> dict[Labels, int]:
    """0 for each declared kind and status."""
    return dict.fromkeys(product(figures.job_kinds, statuses), 0)


def open_jobs(page: JobsPage, figures: Figures) -> Samples:
    """Jobs that are pending or running, by kind and status."""
    rows: dict[Labels, int] = {(row.kind, row.status): row.number for row in page["open"]}
    return sorted((_zeros(figures, JOB_OPEN) | rows).items())


def oldest_pending(page: JobsPage, figures: Figures) -> Samples:
    """The age in s of the oldest pending job, as of the figures' moment."""
    age = page["oldest_pending_seconds"]
    since = max(0, figures.totals.monotonic_ns - page["read_ns"]) / 1e9
    return [((), 0.0 if age is None else round(age + since, 3))]


def ended_jobs(page: JobsPage, figures: Figures) -> Samples:
    """Jobs that this daemon brought to an end, by kind and status."""
    ended = _zeros(figures, JOB_ENDED)
    for row in page["own"]:
        ended[row.kind, row.status] = ended.get((row.kind, row.status), 0) + row.number
    return sorted(ended.items())


def job_durations(page: JobsPage, figures: Figures) -> Samples:
    """How long these jobs ran: one that never ran has the bucket -1, and took no time.

    Kinds and statuses without a job are left out: they would be fifteen lines each, and hvd_jobs_total has their 0.
    """
    ended: dict[Labels, tuple[list[int], list[float]]] = {}
    for row in page["own"]:
        counts, seconds = ended.setdefault((row.kind, row.status), ([0] * (len(JOB_DURATIONS) + 1), []))
        seconds.append(row.seconds)
        if row.bucket >= 0:
            counts[row.bucket] += row.number
    return [
        (labels, Distribution(JOB_DURATIONS, counts, sum(seconds)))
        for labels, (counts, seconds) in sorted(ended.items())
    ]


def build_info(figures: Figures) -> Samples:
    """Version of hvd, of Python and of gunicorn."""
    return [((__version__, _python_version(), figures.gunicorn), 1)]
