"""A reading → the JSON of a snapshot: every number from known ones."""

import json
from dataclasses import replace

import pytest

from hvd.core import layout
from hvd.core.own.definition import Definition
from hvd.core.slots import Entry
from hvd.core.totals import Heads
from hvd.read.jobs import build_jobs
from hvd.read.requests import build_routes
from hvd.read.snapshot import build_detailed_snapshot, build_raw, build_snapshot, build_workers
from tests.unit.figures import (
    make_jobs,
    make_page,
    make_reading,
    make_request,
    make_sample,
    make_service,
    make_totals,
    make_worker,
    timed,
)
from tests.unit.own_figures import make_family, make_own

MS = 10**6
RAW_FIELDS = {
    *("timestamp", "http_requests", "http_errors", "avg_response_time", "active_connections", "websocket_clients"),
    *("memory_usage", "cpu_usage", "goroutines", "threads", "tasks", "uptime_seconds", "totals_since", "system_health"),
    *("jobs_active", "jobs_pending", "jobs_completed", "jobs_failed", "jobs_cancelled", "queue_length"),
    *("recent_jobs", "provider_stats", "alerts", "requests_per_second", "error_rate", "p50", "p90", "p99"),
}
"""What clients of the predecessor, and the design, name; nothing of it may go."""


def test_no_series_at_all_is_all_zero() -> None:
    """A daemon that has served nothing yet, and has no jobs."""
    raw = build_raw(make_reading(make_totals({})))
    assert (raw["http_requests"], raw["avg_response_time"], raw["p99_since_start"]) == (0, 0.0, 0.0)
    assert [value for name, value in raw.items() if name.startswith("jobs_")] == [0] * 5
    assert (raw["queue_length"], raw["recent_jobs"], raw["provider_stats"], raw["alerts"]) == (0, [], {}, [])


def test_raw_joins_sums_and_observations() -> None:
    """Counts are of now, process figures are the aggregator's last, rates are named by their span."""
    totals = make_totals(
        {("http", "GET", "/a", "200"): timed(1 * MS, 3 * MS), ("http", "GET", "/a", "404"): timed(responses=1)},
        Heads(started=5, finished=2, aborted=1, errors=1, in_flight=2),
    )
    raw = build_raw(make_reading(totals, make_page()))
    assert set(raw) >= RAW_FIELDS
    assert raw["timestamp"] == "2026-01-23T20:30:00Z"
    assert (raw["http_requests"], raw["http_errors"]) == (3, 1)
    assert raw["avg_response_time"] == 2.0
    assert (raw["active_connections"], raw["websocket_clients"]) == (4, 4)
    assert (raw["threads"], raw["tasks"], raw["goroutines"]) == (7, 2, 9)
    assert (raw["cpu_usage"], raw["memory_usage"]) == (12.5, 40_000_000)
    assert raw["uptime_seconds"] == 50.0
    assert raw["requests"] == {"started": 5, "finished": 2, "in_flight": 2, "aborted": 1}
    assert (raw["requests_per_second"], raw["requests_per_second_since_start"]) == (5.0, 0.06)
    assert (raw["error_rate"], raw["error_rate_since_start"]) == (0.5, pytest.approx(1 / 3, abs=1e-6))
    assert (raw["p99"], raw["p99_since_start"]) == (3.0, pytest.approx(3, rel=0.05))
    assert (raw["observed_age_seconds"], raw["memory_age_seconds"]) == (1.0, 3.0)
    assert raw["system_health"] == "healthy"
    assert json.loads(json.dumps(raw)) == raw


def test_raw_says_what_the_workers_do() -> None:
    """How busy they are and with what, what waits, since when, and what is wrong."""
    service = make_service(
        make_request(18.25), make_request(12.5, "POST /pay"), threads=2, clients=(1, 2, 3, 4, 5, 6, 0, 0)
    )
    raw = build_raw(make_reading(make_totals({}), make_page(), service))
    assert (raw["workers_alive"], raw["worker_threads"], raw["worker_threads_busy"]) == (1, 2, 2)
    assert (raw["busy_ratio"], raw["saturated_seconds"]) == (0.75, 12.5)
    assert (raw["accept_backlog"], raw["accept_backlog_limit"]) == (3, 2048)
    assert raw["queued_requests"] == 6
    assert raw["waiting_clients"] == {"silent": 1, "half_head": 2, "half_body": 3, "unread": 4, "idle": 5}
    assert (raw["p50_with_open"], raw["p90_with_open"], raw["p99_with_open"]) == (1.5, 2.5, 18000.0)
    assert (raw["queue_time_p50"], raw["queue_time_p99"]) == (4.5, 250.0)
    assert (raw["event_loop_lag_seconds"], raw["app_connections"], raw["joined_processes"]) == (None, 0, 0)
    assert (raw["health"], raw["system_health"]) == ("degraded", "degraded")
    assert raw["reasons"] == ["saturated: all 2 threads busy for 12.5 s; the oldest request GET /slow for 18.2 s"]
    assert raw["longest_requests"][1] == {
        "method": "POST",
        "path": "/pay",
        "age_seconds": 12.5,
        "pid": 11,
        "slot": 12,
        "stack": [],
        "stack_age_seconds": None,
    }
    silent = build_raw(replace(make_reading(make_totals({}), service=replace(service, workers=())), backlog=None))
    assert silent["accept_backlog"] is silent["accept_backlog_limit"] is None
    assert (silent["health"], silent["system_health"]) == ("unhealthy", "unhealthy")
    assert json.loads(json.dumps(raw)) == raw


