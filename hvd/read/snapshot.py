"""A reading → the JSON that clients see. Pure: no I/O, no clock.

`raw` is what WebSocket clients of the predecessor know; fields are added to it, never renamed or removed.
"""

from collections.abc import Mapping, Sequence
from heapq import nlargest
from operator import attrgetter
from typing import TypedDict

from hvd.core import layout
from hvd.core.totals import SlotTotals, Totals
from hvd.metrics.companion_pages import (
    NO_OPEN,
    NO_QUEUE,
    NO_RATES,
    AggregatorPage,
    OpenPercentiles,
    ProcessSample,
    QueueTimes,
    Rates,
    Span,
)
from hvd.metrics.events import Ends
from hvd.metrics.table import CONNECTIONS
from hvd.read.jobs import JobFields, build_jobs
from hvd.read.own import OwnMetric, build_own, shown_families
from hvd.read.reading import Reading
from hvd.read.requests import Request, Route, build_routes, request_of
from hvd.read.service import LONGEST, LongRequest, WaitingClients
from hvd.texts import rfc3339


class RequestProof(TypedDict):
    """started = finished + in_flight + aborted, at every moment."""

    started: int
    finished: int
    in_flight: int
    aborted: int


class Raw(JobFields, Rates, OpenPercentiles, QueueTimes):
    """The `raw` object: times in s, durations of requests in ms, memory in bytes, CPU in percent of one core.

    Rates are of the aggregator's last interval, and since the totals were 0. What only the aggregator knows is 0 or
    empty while nothing was published, and its age None. `health` is what /health says: "starting" too, which
    `system_health` does not know. What workers do is of now. `runs_jobs` is true where kinds of job are declared.
    """

    timestamp: str
    http_requests: int
    http_errors: int
    avg_response_time: float
    active_connections: int
    websocket_clients: int
    memory_usage: int
    cpu_usage: float
    goroutines: int
    threads: int
    tasks: int
    uptime_seconds: float
    totals_since: str
    runs_jobs: bool
    alerts: list[object]
    system_health: str
    health: str
    reasons: list[str]
    workers_alive: int
    worker_threads: int
    worker_threads_busy: int
    busy_ratio: float
    saturated_seconds: float
    accept_backlog: int | None
    accept_backlog_limit: int | None
    queued_requests: int
    waiting_clients: WaitingClients
    longest_requests: list[LongRequest]
    event_loop_lag_seconds: float | None
    app_connections: int
    joined_processes: int
    last_minute: Span | None
    minute_before: Span | None
    http_client_errors: int
    http_server_errors: int
    ends: Ends
    requests_per_second_since_start: float
    error_rate_since_start: float
    server_error_rate_since_start: float
    client_error_rate_since_start: float
    p50_since_start: float
    p90_since_start: float
    p99_since_start: float
    requests: RequestProof
    observed_age_seconds: float | None
    memory_age_seconds: float | None


class Worker(TypedDict):
    """A worker: what it did since it started, what it is doing, and what was observed of its process."""

    pid: int
    kind: str
    slot: int
    age_seconds: float
    requests: int
    errors: int
    client_errors: int
    server_errors: int
    in_flight: int
    busy: list[Request]
    cpu_percent: float | None
    memory_bytes: int | None
    threads: int | None


class SnapshotAnswer(Raw):
    """The answer of /api/v1/snapshot: `raw`, and more beside it."""

    workers: list[Worker]
    processes: Sequence[ProcessSample]
    routes: list[Route]
    post_mortems: Sequence[Mapping[str, object]]


class DetailedSnapshot(SnapshotAnswer):
    """The same with `detail=1`: with all series of the app's own metrics."""

    own: list[OwnMetric]


