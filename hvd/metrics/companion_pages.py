"""What companions publish, each on its page of the block: the aggregator what it observes, the job runner its queue,
the admin server since when the service is saturated, the exporter whether its receiver takes metrics.

During an upgrade a page is written by one version and read by another. So figures are added to a page, never renamed or
removed, and `decode` gives those that an older version doesn't publish as 0 or empty.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypedDict, cast

AGGREGATOR_PAGE: Final = "aggregator"
JOBS_PAGE: Final = "jobs"
ADMIN_PAGE: Final = "admin"
EXPORTER_PAGE: Final = "exporter"

JOB_DURATIONS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Upper bounds in s of the buckets of jobs' durations: from a job that only starts a program to one of a day."""


class Rates(TypedDict):
    """Of the responses of a span of time: per second, share of errors, of those that are the server's (5xx) and of
    those that are the client's (4xx), and percentiles of their durations in ms.
    """

    requests_per_second: float
    error_rate: float
    server_error_rate: float
    client_error_rate: float
    p50: float
    p90: float
    p99: float


class Span(TypedDict):
    """The responses of a span of time of so many seconds: how many, shares of all (0 to 1), times in ms, which are None
    where nothing was completed. `seconds_spent` is the sum of their durations; `busy_ratio` the share of the workers'
    threads that was busy, None where it is not known.
    """

    seconds: float
    requests: int
    requests_per_second: float
    server_errors: int
    client_errors: int
    server_error_rate: float
    client_error_rate: float
    seconds_spent: float
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    busy_ratio: float | None


class OpenPercentiles(TypedDict):
    """Percentiles in ms of the same span, with the ages of the requests in progress at its end counted in as one
    response each; never below those of the responses alone.
    """

    p50_with_open: float
    p90_with_open: float
    p99_with_open: float


class QueueTimes(TypedDict):
    """Percentiles in ms of the time that the requests of a span waited before they reached a worker, as far as a proxy
    tells it; 0.0 where none does.
    """

    queue_time_p50: float
    queue_time_p99: float


class ProcessSample(TypedDict):
    """One process as the aggregator observed it; None is what could not be read. Times in s, memory in bytes, CPU in
    percent of one core since the last tick; `started` in clock ticks since boot, which with the pid names one process.
    """

    kind: str
    slot: int
    pid: int
    started: int
    cpu_percent: float | None
    cpu_seconds: float | None
    resident: int | None
    proportional: int | None
    threads: int | None
    fds: int | None
    start_time: float | None


class AggregatorPage(TypedDict):
    """A tick's figures. CPU in percent of one core, and memory in bytes, are those of all processes together.

    `memory_ns` is the monotonic time at which the oldest part of `memory_usage` was read; `busy_ratio` the share of the
    workers' threads that was busy over the interval, 0 to 1. `last_minute` and `minute_before` are None until there was
    something to compare.
    """

    page: Literal["aggregator"]
    monotonic_ns: int
    timestamp: str
    interval_seconds: float
    rates: Rates
    last_minute: Span | None
    minute_before: Span | None
    with_open: OpenPercentiles
    queue_times: QueueTimes
    busy_ratio: float
    cpu_usage: float
    memory_usage: int
    memory_ns: int
    threads: int
    tasks: int
    websocket_clients: int
    processes: list[ProcessSample]
    gone: list[ProcessSample]


class OpenJobs(NamedTuple):
    """How many jobs of a kind are pending or running."""

    kind: str
    status: str
    number: int


class EndedJobs(NamedTuple):
    """How many jobs of a kind ended so, and the sum of their durations in s; `bucket` is that of JOB_DURATIONS, or -1
    for jobs that never ran.
    """

    kind: str
    status: str
    bucket: int
    number: int
    seconds: float


class KnownJob(TypedDict, total=False):
    """What a job runner publishes of a job and clients get as it is; an older one, at an upgrade, may publish less."""

    id: str
    name: str
    status: str
    progress: float
    created_at: str | None
    updated_at: str | None
    kind: str
    params: dict[str, Any]
    revision: int


class RecentJob(KnownJob, total=False):
    """A job that has changed lately. What is None here is a value for clients, see `read.jobs.job_for_clients`."""

    start_time: str | None
    end_time: str | None
    duration_seconds: float | None
    error_msg: str | None


class QueueFigures(TypedDict):
    """The queue, as it was at `read_ns` (monotonic; 0 where it could not be read yet): `own` are the jobs that this
    daemon ended, `ends` those that any daemon of the queue did, `recent` those that have changed last.

    `oldest_pending_seconds` is None while none is pending.
    """

    open: list[OpenJobs]
    ends: list[EndedJobs]
    own: list[EndedJobs]
    recent: list[RecentJob]
    read_ns: int
    oldest_pending_seconds: float | None


