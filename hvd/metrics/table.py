"""Every metric: name, kind, unit, label names, help. Block, exposition and README derive from this table.

A family stored in the block is found by its `key`. All of them are counters, and merge by adding up: the rows of all
slots, of processes alive and gone. Gauges are not stored as cells: they are what the aggregator or the reader
observes of the processes alive.
"""

from dataclasses import dataclass
from typing import Literal

from hvd.core.durations import TIMED_CELLS
from hvd.core.family import Families, Family


@dataclass(frozen=True)
class Metric:
    """A metric as Prometheus sees it; `name` is the sample's name, `_total` included for a counter."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    labels: tuple[str, ...] = ()
    family: str | None = None
    unit: str = ""


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

FAMILIES = Families(
    HTTP, ABORTED, (EXITS, HANDOFFS_REFUSED, WS_CONNECTED, WS_DISCONNECTED, WS_FRAMES, WS_DROPPED, CPU, TICK)
)


def is_error(status: str) -> bool:
    """True for the `status` of a response that counts as an error."""
    return status >= "4"


REQUESTS = Metric(
    "hvd_http_requests_total",
    "counter",
    "Responses, each counted before its first byte left.",
    HTTP.labels,
    HTTP.key,
)
DURATION = Metric(
    "hvd_http_request_duration_seconds",
    "histogram",
    "Time from a request's arrival in a worker to the end of its response.",
    HTTP.labels,
    HTTP.key,
    "seconds",
)
TICK_DURATION = Metric(
    "hvd_aggregator_step_duration_seconds",
    "histogram",
    "Time that the steps of an aggregator's tick take: reading the rows, observing processes, broadcasting.",
    TICK.labels,
    TICK.key,
    "seconds",
)
HISTOGRAMS = (DURATION, TICK_DURATION)
COUNTERS: tuple[Metric, ...] = (
    Metric(
        "hvd_http_requests_aborted_total",
        "counter",
        "Requests that were in progress when their worker died, or whose code broke out of the worker's control.",
        ABORTED.labels,
        ABORTED.key,
    ),
    Metric(
        "hvd_process_exits_total",
        "counter",
        "Processes of the daemon that ended, by kind and by signal or exit status.",
        EXITS.labels,
        EXITS.key,
    ),
    Metric(
        "hvd_websocket_handoffs_refused_total",
        "counter",
        "WebSocket upgrades answered with an error, by reason.",
        HANDOFFS_REFUSED.labels,
        HANDOFFS_REFUSED.key,
    ),
    Metric("hvd_websocket_connections_total", "counter", "WebSocket connections accepted.", (), WS_CONNECTED.key),
    Metric(
        "hvd_websocket_disconnections_total",
        "counter",
        "WebSocket connections ended, by reason.",
        WS_DISCONNECTED.labels,
        WS_DISCONNECTED.key,
    ),
    Metric("hvd_websocket_frames_sent_total", "counter", "Frames handed to clients' sockets.", (), WS_FRAMES.key),
    Metric(
        "hvd_websocket_frames_dropped_total",
        "counter",
        "Frames that slow clients were not sent.",
        (),
        WS_DROPPED.key,
    ),
)
STARTED = Metric("hvd_http_requests_started_total", "counter", "Requests that reached a worker.")
FINISHED = Metric("hvd_http_requests_finished_total", "counter", "Requests whose response is complete.")
IN_FLIGHT = Metric("hvd_http_requests_in_flight", "gauge", "Requests in progress.")
SERIES = Metric("hvd_series", "gauge", "Series in the block, by family.", ("family",))
SERIES_LIMIT = Metric("hvd_series_limit", "gauge", "Series that a family may have.", ("family",))
OVERFLOW = Metric(
    "hvd_series_overflow_total",
    "counter",
    "Counts that fell into a family's overflow series: its limit was reached, or memory could not be had.",
    ("family",),
)
LOST = Metric(
    "hvd_counts_lost_total", "counter", "Counts for which the block had no cells, not even in overflow series."
)
BUILD_INFO = Metric("hvd_build_info", "info", "Versions that this daemon runs.", ("version", "python", "gunicorn"))
UPTIME = Metric(
    "hvd_uptime_seconds", "gauge", "Time since the daemon started; reloads don't reset it.", (), None, "seconds"
)
START_TIME = Metric("hvd_start_time_seconds", "gauge", "When the daemon started, Unix time.", (), None, "seconds")
WS_CLIENTS = Metric("hvd_websocket_clients", "gauge", "Open WebSocket clients.")
TASKS = Metric("hvd_tasks", "gauge", "asyncio tasks of the hub.")
OBSERVED_AGE = Metric(
    "hvd_observed_age_seconds",
    "gauge",
    "Age of what the aggregator observed: CPU, memory, threads, WebSocket clients.",
    (),
    None,
    "seconds",
)
AGGREGATOR_UP = Metric("hvd_aggregator_up", "gauge", "1 while the aggregator ticks.")
_PROCESS = ("kind", "slot")
PROCESS_CPU = Metric(
    "hvd_process_cpu_seconds_total",
    "counter",
    "User and system CPU time of a slot's processes, one after the other, as far as it was sampled.",
    _PROCESS,
    CPU.key,
    "seconds",
)
PROCESS_RESIDENT = Metric(
    "hvd_process_resident_memory_bytes", "gauge", "Resident set of a process.", _PROCESS, None, "bytes"
)
PROCESS_PROPORTIONAL = Metric(
    "hvd_process_proportional_memory_bytes",
    "gauge",
    "Proportional set of a process: pages shared by n processes count 1/n.",
    _PROCESS,
    None,
    "bytes",
)
PROCESS_THREADS = Metric("hvd_process_threads", "gauge", "Threads of a process.", _PROCESS)
PROCESS_FDS = Metric("hvd_process_open_fds", "gauge", "Open file descriptors of a process.", _PROCESS)
PROCESS_START = Metric(
    "hvd_process_start_time_seconds", "gauge", "When a process started, Unix time.", _PROCESS, None, "seconds"
)
JOBS = Metric(
    "hvd_jobs",
    "gauge",
    "Jobs that are pending or running, by kind; of the whole queue, so daemons that share one tell the same.",
    ("kind", "status"),
)
JOBS_ENDED = Metric(
    "hvd_jobs_total",
    "counter",
    "Jobs that this daemon brought to an end, by kind and final status; kept in the jobs' database.",
    ("kind", "status"),
)
JOB_DURATION = Metric(
    "hvd_job_duration_seconds",
    "histogram",
    "Time from the start of a job's last attempt to its end, of the jobs that this daemon ran.",
    ("kind", "status"),
    None,
    "seconds",
)
JOB_RUNNER_UP = Metric("hvd_job_runner_up", "gauge", "1 while the job runner lives and can use its database.")
PROCESSES = Metric("hvd_processes", "gauge", "Processes of the daemon, by kind.", ("kind",))
CPU_USAGE = Metric(
    "hvd_cpu_usage_ratio",
    "gauge",
    "CPU time of all processes over the last interval, divided by the interval.",
    (),
    None,
    "ratio",
)
MEMORY_USAGE = Metric(
    "hvd_memory_usage_bytes", "gauge", "Proportional set size of all processes together.", (), None, "bytes"
)
MEMORY_AGE = Metric(
    "hvd_memory_usage_age_seconds",
    "gauge",
    "Age of the oldest part of hvd_memory_usage_bytes: large processes are read less often.",
    (),
    None,
    "seconds",
)

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    *HISTOGRAMS,
    *COUNTERS,
    STARTED,
    FINISHED,
    IN_FLIGHT,
    SERIES,
    SERIES_LIMIT,
    OVERFLOW,
    LOST,
    BUILD_INFO,
    UPTIME,
    START_TIME,
    WS_CLIENTS,
    TASKS,
    OBSERVED_AGE,
    AGGREGATOR_UP,
    JOBS,
    JOBS_ENDED,
    JOB_DURATION,
    JOB_RUNNER_UP,
    PROCESS_CPU,
    PROCESS_RESIDENT,
    PROCESS_PROPORTIONAL,
    PROCESS_THREADS,
    PROCESS_FDS,
    PROCESS_START,
    PROCESSES,
    CPU_USAGE,
    MEMORY_USAGE,
    MEMORY_AGE,
)
