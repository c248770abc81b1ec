"""Every metric: name, kind, unit, label names, help, and where its value comes from. /metrics and README list them so.

What is counted in the block is a Family, found by its `key`. All of them are counters, and merge by adding up: the rows
of all slots, of processes alive and gone. The other metrics are functions of Figures: of the heads of the rows, of what
companions have published, of the block itself.
"""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import product
from typing import Literal, NamedTuple

from hvd import __version__
from hvd.core.backlog import Backlog
from hvd.core.catalogue import Families, Family, Series
from hvd.core.durations import TIMED_CELLS
from hvd.core.totals import Totals
from hvd.metrics.companion_pages import JOB_DURATIONS, AggregatorPage, JobsPage, ProcessSample
from hvd.metrics.usual import JOB_ENDED, JOB_OPEN


@dataclass(frozen=True)
class ServiceFigures:
    """What the workers do: how many live and have booted, their threads, those that are busy, requests that wait for
    one, the age of the oldest request in progress, for how long all are busy, clients that are waited for by state; the
    backlog, None where the kernel doesn't tell; and 1 for the state of health that holds.
    """

    workers: int = 0
    threads: int = 0
    busy: int = 0
    queued: int = 0
    longest_seconds: float = 0.0
    saturated_seconds: float = 0.0
    waiting: Mapping[str, int] = field(default_factory=dict)
    backlog: Backlog | None = None
    health: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """A daemon's figures, all of one moment. `limits` says how many series each family may have; `observation` and
    `jobs` are None while nothing is published, and the ages, in s, while there is no observation. `job_kinds` are those
    declared.
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

    @cached_property
    def series(self) -> Mapping[str, list[Series]]:
        """The series of each family, by its key."""
        by_family: dict[str, list[Series]] = {family: [] for family in self.limits}
        for series in self.totals.series:
            by_family.setdefault(series.family, []).append(series)
        return by_family


class Distribution(NamedTuple):
    """A sample of a histogram: counts that are not cumulative, by upper bound and one more above; and their sum."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float | Distribution]]
"""Label values, and the value that goes with them."""

Source = Callable[[Figures], Samples | None]
"""Gives None where the figures aren't there: then the metric is left out."""


@dataclass(frozen=True)
class Metric:
    """A metric as Prometheus sees it; `name` is the sample's name, `_total` included for a counter."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    source: Family | Source
    labels: Labels = ()

    @property
    def unit(self) -> str:
        """The base unit with which the name ends; "" where it has none."""
        word = self.name.removesuffix("_total").rpartition("_")[2]
        return word if word in ("seconds", "bytes", "ratio") else ""


HTTP = Family("http", ("method", "route", "status"), cells=TIMED_CELLS, limit=None)
ABORTED = Family("aborted", ("cause",))
EXITS = Family("exits", ("kind", "cause"))
HANDOFFS_REFUSED = Family("handoffs_refused", ("reason",))
WS_CONNECTED = Family("ws_connected", ())
WS_DISCONNECTED = Family("ws_disconnected", ("reason",))
WS_FRAMES = Family("ws_frames", ())
WS_DROPPED = Family("ws_dropped", ())
CPU = Family("cpu", ("kind", "slot"), limit=192)  # ns; two generations of 90 workers
TICK = Family("tick", ("step",), cells=TIMED_CELLS, limit=8)
ADMIN = Family("admin", ("method", "route", "status"), cells=TIMED_CELLS, limit=32)
"""Requests to the admin server, which are none of the service's; what it answers to WebSockets, the hub counts."""

FAMILIES = Families(
    HTTP, ABORTED, (EXITS, HANDOFFS_REFUSED, WS_CONNECTED, WS_DISCONNECTED, WS_FRAMES, WS_DROPPED, CPU, TICK, ADMIN)
)


def is_error(status: str) -> bool:
    """True for the `status` of a response that counts as an error."""
    return status >= "4"


def _counter(name: str, help: str, family: Family) -> Metric:
    return Metric(name, "counter", help, family, family.labels)


