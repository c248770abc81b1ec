"""Sums and observations → the JSON that clients see. Pure: no I/O, no clock.

`raw` is what WebSocket clients of the predecessor know; fields are added to it, never renamed or removed.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Any

from hvd.core import layout
from hvd.core.catalogue import Series
from hvd.core.history import Point, spacing
from hvd.core.totals import SlotTotals, Totals
from hvd.metrics.bounds import COARSE
from hvd.metrics.columns import COLUMNS, DETAILS
from hvd.metrics.table import HTTP
from hvd.read.entries import request_of
from hvd.read.percentiles import percentile
from hvd.texts import rfc3339

Json = dict[str, Any]

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def merge_observed(pages: Iterable[Json]) -> Json | None:
    """One observation from those of all aggregators alive: two of them during an upgrade.

    All observe the same processes, so the newest says it; each has clients and tasks of its own, so those add up.
    """
    found = sorted(pages, key=lambda page: page["monotonic_ns"])
    if not found:
        return None
    summed = {key: sum(page[key] for page in found) for key in ("websocket_clients", "tasks")}
    return {**found[-1], **summed}


def http_sums(totals: Totals) -> Json:
    """Requests' counts, exact sum of durations in ns, and buckets, over all series."""
    runs = [totals.run(series) for series in totals.of(HTTP.key)]
    buckets = [sum(column) for column in zip(*(run[2:].tolist() for run in runs), strict=True)]
    return {"count": sum(run[0] for run in runs), "sum_ns": sum(run[1] for run in runs), "buckets": buckets}


def rates(now: Json, before: Json | None, seconds: float, errors: int) -> Json:
    """Per second, share of errors, and percentiles in ms, of what was counted between two `http_sums`."""
    count = now["count"] - (before["count"] if before else 0)
    old = before["buckets"] if before else []
    buckets = [new - (old[i] if i < len(old) else 0) for i, new in enumerate(now["buckets"])]
    return {
        "requests_per_second": round(count / seconds, 3) if seconds > 0 else 0.0,
        "error_rate": round(errors / count, 6) if count else 0.0,
        **{name: round(percentile(buckets, share) / 1e6, 4) for name, share in SHARES.items()},
    }


def build_raw(totals: Totals, observed: Json | None, *, healthy: bool, jobs: Json | None = None) -> Json:
    """The `raw` object; `jobs` as Queue.figures has it.

    What only the aggregator knows is 0 or empty while nothing was published, and its age None.
    """
    heads, http = totals.heads, http_sums(totals)
    finished = sum(http["buckets"])
    seen = observed or {}
    since_start = rates(http, None, totals.counted_for, heads.errors)
    threads, tasks, clients = seen.get("threads", 0), seen.get("tasks", 0), seen.get("websocket_clients", 0)
    interval = seen.get("rates") or dict.fromkeys(since_start, 0.0)
    return {
        "timestamp": rfc3339(totals.time_ns),
        "http_requests": http["count"],
        "http_errors": heads.errors,
        "avg_response_time": http["sum_ns"] / finished / 1e6 if finished else 0.0,
        "active_connections": clients,
        "websocket_clients": clients,
        "memory_usage": seen.get("memory_usage", 0),
        "cpu_usage": seen.get("cpu_usage", 0.0),
        "goroutines": threads + tasks,
        "threads": threads,
        "tasks": tasks,
        "uptime_seconds": round(totals.uptime, 3),
        **build_jobs(jobs or {}, totals.monotonic_ns),
        "alerts": [],
        "system_health": "healthy" if healthy else "degraded",
        **interval,
        **{f"{name}_since_start": value for name, value in since_start.items()},
        "requests": {
            "started": heads.started,
            "finished": heads.finished,
            "in_flight": heads.in_flight,
            "aborted": heads.aborted,
        },
        "observed_age_seconds": observed_age(totals, observed),
        "memory_age_seconds": memory_age(totals, observed),
    }


JOB_COUNTS = ("jobs_active", "jobs_pending", "jobs_completed", "jobs_failed", "jobs_cancelled", "queue_length")


def build_jobs(figures: Json, at_ns: int) -> Json:
    """The job fields of `raw` at that monotonic time, of the whole queue; all 0 or empty where no kind is declared."""
    open_jobs, ends = figures.get("open", ()), figures.get("ends", ())
    counts = [*((row[1], int(row[2])) for row in open_jobs), *((row[1], int(row[3])) for row in ends)]

    def count(status: str) -> int:
        return sum(number for one, number in counts if one == status)

    kinds = sorted({row[0] for row in (*open_jobs, *ends)})
    return {
        "jobs_active": count("running"),
        "jobs_pending": count("pending"),
        "jobs_completed": count("completed"),
        "jobs_failed": count("failed"),
        "jobs_cancelled": count("cancelled"),
        "queue_length": count("pending"),
        "recent_jobs": [shown_job(job, at_ns - figures.get("read_ns", at_ns)) for job in figures.get("recent", ())],
        "provider_stats": {kind: _provider(kind, open_jobs, ends) for kind in kinds},
    }


def shown_job(job: Json, age_ns: int = 0) -> Json:
    """A job as `recent_jobs`, `jobs` and `job_update` have it, so long after it was read: what runs has run longer.

    Clients format these fields without asking, so each is of one type at every moment, but for `end_time`, which is
    null until there is an end. An older hvd's job runner may have told of it, at an upgrade.
    """
    seconds = job.get("duration_seconds") or 0.0
    if job.get("status") == "running":
        seconds += max(0, age_ns) / 1e9
    return {
        **job,
        "provider": job.get("kind", ""),
        "vm_name": job.get("name", ""),
        "start_time": job.get("start_time") or job.get("created_at"),
        "duration_seconds": round(seconds, 6),
        "error_msg": job.get("error_msg") or "",
    }