def test_raw_without_an_aggregator_has_the_same_fields() -> None:
    """Clients find every field; an age of null and `degraded` say that the process figures are no measurement."""
    totals = make_totals({("http", "GET", "/a", "200"): timed(1 * MS)})
    raw = build_raw(make_reading(totals))
    assert set(raw) == set(build_raw(make_reading(totals, make_page())))
    assert (raw["cpu_usage"], raw["memory_usage"], raw["goroutines"]) == (0.0, 0, 0)
    assert raw["requests_per_second"] == 0.0
    assert raw["observed_age_seconds"] is raw["memory_age_seconds"] is None
    assert raw["system_health"] == "degraded"
    assert raw["http_requests"] == 1


def test_a_snapshot_has_more_beside_raw() -> None:
    """Health as /health says it, workers, processes, routes, post-mortems; and jobs as they are elsewhere."""
    jobs = make_jobs(open=[["convert", "running", 2]], recent=[{"id": "a", "status": "running"}])
    totals = make_totals({("http", "GET", "/a", "200"): timed(MS)}, slots=(make_worker(11),))
    reading = make_reading(totals, make_page(make_sample("master", 10), make_sample("worker", 11)), jobs=jobs)
    snapshot = build_snapshot(reading, [{"pid": 9}])
    raw = build_raw(reading)
    assert {name: value for name, value in snapshot.items() if name in raw} == raw
    assert {name: raw.get(name) for name in build_jobs(jobs, 0)} == build_jobs(jobs, totals.monotonic_ns)
    assert [build_raw(make_reading(totals, runs_jobs=runs))["runs_jobs"] for runs in (True, False)] == [True, False]
    assert snapshot["health"] == "healthy"
    assert [worker["pid"] for worker in snapshot["workers"]] == [11]
    assert [process["pid"] for process in snapshot["processes"]] == [10, 11]
    assert snapshot["routes"] == build_routes(totals)
    assert snapshot["post_mortems"] == [{"pid": 9}]
    alone = build_snapshot(make_reading(totals, missing=1), [])
    assert (alone["health"], alone["system_health"], alone["processes"]) == ("degraded", "degraded", [])


def test_a_detailed_snapshot_has_own_metrics_too() -> None:
    """Of the default registry, with all of their series."""
    own = make_own(
        make_family(Definition("orders", "counter", "O."), {(): 3}),
        make_family(Definition("hidden", "counter", "H.", registry="-"), {(): 1}),
    )
    reading = replace(make_reading(make_totals({})), own=own)
    snapshot = build_detailed_snapshot(reading, [])
    assert [(metric["name"], metric["series"][0]["value"]) for metric in snapshot["own"]] == [("orders", 3)]
    assert {name: value for name, value in snapshot.items() if name != "own"} == build_snapshot(reading, [])


def test_of_many_requests_a_worker_has_the_oldest() -> None:
    """How many there are, `in_flight` says."""
    entries = tuple(Entry(f"GET /{age}", age) for age in range(100))
    (worker,) = build_workers(make_totals({}, slots=(make_worker(1, Heads(in_flight=100), entries),)), None)
    assert [request["age_seconds"] for request in worker["busy"]] == [*range(99, 89, -1)]


def test_workers_have_what_they_do_and_use() -> None:
    """Counts since the process took its slot, requests in progress, and the sample with its pid.

    A slot whose worker isn't forked yet has no pid, and is none.
    """
    slots = (
        make_worker(
            11, Heads(started=9, finished=7, errors=3, in_flight=2, server_errors=2), (Entry("GET /slow", 1.23456),)
        ),
        make_worker(0),
        make_worker(12),
        replace(make_worker(13), slot=make_worker(13).slot._replace(kind=layout.KIND_JOINED)),
    )
    page = make_page(make_sample("master", 10), make_sample("worker", 11, cpu_percent=77.0, threads=6))
    busy, new, joined = build_workers(make_totals({}, slots=slots), page)
    assert busy == {
        "pid": 11,
        "kind": "worker",
        "slot": 8,
        "age_seconds": 40.0,
        "requests": 7,
        "errors": 3,
        "client_errors": 1,
        "server_errors": 2,
        "in_flight": 2,
        "busy": [{"method": "GET", "path": "/slow", "age_seconds": 1.235}],
        "cpu_percent": 77.0,
        "memory_bytes": 20_000_000,
        "threads": 6,
    }
    assert (new["kind"], joined["kind"], joined["pid"]) == ("worker", "joined", 13)
    assert (new["pid"], new["cpu_percent"], new["memory_bytes"], new["threads"]) == (12, None, None, None)