def _durations(name: str, help: str, family: Family) -> Metric:
    return Metric(name, "histogram", help, family, family.labels)


def _gauge(name: str, help: str, source: Source, *labels: str) -> Metric:
    return Metric(name, "gauge", help, source, labels)


def _value(of: Callable[[Figures], float]) -> Source:
    """One sample without labels."""
    return lambda figures: [((), of(figures))]


def _observed(of: Callable[[AggregatorPage], float]) -> Source:
    """One sample of what the aggregator observes."""
    return lambda figures: None if figures.observation is None else [((), of(figures.observation))]


def _backlog(of: Callable[[Backlog], int]) -> Source:
    """One sample, where the kernel tells."""
    return lambda figures: None if figures.service.backlog is None else [((), of(figures.service.backlog))]


def _by_name(of: Callable[[Figures], Mapping[str, int]]) -> Source:
    """A sample for each name."""
    return lambda figures: [((name,), number) for name, number in of(figures).items()]


def _processes(figures: Figures) -> Samples | None:
    if figures.observation is None:
        return None
    kinds = [process["kind"] for process in figures.observation["processes"]]
    return [((kind,), kinds.count(kind)) for kind in sorted(set(kinds))]


def _process(name: str, help: str, of: Callable[[ProcessSample], float | None]) -> Metric:
    """A gauge of each process, as far as it could be read."""

    def samples(figures: Figures) -> Samples | None:
        processes = figures.observation["processes"] if figures.observation else []
        values = ((process, of(process)) for process in processes if process["slot"] is not None)
        known = [((process["kind"], str(process["slot"])), value) for process, value in values if value is not None]
        return known if figures.observation else None

    return _gauge(name, help, samples, *CPU.labels)


def _series(of: Callable[[Figures, str], int]) -> Source:
    return lambda figures: [((family,), of(figures, family)) for family in figures.limits]


def _overflowed(figures: Figures, family: str) -> int:
    cells = figures.totals.cells
    return sum(cells[series.offset] for series in figures.series[family] if series.is_overflow)


@cache
def _python_version() -> str:
    return platform.python_version()


def _jobs(of: Callable[[JobsPage, Figures], Samples]) -> Source:
    """Left out until the job runner has read its database: a total that began with 0 would then jump."""
    return lambda figures: of(figures.jobs, figures) if figures.jobs and figures.jobs["read_ns"] else None


def _zeros(figures: Figures, statuses: Sequence[str]) -> dict[Labels, int]:
    """0 for each declared kind and status."""
    return dict.fromkeys(product(figures.job_kinds, statuses), 0)


def _jobs_open(page: JobsPage, figures: Figures) -> Samples:
    rows: dict[Labels, int] = {(row.kind, row.status): row.number for row in page["open"]}
    return sorted((_zeros(figures, JOB_OPEN) | rows).items())


def _oldest_pending(page: JobsPage, figures: Figures) -> Samples:
    age = page["oldest_pending_seconds"]
    since = max(0, figures.totals.monotonic_ns - page["read_ns"]) / 1e9
    return [((), 0.0 if age is None else round(age + since, 3))]


def _jobs_ended(page: JobsPage, figures: Figures) -> Samples:
    ended = _zeros(figures, JOB_ENDED)
    for row in page["own"]:
        ended[row.kind, row.status] = ended.get((row.kind, row.status), 0) + row.number
    return sorted(ended.items())


