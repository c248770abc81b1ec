"""Every metric: name, kind, unit, label names, help, and where its value comes from; for /metrics and docs/metrics.md.

What is counted in the block is a Family, found by its `key`. All of them are counters, and merge by adding up: the rows
of all slots, of processes alive and gone. The other metrics are functions of Figures: of the heads of the rows, of what
companions have published, of the block itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hvd.core.amounts import measured_cells
from hvd.core.catalogue import Families, Family
from hvd.core.durations import TIMED_CELLS
from hvd.core.limits import CLIENT_ERROR, NO_ERROR, OVERFLOW, SERVER_ERROR
from hvd.metrics.bounds import DURATIONS, Shape, amount
from hvd.metrics.companion_pages import ProcessSample
from hvd.metrics.sources import (
    Labels,
    Source,
    backlog_of,
    build_info,
    by_family,
    by_name,
    by_own_family,
    conflicts,
    ended_jobs,
    exported_of,
    job_durations,
    jobs_of,
    observed_of,
    of_service,
    oldest_pending,
    open_connections,
    open_jobs,
    overflowed,
    own_limit,
    process_values,
    processes_by_kind,
    value_of,
)

Kind = Literal["counter", "gauge", "histogram", "summary", "info"]


@dataclass(frozen=True)
class Metric:
    """A metric as Prometheus sees it; `name` is the sample's name, `_total` included for a counter."""

    name: str
    kind: Kind
    help: str
    source: Family | Source
    labels: Labels = ()
    shape: Shape = DURATIONS  # of a histogram whose source is a family

    @cached_property
    def unit(self) -> str:
        """The base unit with which the name ends; "" where it has none."""
        word = self.name.removesuffix("_total").rpartition("_")[2]
        return word if word in ("seconds", "bytes", "ratio") else ""


def error_of(status: str) -> int:
    """Whose error a response of this status is: NO_ERROR, CLIENT_ERROR or SERVER_ERROR."""
    return SERVER_ERROR if status.startswith("5") else CLIENT_ERROR if status >= "4" else NO_ERROR


def _class_of_errors(status: str) -> str:
    """What an overflow series keeps of the status: 4xx or 5xx."""
    return {CLIENT_ERROR: "4xx", SERVER_ERROR: "5xx"}.get(error_of(status), OVERFLOW)


HTTP = Family("http", ("method", "route", "status"), cells=TIMED_CELLS, limit=None, summary=_class_of_errors)
ABORTED = Family("aborted", ("cause",))
SIZES = Family("http_sizes", ("method", "route"), cells=measured_cells(2), limit=256)  # of requests, of responses
QUEUE = Family("http_queue", (), cells=TIMED_CELLS)
EXCEPTIONS = Family("http_exceptions", ("method", "route", "type"), limit=192)
VIEWS = Family("http_views", ("route", "view"), limit=256)
"""An app's own names of its routes, counted once by each process."""
EXITS = Family("exits", ("kind", "cause"))
ENDS = Family("ends", ("kind", "how"))
HANDOFFS_REFUSED = Family("handoffs_refused", ("reason",))
WS_CONNECTED = Family("ws_connected", ())
WS_DISCONNECTED = Family("ws_disconnected", ("reason",))
WS_FRAMES = Family("ws_frames", ())
WS_DROPPED = Family("ws_dropped", ())
CPU = Family("cpu", ("kind", "slot"), limit=192)  # ns; two generations of 90 workers
TICK = Family("tick", ("step",), cells=TIMED_CELLS, limit=8)
ADMIN = Family("admin", ("method", "route", "status"), cells=TIMED_CELLS, limit=32)
"""Requests to the admin server, which are none of the service's; what it answers to WebSockets, the hub counts."""

CONNECTIONS = Family("connections", ("kind", "route"), cells=2, limit=48)
"""Of an app's WebSockets and streams of events: how many were opened, and how many of them closed."""
CONNECTION_DURATIONS = Family("connection_durations", ("kind", "route"), cells=TIMED_CELLS, limit=24)

OTLP = Family("otlp", ("result",), cells=TIMED_CELLS, limit=4)
"""Pushes of metrics to a receiver."""

FAMILIES = Families(
    HTTP,
    ABORTED,
    (
        *(SIZES, QUEUE, EXCEPTIONS, VIEWS, CONNECTIONS, CONNECTION_DURATIONS),
        *(EXITS, ENDS, HANDOFFS_REFUSED, WS_CONNECTED, WS_DISCONNECTED, WS_FRAMES, WS_DROPPED, CPU, TICK, ADMIN),
        OTLP,
    ),
)


def _counter(name: str, help: str, family: Family) -> Metric:
    return Metric(name, "counter", help, family, family.labels)


def _durations(name: str, help: str, family: Family) -> Metric:
    return Metric(name, "histogram", help, family, family.labels)


def _sizes(name: str, help: str, index: int) -> Metric:
    return Metric(name, "histogram", help, SIZES, SIZES.labels, amount(index))