def _provider(kind: str, open_jobs: Sequence[Sequence[Any]], ends: Sequence[Sequence[Any]]) -> Json:
    """One kind's figures; the mean duration is of what ran, however it ended."""
    waiting = {row[1]: row[2] for row in open_jobs if row[0] == kind}
    own = [row for row in ends if row[0] == kind]
    ran = sum(row[3] for row in own if row[2] >= 0)
    return {
        "jobs_total": sum(waiting.values()) + sum(row[3] for row in own),
        "jobs_active": waiting.get("running", 0),
        "jobs_completed": sum(row[3] for row in own if row[1] == "completed"),
        "jobs_failed": sum(row[3] for row in own if row[1] == "failed"),
        "avg_duration_seconds": round(sum(row[4] for row in own) / ran, 6) if ran else 0.0,
    }


def observed_age(totals: Totals, observed: Json | None) -> float | None:
    """Seconds since the aggregator published; None if it did not."""
    return round((totals.monotonic_ns - observed["monotonic_ns"]) / 1e9, 3) if observed else None


def memory_age(totals: Totals, observed: Mapping[str, Any] | None) -> float | None:
    """Seconds since the oldest part of `memory_usage` was read; None where nothing was published."""
    read_ns = observed.get("memory_ns", observed["monotonic_ns"]) if observed else None
    return None if read_ns is None else round((totals.monotonic_ns - read_ns) / 1e9, 3)


def build_history(points: Sequence[Point], interval: float) -> Json:
    """The answer of /api/v1/history; `interval` is the daemon's, in s."""
    return {
        "interval_seconds": spacing(interval),
        "columns": [column.name for column in COLUMNS],
        "column_details": DETAILS,
        "points": [history_row(point) for point in points],
        "latency": {"bounds_ms": [bound / 1e6 for bound in COARSE], "counts": [list(point.counts) for point in points]},
    }


def history_row(point: Point) -> list[float]:
    """A point as JSON has it: Unix time in s, then the values, to five digits where they aren't whole numbers."""
    values = (int(value) if value.is_integer() else float(f"{value:.5g}") for value in point.values)
    return [round(point.time_ns / 1e9, 3), *values]


def build_snapshot(
    totals: Totals,
    observed: Json | None,
    post_mortems: Sequence[Json],
    *,
    health: str,
    jobs: Json | None = None,
) -> Json:
    """The answer of /api/v1/snapshot: `raw`, and health, workers, processes, routes, post-mortems beside it.

    `health` is what /health says: "starting" too, which `system_health` does not know.
    """
    return {
        **build_raw(totals, observed, healthy=health == "healthy", jobs=jobs),
        "health": health,
        "workers": build_workers(totals, observed or {}),
        "processes": list((observed or {}).get("processes", ())),
        "routes": build_routes(totals),
        "post_mortems": list(post_mortems),
    }


def build_workers(totals: Totals, observed: Mapping[str, Any]) -> list[Json]:
    """Each worker: what it did since it started, what it is doing, and what was observed of its process."""
    samples = {sample["pid"]: sample for sample in observed.get("processes", ())}
    return [
        _worker(slot, samples, totals)
        for slot in totals.slots
        if slot.slot.kind == layout.KIND_WORKER and slot.slot.pid  # a slot has none until its worker is forked
    ]


def _worker(slot: SlotTotals, samples: Mapping[int, Json], totals: Totals) -> Json:
    sample = samples.get(slot.slot.pid, {})
    return {
        "pid": slot.slot.pid,
        "kind": slot.slot.kind_name,
        "slot": slot.slot.number,
        "age_seconds": round((totals.monotonic_ns - slot.slot.taken_ns) / 1e9, 3),
        "requests": slot.heads.finished,
        "errors": slot.heads.errors,
        "in_flight": slot.heads.in_flight,
        "busy": [request_of(entry) for entry in slot.busy],
        "cpu_percent": sample.get("cpu_percent"),
        "memory_bytes": sample.get("proportional"),
        "threads": sample.get("threads"),
    }


def build_routes(totals: Totals, most: int | None = None) -> list[Json]:
    """For each route: responses, errors, by status, and mean and percentiles in ms of the completed ones.

    All routes by name, or so many that have the most responses, these first.
    """
    routes: dict[str, list[Series]] = {}
    for series in totals.of(HTTP.key):
        if totals.cells[series.offset]:
            routes.setdefault(series.labels[1], []).append(series)
    shown = sorted(routes.items())
    if most is not None:
        shown = nlargest(most, shown, key=lambda item: sum(totals.cells[series.offset] for series in item[1]))
    return [_route(route, series, totals) for route, series in shown]


def _route(route: str, found: Sequence[Series], totals: Totals) -> Json:
    runs = [totals.run(series) for series in found]
    buckets = [sum(column) for column in zip(*(run[2:].tolist() for run in runs), strict=True)]
    statuses: dict[str, int] = {}
    for series, run in zip(found, runs, strict=True):
        statuses[series.labels[2]] = statuses.get(series.labels[2], 0) + run[0]
    finished = sum(buckets)
    return {
        "route": route,
        "methods": sorted({series.labels[0] for series in found}),
        "count": sum(run[0] for run in runs),
        "errors": sum(count for status, count in statuses.items() if "4" <= status < "9"),
        "statuses": dict(sorted(statuses.items())),
        "mean_ms": sum(run[1] for run in runs) / finished / 1e6 if finished else 0.0,
        **{f"{name}_ms": round(percentile(buckets, share) / 1e6, 4) for name, share in SHARES.items()},
    }