def _job_durations(page: JobsPage, figures: Figures) -> Samples:
    """Those that never ran have the bucket -1, and took no time. Nothing is shown of kinds and statuses without a job:
    that would be fifteen lines each, and their counts are hvd_jobs_total's, which has them.
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


METRICS: tuple[Metric, ...] = (
    _durations(
        "hvd_http_request_duration_seconds",
        "Time from a request's arrival in a worker to the end of its response.",
        HTTP,
    ),
    _durations(
        "hvd_aggregator_step_duration_seconds",
        "Time that the steps of an aggregator's tick take: reading the rows, observing processes, broadcasting.",
        TICK,
    ),
    _durations(
        "hvd_admin_request_duration_seconds",
        "Time from a request's arrival in the admin server to its response; counted apart from the service's requests.",
        ADMIN,
    ),
    _counter("hvd_http_requests_total", "Responses, each counted before its first byte left.", HTTP),
    _counter(
        "hvd_http_requests_aborted_total",
        "Requests that were in progress when their worker died, or whose code broke out of the worker's control.",
        ABORTED,
    ),
    _counter(
        "hvd_process_exits_total", "Processes of the daemon that ended, by kind and by signal or exit status.", EXITS
    ),
    _counter(
        "hvd_websocket_handoffs_refused_total",
        "WebSocket upgrades answered with an error, by reason.",
        HANDOFFS_REFUSED,
    ),
    _counter("hvd_websocket_connections_total", "WebSocket connections accepted.", WS_CONNECTED),
    _counter("hvd_websocket_disconnections_total", "WebSocket connections ended, by reason.", WS_DISCONNECTED),
    _counter("hvd_websocket_frames_sent_total", "Frames handed to clients' sockets.", WS_FRAMES),
    _counter("hvd_websocket_frames_dropped_total", "Frames that slow clients were not sent.", WS_DROPPED),
    _counter(
        "hvd_process_cpu_seconds_total",
        "User and system CPU time of a slot's processes, one after the other, as far as it was sampled.",
        CPU,
    ),
    Metric(
        "hvd_http_requests_started_total",
        "counter",
        "Requests that reached a worker.",
        _value(lambda figures: figures.totals.heads.started),
    ),
    Metric(
        "hvd_http_requests_finished_total",
        "counter",
        "Requests whose response is complete.",
        _value(lambda figures: figures.totals.heads.finished),
    ),
    _gauge(
        "hvd_http_requests_in_flight", "Requests in progress.", _value(lambda figures: figures.totals.heads.in_flight)
    ),
    _gauge(
        "hvd_workers",
        "Workers that live and have loaded the app.",
        _value(lambda figures: figures.service.workers),
    ),
    _gauge(
        "hvd_worker_threads",
        "Requests that these workers can serve at once.",
        _value(lambda figures: figures.service.threads),
    ),
    _gauge(
        "hvd_worker_threads_busy",
        "Threads of workers that serve a request, or wait for the rest of one.",
        _value(lambda figures: figures.service.busy),
    ),
    _gauge(
        "hvd_worker_busy_ratio",
        "Share of the workers' threads that requests kept busy over the aggregator's last interval.",
        _observed(lambda page: page["busy_ratio"]),
    ),
    _gauge(
        "hvd_saturated_seconds",
        "For how long all threads of workers have been busy, or what waits for one has not become less; else 0.",
        _value(lambda figures: figures.service.saturated_seconds),
    ),
    _gauge(
        "hvd_longest_request_seconds",
        "Age of the oldest request in progress; 0 where there is none.",
        _value(lambda figures: figures.service.longest_seconds),
    ),
    _gauge(
        "hvd_accept_backlog",
        "Connections that wait for a worker to accept them, on all listeners.",
        _backlog(lambda backlog: backlog.waiting),
    ),
    _gauge(
        "hvd_accept_backlog_limit",
        "Connections that may wait so.",
        _backlog(lambda backlog: backlog.limit),
    ),
    _gauge(
        "hvd_queued_requests",
        "Requests that a worker has accepted, and that wait for one of its threads.",
        _value(lambda figures: figures.service.queued),
    ),
    _gauge(
        "hvd_waiting_clients",
        "Connections by what workers wait for: a request's first byte (silent), the rest of its head or of its body, "
        "that the client reads its response (unread), the next request (idle).",
        _by_name(lambda figures: figures.service.waiting),
        "state",
    ),
    _gauge(
        "hvd_health",
        "1 for the state that /health tells, 0 for the others.",
        _by_name(lambda figures: figures.service.health),
        "status",
    ),
    _gauge(
        "hvd_series",
        "Series in the block, by family.",
        _series(lambda figures, family: len(figures.series[family])),
        "family",
    ),
    _gauge(
        "hvd_series_limit",
        "Series that a family may have.",
        _series(lambda figures, family: figures.limits[family]),
        "family",
    ),
    Metric(
        "hvd_series_overflow_total",
        "counter",
        "Counts that fell into a family's overflow series: its limit was reached, or memory could not be had.",
        _series(_overflowed),
        ("family",),
    ),
    Metric(
        "hvd_counts_lost_total",
        "counter",
        "Counts for which the block had no cells, not even in overflow series.",
        _value(lambda figures: figures.totals.lost),
    ),
    Metric(
        "hvd_build_info",
        "info",
        "Versions that this daemon runs.",
        lambda figures: [((__version__, _python_version(), figures.gunicorn), 1)],
        ("version", "python", "gunicorn"),
    ),
    _gauge(
        "hvd_uptime_seconds",
        "Time since the daemon started; reloads don't reset it.",
        _value(lambda figures: figures.totals.uptime),
    ),
    _gauge(
        "hvd_start_time_seconds",
        "When the daemon started, Unix time.",
        _value(lambda figures: figures.totals.started_wall_ns / 1e9),
    ),
    _gauge("hvd_aggregator_up", "1 while the aggregator ticks.", _value(lambda figures: int(figures.aggregator_up))),
    _gauge("hvd_websocket_clients", "Open WebSocket clients.", _observed(lambda page: page["websocket_clients"])),
    _gauge("hvd_tasks", "asyncio tasks of the hub.", _observed(lambda page: page["tasks"])),
    _gauge(
        "hvd_observed_age_seconds",
        "Age of what the aggregator observed: CPU, memory, threads, WebSocket clients.",
        lambda figures: None if figures.observed_age is None else [((), figures.observed_age)],
    ),
    _gauge(
        "hvd_cpu_usage_ratio",
        "CPU time of all processes over the last interval, divided by the interval.",
        _observed(lambda page: page["cpu_usage"] / 100),
    ),
    _gauge(
        "hvd_memory_usage_bytes",
        "Proportional set size of all processes together.",
        _observed(lambda page: page["memory_usage"]),
    ),
    _gauge(
        "hvd_memory_usage_age_seconds",
        "Age of the oldest part of hvd_memory_usage_bytes: large processes are read less often.",
        lambda figures: None if figures.memory_age is None else [((), figures.memory_age)],
    ),
    _gauge("hvd_processes", "Processes of the daemon, by kind.", _processes, "kind"),
    _process("hvd_process_resident_memory_bytes", "Resident set of a process.", lambda process: process["resident"]),
    _process(
        "hvd_process_proportional_memory_bytes",
        "Proportional set of a process: pages shared by n processes count 1/n.",
        lambda process: process["proportional"],
    ),
    _process("hvd_process_threads", "Threads of a process.", lambda process: process["threads"]),
    _process("hvd_process_open_fds", "Open file descriptors of a process.", lambda process: process["fds"]),
    _process(
        "hvd_process_start_time_seconds", "When a process started, Unix time.", lambda process: process["start_time"]
    ),
    _gauge(
        "hvd_jobs",
        "Jobs that are pending or running, by kind; of the whole queue, so daemons that share one tell the same.",
        _jobs(_jobs_open),
        *("kind", "status"),
    ),
    _gauge(
        "hvd_oldest_pending_job_seconds",
        "Age of the oldest pending job of the queue, 0 while none is pending.",
        _jobs(_oldest_pending),
    ),
    Metric(
        "hvd_jobs_total",
        "counter",
        "Jobs that this daemon brought to an end, by kind and final status; kept in the jobs' database.",
        _jobs(_jobs_ended),
        ("kind", "status"),
    ),
    Metric(
        "hvd_job_duration_seconds",
        "histogram",
        "Time from the start of a job's last attempt to its end, of the jobs that this daemon ran.",
        _jobs(_job_durations),
        ("kind", "status"),
    ),
    _gauge(
        "hvd_job_runner_up",
        "1 while the job runner lives and can use its database.",
        lambda figures: None if figures.jobs is None else [((), int(figures.job_runner_up))],
    ),
)