def build_raw(reading: Reading) -> Raw:
    """The `raw` object."""
    totals, requests, observation = reading.totals, reading.requests, reading.observation
    service, backlog = reading.service, reading.backlog
    heads, since_start = totals.heads, requests.rates(totals.counted_for)
    threads, tasks, clients = (
        (observation["threads"], observation["tasks"], observation["websocket_clients"]) if observation else (0, 0, 0)
    )
    return {
        "timestamp": rfc3339(totals.time_ns),
        "http_requests": requests.responses,
        "http_errors": heads.errors,
        "avg_response_time": requests.mean_ms,
        "active_connections": clients,
        "websocket_clients": clients,
        "memory_usage": observation["memory_usage"] if observation else 0,
        "cpu_usage": observation["cpu_usage"] if observation else 0.0,
        "goroutines": threads + tasks,
        "threads": threads,
        "tasks": tasks,
        "uptime_seconds": round(totals.uptime, 3),
        "totals_since": rfc3339(totals.since_ns),
        "runs_jobs": reading.companions.runs_jobs,
        **build_jobs(reading.companions.jobs, totals.monotonic_ns),
        "alerts": [],
        "system_health": reading.health.system_health,
        "health": reading.health.status,
        "reasons": reading.health.reasons,
        "workers_alive": len(service.workers),
        "worker_threads": service.threads,
        "worker_threads_busy": service.busy,
        "busy_ratio": observation["busy_ratio"] if observation else 0.0,
        "saturated_seconds": round(reading.saturation.seconds, 3),
        "accept_backlog": backlog.waiting if backlog else None,
        "accept_backlog_limit": backlog.limit if backlog else None,
        "queued_requests": service.queued,
        "waiting_clients": service.waiting_clients,
        "longest_requests": service.longest_requests(),
        "event_loop_lag_seconds": service.event_loop_lag_seconds,
        "app_connections": _app_connections(totals),
        "joined_processes": service.joined,
        **(observation["rates"] if observation else NO_RATES),
        **(observation["with_open"] if observation else NO_OPEN),
        **(observation["queue_times"] if observation else NO_QUEUE),
        "last_minute": observation["last_minute"] if observation else None,
        "minute_before": observation["minute_before"] if observation else None,
        "http_client_errors": requests.client_errors,
        "http_server_errors": requests.server_errors,
        "ends": reading.ends,
        "requests_per_second_since_start": since_start["requests_per_second"],
        "error_rate_since_start": since_start["error_rate"],
        "server_error_rate_since_start": since_start["server_error_rate"],
        "client_error_rate_since_start": since_start["client_error_rate"],
        "p50_since_start": since_start["p50"],
        "p90_since_start": since_start["p90"],
        "p99_since_start": since_start["p99"],
        "requests": {
            "started": heads.started,
            "finished": heads.finished,
            "in_flight": heads.in_flight,
            "aborted": heads.aborted,
        },
        "observed_age_seconds": reading.observed_age,
        "memory_age_seconds": reading.memory_age,
    }


def _app_connections(totals: Totals) -> int:
    """WebSockets and streams of events that the app has open."""
    runs = (totals.run(series) for series in totals.of(CONNECTIONS.key))
    return sum(max(0, opened - closed) for opened, closed in runs)


def build_snapshot(reading: Reading, post_mortems: Sequence[Mapping[str, object]]) -> SnapshotAnswer:
    """The answer of /api/v1/snapshot; post-mortems as their masters wrote them."""
    return {
        **build_raw(reading),
        "workers": build_workers(reading.totals, reading.observation),
        "processes": reading.observation["processes"] if reading.observation else [],
        "routes": build_routes(reading.totals),
        "post_mortems": post_mortems,
    }


def build_detailed_snapshot(reading: Reading, post_mortems: Sequence[Mapping[str, object]]) -> DetailedSnapshot:
    """The same, of a reading with own metrics."""
    return {**build_snapshot(reading, post_mortems), "own": build_own(shown_families(reading.own))}


def build_workers(totals: Totals, observation: AggregatorPage | None) -> list[Worker]:
    """Each worker alive, and each joined process."""
    samples = {sample["pid"]: sample for sample in observation["processes"]} if observation else {}
    return [
        _worker(slot, samples, totals)
        for slot in totals.slots
        if slot.slot.kind in (layout.KIND_WORKER, layout.KIND_JOINED)
        and slot.slot.pid  # a slot has none until its worker is forked
    ]


def _worker(slot: SlotTotals, samples: Mapping[int, ProcessSample], totals: Totals) -> Worker:
    sample = samples.get(slot.slot.pid)
    return {
        "pid": slot.slot.pid,
        "kind": slot.slot.kind_name,
        "slot": slot.slot.number,
        "age_seconds": round((totals.monotonic_ns - slot.slot.taken_ns) / 1e9, 3),
        "requests": slot.heads.finished,
        "errors": slot.heads.errors,
        "client_errors": max(0, slot.heads.errors - slot.heads.server_errors),
        "server_errors": slot.heads.server_errors,
        "in_flight": slot.heads.in_flight,
        "busy": [request_of(entry.text, entry.age) for entry in nlargest(LONGEST, slot.busy, attrgetter("age"))],
        "cpu_percent": sample["cpu_percent"] if sample else None,
        "memory_bytes": sample["proportional"] if sample else None,
        "threads": sample["threads"] if sample else None,
    }