def _gauge(name: str, help: str, source: Source, *labels: str) -> Metric:
    return Metric(name, "gauge", help, source, labels)


def _process(name: str, help: str, of: Callable[[ProcessSample], float | None]) -> Metric:
    return _gauge(name, help, process_values(of), *CPU.labels)


METRICS: tuple[Metric, ...] = (
    _durations(
        "hvd_http_request_duration_seconds",
        "Time from a request's arrival in a worker to the end of its response.",
        HTTP,
    ),
    _sizes(
        "hvd_http_request_size_bytes",
        "Sizes of the bodies of requests, as far as their Content-Length tells; counted with the response.",
        0,
    ),
    _sizes(
        "hvd_http_response_size_bytes",
        "Sizes of the bodies of responses, as far as they were known when the first byte left.",
        1,
    ),
    _durations(
        "hvd_http_queue_duration_seconds",
        "Time from X-Request-Start, which a proxy sets, to a request's arrival in a worker.",
        QUEUE,
    ),
    _durations(
        "hvd_aggregator_step_duration_seconds",
        "Time that the steps of an aggregator's tick take: reading, observing processes, own metrics, broadcasting.",
        TICK,
    ),
    _durations(
        "hvd_admin_request_duration_seconds",
        "Time from a request's arrival in the admin server to its response; counted apart from the service's requests.",
        ADMIN,
    ),
    _durations(
        "hvd_app_connection_duration_seconds",
        "Time for which the app's WebSockets and streams of server-sent events were open.",
        CONNECTION_DURATIONS,
    ),
    _gauge(
        "hvd_app_connections",
        "The app's open WebSockets and streams of server-sent events.",
        open_connections,
        *CONNECTIONS.labels,
    ),
    _counter("hvd_http_requests_total", "Responses, each counted before its first byte left.", HTTP),
    _counter(
        "hvd_http_exceptions_total",
        "Requests that an exception ended, by its type; also where the app's framework answered with 500.",
        EXCEPTIONS,
    ),
    _counter(
        "hvd_http_requests_aborted_total",
        "Requests that were in progress when their worker died, or whose code broke out of the worker's control.",
        ABORTED,
    ),
    _counter(
        "hvd_process_exits_total", "Processes of the daemon that ended, by kind and by signal or exit status.", EXITS
    ),
    _counter(
        "hvd_process_ends_total", "Processes that ended, by kind and how: planned, unplanned, before they served.", ENDS
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
        value_of(lambda figures: figures.totals.heads.started),
    ),
    Metric(
        "hvd_http_requests_finished_total",
        "counter",
        "Requests whose response is complete.",
        value_of(lambda figures: figures.totals.heads.finished),
    ),
    _gauge(
        "hvd_http_requests_in_flight", "Requests in progress.", value_of(lambda figures: figures.totals.heads.in_flight)
    ),
    _gauge(
        "hvd_workers",
        "Workers that live and have loaded the app.",
        value_of(lambda figures: figures.service.workers),
    ),
    _gauge(
        "hvd_worker_threads",
        "Requests that these workers can serve at once.",
        value_of(lambda figures: figures.service.threads),
    ),
    _gauge(
        "hvd_worker_threads_busy",
        "How many of these are busy: with a request, or waiting for the rest of one.",
        value_of(lambda figures: figures.service.busy),
    ),
    _gauge(
        "hvd_worker_busy_ratio",
        "Share of what the workers can serve at once that was busy over the aggregator's last interval.",
        observed_of(lambda page: page["busy_ratio"]),
    ),
    _gauge(
        "hvd_saturated_seconds",
        "For how long all threads of workers have been busy, or those of one for which requests wait, or what waits "
        "has not become less; else 0.",
        value_of(lambda figures: figures.service.saturated_seconds),
    ),
    _gauge(
        "hvd_longest_request_seconds",
        "Age of the oldest request in progress; 0 where there is none.",
        value_of(lambda figures: figures.service.longest_seconds),
    ),
    _gauge(
        "hvd_accept_backlog",
        "Connections that wait for a worker to accept them, on all listeners.",
        backlog_of(lambda backlog: backlog.waiting),
    ),
    _gauge(
        "hvd_accept_backlog_limit",
        "Connections that may wait so.",
        backlog_of(lambda backlog: backlog.limit),
    ),
    _gauge(
        "hvd_queued_requests",
        "Requests that a worker has accepted, and that wait for one of its threads.",
        value_of(lambda figures: figures.service.queued),
    ),
    _gauge(
        "hvd_event_loop_lag_seconds",
        "How late the event loop of a worker is with what is due in it, the latest of all.",
        of_service(lambda service: service.loop_lag_seconds),
    ),
    _gauge(
        "hvd_joined_processes",
        "Processes that count here, and are no workers.",
        value_of(lambda figures: figures.service.joined),
    ),
    _gauge(
        "hvd_waiting_clients",
        "Connections by what workers wait for: a request's first byte (silent), the rest of its head or of its body, "
        "that the client reads its response (unread), the next request (idle).",
        by_name(lambda figures: figures.service.waiting_clients),
        "state",
    ),
    _gauge(
        "hvd_health",
        "1 for the state that /health tells, 0 for the others.",
        by_name(lambda figures: figures.service.health),
        "status",
    ),
    _gauge(
        "hvd_series",
        "Series in the block, by family.",
        by_family(lambda figures, family: len(figures.series[family])),
        "family",
    ),
    _gauge(
        "hvd_series_limit",
        "Series that a family may have.",
        by_family(lambda figures, family: figures.limits[family]),
        "family",
    ),
    Metric(
        "hvd_series_overflow_total",
        "counter",
        "Counts that fell into a family's overflow series: its limit was reached, or memory could not be had.",
        by_family(overflowed),
        ("family",),
    ),
    Metric(
        "hvd_counts_lost_total",
        "counter",
        "Counts for which the block had no cells, not even in overflow series.",
        value_of(lambda figures: figures.totals.lost),
    ),
    _gauge(
        "hvd_own_series",
        "Series that an own metric with labels has in the block.",
        by_own_family(lambda own: own.sizes),
        "family",
    ),
    _gauge("hvd_own_series_limit", "Series that an own metric may have.", own_limit),
    Metric(
        "hvd_own_series_overflow_total",
        "counter",
        "What an own metric counted in its overflow series: its limit was reached, or memory could not be had.",
        by_own_family(lambda own: own.overflowed),
        ("family",),
    ),
    Metric(
        "hvd_family_conflicts_total",
        "counter",
        "Declarations of own metrics that are not shown: they disagree with an earlier one, or the name is taken.",
        conflicts,
        ("family",),
    ),
    Metric("hvd_http_route_info", "info", "The app's own name of a route: of Django, the view's.", VIEWS, VIEWS.labels),
    Metric(
        "hvd_build_info",
        "info",
        "Versions that this daemon runs.",
        build_info,
        ("version", "python", "gunicorn"),
    ),
    _gauge(
        "hvd_uptime_seconds",
        "Time since the daemon started; reloads don't reset it.",
        value_of(lambda figures: figures.totals.uptime),
    ),
    _gauge(
        "hvd_start_time_seconds",
        "When the daemon started, Unix time.",
        value_of(lambda figures: figures.totals.started_wall_ns / 1e9),
    ),
    _gauge("hvd_aggregator_up", "1 while the aggregator ticks.", value_of(lambda figures: int(figures.aggregator_up))),
    _gauge("hvd_websocket_clients", "Open WebSocket clients.", observed_of(lambda page: page["websocket_clients"])),
    _gauge("hvd_tasks", "asyncio tasks of the hub.", observed_of(lambda page: page["tasks"])),
    _gauge(
        "hvd_observed_age_seconds",
        "Age of what the aggregator observed: CPU, memory, threads, WebSocket clients.",
        lambda figures: None if figures.observed_age is None else [((), figures.observed_age)],
    ),
    _gauge(
        "hvd_cpu_usage_ratio",
        "CPU time of all processes over the last interval, divided by the interval.",
        observed_of(lambda page: page["cpu_usage"] / 100),
    ),
    _gauge(
        "hvd_memory_usage_bytes",
        "Proportional set size of all processes together.",
        observed_of(lambda page: page["memory_usage"]),
    ),
    _gauge(
        "hvd_memory_usage_age_seconds",
        "Age of the oldest part of hvd_memory_usage_bytes: large processes are read less often.",
        lambda figures: None if figures.memory_age is None else [((), figures.memory_age)],
    ),
    _gauge("hvd_processes", "Processes of the daemon, by kind.", processes_by_kind, "kind"),
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
        jobs_of(open_jobs),
        *("kind", "status"),
    ),
    _gauge(
        "hvd_oldest_pending_job_seconds",
        "Age of the oldest pending job of the queue, 0 while none is pending.",
        jobs_of(oldest_pending),
    ),
    Metric(
        "hvd_jobs_total",
        "counter",
        "Jobs that this daemon brought to an end, by kind and final status; kept in the jobs' database.",
        jobs_of(ended_jobs),
        ("kind", "status"),
    ),
    Metric(
        "hvd_job_duration_seconds",
        "histogram",
        "Time from the start of a job's last attempt to its end, of the jobs that this daemon ran.",
        jobs_of(job_durations),
        ("kind", "status"),
    ),
    _counter("hvd_otlp_pushes_total", "Pushes of metrics by OTLP, by how they ended.", OTLP),
    _durations("hvd_otlp_push_duration_seconds", "Time that such a push takes, until the receiver has answered.", OTLP),
    _gauge(
        "hvd_otlp_up",
        "1 unless the receiver of metrics did not take the last push.",
        exported_of(lambda page: int(not page["is_failing"])),
    ),
    _gauge(
        "hvd_job_runner_up",
        "1 while the job runner lives and can use its database.",
        lambda figures: None if figures.jobs is None else [((), int(figures.job_runner_up))],
    ),
)