class JobsPage(QueueFigures):
    """The figures of the queue; `trouble` says why no job can run, "" where they can."""

    page: Literal["jobs"]
    monotonic_ns: int
    trouble: str


class StuckWorker(NamedTuple):
    """A worker all of whose threads are busy while so many requests wait for one; it has begun none since `since_ns`
    (monotonic).
    """

    pid: int
    since_ns: int
    queued: int


class AdminPage(TypedDict):
    """The admin server's last look at the workers: since when all threads are busy, and since when the backlog has been
    at least `backlog_before` (monotonic ns; 0 while that is not so), the backlog, and when a worker last served
    (monotonic ns; 0: never). `stuck` are workers that keep requests waiting; `deaths` is how many processes have lately
    ended unplanned, or failed to boot.
    """

    page: Literal["admin"]
    monotonic_ns: int
    busy_since_ns: int
    backlog_since_ns: int
    backlog: int
    backlog_before: int
    served_ns: int
    stuck: list[StuckWorker]
    deaths: int


class ExporterPage(TypedDict):
    """Whether there is a receiver of metrics, whether it did not take the last push, since when it took one (monotonic
    ns; 0: not yet), and what is wrong, "" while nothing is, or not for long.
    """

    page: Literal["exporter"]
    monotonic_ns: int
    is_on: bool
    is_failing: bool
    trouble: str
    accepted_ns: int


CompanionPage = AggregatorPage | JobsPage | AdminPage | ExporterPage

NO_RATES: Rates = {
    "requests_per_second": 0.0,
    "error_rate": 0.0,
    "server_error_rate": 0.0,
    "client_error_rate": 0.0,
    "p50": 0.0,
    "p90": 0.0,
    "p99": 0.0,
}
NO_QUEUE: QueueTimes = {"queue_time_p50": 0.0, "queue_time_p99": 0.0}
NO_OPEN: OpenPercentiles = {"p50_with_open": 0.0, "p90_with_open": 0.0, "p99_with_open": 0.0}

_NO_SAMPLE = dict.fromkeys(ProcessSample.__annotations__)
_FIGURES = ("cpu_usage", "memory_usage", "threads", "tasks", "websocket_clients", "interval_seconds", "busy_ratio")
_NO_EXPORTER = {"is_on": False, "is_failing": False, "trouble": "", "accepted_ns": 0}
_SINCE = ("busy_since_ns", "backlog_since_ns", "backlog", "backlog_before", "served_ns", "deaths")
_ROWS: dict[str, type[OpenJobs] | type[EndedJobs]] = {"open": OpenJobs, "ends": EndedJobs, "own": EndedJobs}


def decode(data: bytes) -> CompanionPage | None:
    """The page that this JSON is; None where there is none, or one of a kind that this version doesn't know."""
    page = json.loads(data) if data else {}
    if page.get("page") == AGGREGATOR_PAGE:
        return _aggregator_page(page)
    if page.get("page") == ADMIN_PAGE:
        stuck = [StuckWorker(*worker) for worker in page.get("stuck", ())]
        return cast(AdminPage, {**dict.fromkeys(_SINCE, 0), **page, "stuck": stuck})
    if page.get("page") == EXPORTER_PAGE:
        return cast(ExporterPage, {**_NO_EXPORTER, **page})
    return _jobs_page(page) if page.get("page") == JOBS_PAGE else None


def _aggregator_page(page: Mapping[str, Any]) -> AggregatorPage:
    now, processes = page["monotonic_ns"], page.get("processes", [])
    if processes and not _NO_SAMPLE.keys() <= processes[0].keys():
        processes = [{**_NO_SAMPLE, **process} for process in processes]
    spans = {"rates": NO_RATES, "with_open": NO_OPEN, "queue_times": NO_QUEUE}
    missing = {"timestamp": "", **spans, "memory_ns": now, "last_minute": None, "minute_before": None, "gone": []}
    rates = {**NO_RATES, **page.get("rates", {})}
    figures = dict.fromkeys(_FIGURES, 0)
    return cast(AggregatorPage, {**missing, **figures, **page, "rates": rates, "processes": processes})


def _jobs_page(page: Mapping[str, Any]) -> JobsPage:
    rows = {name: [row(*values[: len(row._fields)]) for values in page.get(name, ())] for name, row in _ROWS.items()}
    read_ns = page["monotonic_ns"] if "open" in page else 0
    missing: dict[str, object] = {"trouble": "", "recent": [], "read_ns": read_ns, "oldest_pending_seconds": None}
    return cast(JobsPage, {**missing, **page, **rows})
