"""Sums and observations → JSON: every number from known ones."""

import json

import pytest

from hvd.core.history import Point
from hvd.core.slots import Entry
from hvd.core.totals import Heads
from hvd.metrics.bounds import COARSE, SHOWN
from hvd.metrics.columns import VALUES
from hvd.read.snapshot import (
    JOB_COUNTS,
    build_history,
    build_jobs,
    build_raw,
    build_routes,
    build_snapshot,
    build_workers,
    http_sums,
    merge_observed,
    observed_age,
    rates,
    shown_job,
)
from tests.unit.web import NOW, SECOND, STARTED, make_observed, make_sample, make_totals, make_worker, timed

MS = 10**6
RAW_FIELDS = {
    *("timestamp", "http_requests", "http_errors", "avg_response_time", "active_connections", "websocket_clients"),
    *("memory_usage", "cpu_usage", "goroutines", "threads", "tasks", "uptime_seconds", "system_health"),
    *("jobs_active", "jobs_pending", "jobs_completed", "jobs_failed", "jobs_cancelled", "queue_length"),
    *("recent_jobs", "provider_stats", "alerts", "requests_per_second", "error_rate", "p50", "p90", "p99"),
}
"""What clients of the predecessor, and the design, name; nothing of it may go."""


def test_sums_are_over_all_series() -> None:
    """Counts, durations and buckets of every route; other families' are not among them."""
    totals = make_totals(
        {
            ("http", "GET", "/a", "200"): timed(1 * MS, 2 * MS),
            ("http", "GET", "/b", "500"): timed(4 * MS, responses=2),
            ("tick", "read"): timed(8 * MS),
        }
    )
    sums = http_sums(totals)
    assert (sums["count"], sums["sum_ns"], sum(sums["buckets"])) == (4, 7 * MS, 3)


def test_no_series_at_all_is_all_zero() -> None:
    """A daemon that has served nothing yet."""
    raw = build_raw(make_totals({}), None, healthy=True)
    assert (raw["http_requests"], raw["avg_response_time"], raw["p99_since_start"]) == (0, 0.0, 0.0)


def test_rates_are_of_what_came_between() -> None:
    """Requests per second, share of errors, percentiles: the earlier sums are taken off."""
    before = http_sums(make_totals({("http", "GET", "/", "200"): timed(*[100 * MS] * 50)}))
    now = http_sums(make_totals({("http", "GET", "/", "200"): timed(*[100 * MS] * 50, *[2 * MS] * 9, 30 * MS)}))
    found = rates(now, before, 2.0, 4)
    assert found["requests_per_second"] == 5.0
    assert found["error_rate"] == 0.4
    assert found["p50"] == pytest.approx(2, rel=0.05)
    assert found["p90"] == pytest.approx(2, rel=0.05)
    assert found["p99"] == pytest.approx(30, rel=0.05)


def test_rates_of_the_first_series_need_no_earlier_buckets() -> None:
    """Before the first request there were no series, so no buckets to take off."""
    before = http_sums(make_totals({}))
    now = http_sums(make_totals({("http", "GET", "/", "200"): timed(2 * MS)}))
    assert rates(now, before, 1.0, 0)["p50"] == pytest.approx(2, rel=0.05)


def test_rates_of_no_time_and_no_requests_are_zero() -> None:
    """No division by zero."""
    nothing = http_sums(make_totals({}))
    assert rates(nothing, nothing, 0.0, 0) == {
        "requests_per_second": 0.0,
        "error_rate": 0.0,
        "p50": 0.0,
        "p90": 0.0,
        "p99": 0.0,
    }


def test_raw_joins_sums_and_observations() -> None:
    """Counts are of now, process figures are the aggregator's last, rates are named by their span."""
    totals = make_totals(
        {("http", "GET", "/a", "200"): timed(1 * MS, 3 * MS), ("http", "GET", "/a", "404"): timed(responses=1)},
        Heads(started=5, finished=2, aborted=1, errors=1, in_flight=2),
    )
    raw = build_raw(totals, make_observed(), healthy=True)
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


def test_raw_without_an_aggregator_has_the_same_fields() -> None:
    """Clients find every field; an age of null and `degraded` say that the process figures are no measurement."""
    totals = make_totals({("http", "GET", "/a", "200"): timed(1 * MS)})
    raw = build_raw(totals, None, healthy=False)
    assert set(raw) == set(build_raw(totals, make_observed(), healthy=True))
    assert (raw["cpu_usage"], raw["memory_usage"], raw["goroutines"]) == (0.0, 0, 0)
    assert raw["requests_per_second"] == 0.0
    assert raw["observed_age_seconds"] is None
    assert raw["system_health"] == "degraded"
    assert raw["http_requests"] == 1


def test_a_daemon_without_jobs_has_none() -> None:
    """The fields are there, and empty."""
    raw = build_raw(make_totals({}), None, healthy=True)
    assert [raw[name] for name in raw if name.startswith("jobs_")] == [0] * 5
    assert (raw["queue_length"], raw["recent_jobs"], raw["provider_stats"], raw["alerts"]) == (0, [], {}, [])


FIGURES = {
    "open": [["convert", "running", 2], ["convert", "pending", 5], ["checksum", "pending", 1]],
    "ends": [
        ["convert", "completed", 3, 4, 10.5],
        ["convert", "completed", 4, 1, 7.0],
        ["convert", "failed", 0, 2, 0.5],
        ["convert", "cancelled", 2, 1, 1.0],
        ["convert", "cancelled", -1, 9, 0.0],
        ["hash", "failed", 1, 3, 0.75],
        ["never", "cancelled", -1, 6, 0.0],
    ],
    "own": [["convert", "completed", 3, 1, 2.0]],
    "recent": [
        {"id": "b", "status": "running", "duration_seconds": 2.5},
        {"id": "a", "status": "failed", "duration_seconds": 2.5},
    ],
    "read_ns": 0,
    "trouble": "",
}
"""As Queue.figures has them: counts by kind and status, ends by kind, status and bucket, each with the seconds."""


def test_jobs_are_counted_over_all_kinds_and_daemons() -> None:
    """Of the whole queue, not only what this daemon ended; the same numbers in `raw`."""
    totals = make_totals({})
    found = build_jobs(FIGURES, totals.monotonic_ns)
    assert [found[name] for name in JOB_COUNTS] == [2, 6, 5, 5, 16, 6]
    assert [job["id"] for job in found["recent_jobs"]] == ["b", "a"]
    raw = build_raw(totals, None, healthy=True, jobs=FIGURES)
    assert {name: raw[name] for name in found} == found
    snapshot = build_snapshot(make_totals({}), None, [], health="healthy", jobs=FIGURES)
    assert {name: snapshot[name] for name in found} == found
    assert json.loads(json.dumps(found)) == found


def test_what_runs_has_run_longer_than_when_it_was_read() -> None:
    """By the monotonic clock, and never less: the page may be from after the sums. What has ended has its duration."""
    for after, seconds in ((1.5, 4.0), (-0.5, 2.5)):
        jobs = build_jobs(FIGURES, round(after * SECOND))["recent_jobs"]
        assert [job["duration_seconds"] for job in jobs] == [seconds, 2.5]


def test_clients_need_not_ask_before_they_format_a_job() -> None:
    """Also where an older hvd's job runner has told of it: no field is null but the end that there is not."""
    told = {"id": "a", "kind": "convert", "name": "disk", "status": "pending", "created_at": "2026-01-23T20:30:00.000Z"}
    nothing = dict.fromkeys(("start_time", "end_time", "duration_seconds", "error_msg"))
    shown = shown_job({**told, **nothing})
    assert shown == {
        **told,
        "provider": "convert",
        "vm_name": "disk",
        "start_time": told["created_at"],
        "end_time": None,
        "duration_seconds": 0.0,
        "error_msg": "",
    }
    assert shown_job(shown) == shown
    (running,) = build_jobs({"recent": [{**told, **nothing, "status": "running"}]}, 7)["recent_jobs"]
    assert running["duration_seconds"] == 0.0


def test_each_kind_is_told_of_with_its_mean_duration() -> None:
    """Of what ran, however it ended: a job that was cancelled while it waited took no time, and none counts for it."""
    stats = build_jobs(FIGURES, 0)["provider_stats"]
    names = ("jobs_total", "jobs_active", "jobs_completed", "jobs_failed", "avg_duration_seconds")
    assert {kind: tuple(found[name] for name in names) for kind, found in stats.items()} == {
        "checksum": (1, 0, 0, 0, 0.0),
        "convert": (24, 2, 5, 2, 2.375),
        "hash": (3, 0, 0, 3, 0.25),
        "never": (6, 0, 0, 0, 0.0),
    }
    assert list(stats) == sorted(stats)


def test_a_runner_that_has_read_nothing_yet_is_no_error() -> None:
    """It says that it is in trouble before it has any figures."""
    assert build_jobs({"trouble": "disk full"}, 0) == build_jobs({}, 0)
    assert build_jobs({}, 0)["recent_jobs"] == []


def test_observations_of_two_aggregators_merge() -> None:
    """During an upgrade: the newest says what both see; each has clients and tasks of its own."""
    older = make_observed(monotonic_ns=1, websocket_clients=30, tasks=2, cpu_usage=1.0)
    newer = make_observed(monotonic_ns=2, websocket_clients=5, tasks=3, cpu_usage=2.0)
    for pages in ([older, newer], [newer, older]):
        merged = merge_observed(pages)
        assert merged is not None
        assert (merged["websocket_clients"], merged["tasks"], merged["cpu_usage"]) == (35, 5, 2.0)
    assert merge_observed([older]) == older
    assert merge_observed([]) is None


def test_the_age_of_an_observation_is_told() -> None:
    """Seconds between its moment and the reading; None without one."""
    assert observed_age(make_totals({}), make_observed(monotonic_ns=STARTED + 20 * SECOND)) == 30.0
    assert observed_age(make_totals({}), None) is None


def test_workers_are_told_with_what_they_do_and_use() -> None:
    """Counts since the process took its slot, requests in progress, and the sample with its pid."""
    slots = (
        make_worker(11, Heads(started=9, finished=7, errors=2, in_flight=2), (Entry("GET /slow", 1.23456),)),
        make_worker(12),
    )
    observed = make_observed(make_sample("master", 10), make_sample("worker", 11, cpu_percent=77.0, threads=6))
    snapshot = build_snapshot(make_totals({}, slots=slots), observed, [{"pid": 9}], health="healthy")
    busy, new = snapshot["workers"]
    assert busy == {
        "pid": 11,
        "kind": "worker",
        "slot": 8,
        "age_seconds": 40.0,
        "requests": 7,
        "errors": 2,
        "in_flight": 2,
        "busy": [{"method": "GET", "path": "/slow", "age_seconds": 1.235}],
        "cpu_percent": 77.0,
        "memory_bytes": 20_000_000,
        "threads": 6,
    }
    assert (new["pid"], new["cpu_percent"], new["memory_bytes"], new["threads"]) == (12, None, None, None)
    assert [each["pid"] for each in snapshot["processes"]] == [10, 11]
    assert snapshot["post_mortems"] == [{"pid": 9}]


def test_a_slot_whose_worker_is_not_forked_yet_is_no_worker() -> None:
    """It has no pid; what the slot counted before is in the totals."""
    assert build_workers(make_totals({}, slots=(make_worker(0), make_worker(12))), {})[0]["pid"] == 12


def test_routes_are_told_with_all_their_statuses() -> None:
    """One entry a route: methods, statuses, errors, and the durations of what is complete."""
    totals = make_totals(
        {
            ("http", "GET", "/b", "200"): timed(*[2 * MS] * 9),
            ("http", "POST", "/b", "200"): timed(2 * MS),
            ("http", "GET", "/b", "404"): timed(80 * MS),
            ("http", "GET", "/b", "503"): timed(responses=2),
            ("http", "GET", "/a", "301"): timed(4 * MS),
            ("http", "GET", "/never", "200"): timed(),
        }
    )
    first, second = build_routes(totals)
    assert (first["route"], first["count"], first["errors"]) == ("/a", 1, 0)
    assert second["route"] == "/b"
    assert second["methods"] == ["GET", "POST"]
    assert second["statuses"] == {"200": 10, "404": 1, "503": 2}
    assert (second["count"], second["errors"]) == (13, 3)
    assert second["mean_ms"] == pytest.approx(100 / 11)
    assert second["p50_ms"] == pytest.approx(2, rel=0.05)
    assert second["p99_ms"] == pytest.approx(80, rel=0.05)


def test_a_route_whose_responses_are_all_in_progress_has_no_durations() -> None:
    """It counts, and divides by nothing."""
    (route,) = build_routes(make_totals({("http", "GET", "/a", "200"): timed(responses=1)}))
    assert (route["count"], route["mean_ms"], route["p50_ms"]) == (1, 0.0, 0.0)


def test_the_history_is_json_with_its_columns_named() -> None:
    """Unix seconds first; whole numbers without a fraction, others to five digits."""
    point = Point(NOW + 123_456_789, (1.0, 0.123456, 1234.567, *[2.5] * (len(VALUES) - 3)), (4, 5))
    answer = build_history([point], 0.3)
    assert answer["interval_seconds"] == 2.1
    assert (
        answer["columns"]
        == [column["name"] for column in answer["column_details"]]
        == ["time", *(column.name for column in VALUES)]
    )
    assert json.dumps(answer["points"][0][:4]) == f"[{NOW // SECOND}.123, 1, 0.12346, 1234.6]"
    assert answer["latency"]["counts"] == [[4, 5]]
    assert answer["latency"]["bounds_ms"] == [bound / 1e6 for bound in SHOWN] + [25_000, 50_000, 100_000]


def test_a_full_history_is_below_100_kb() -> None:
    """Of a daemon that answers some 5,000 requests a second, before compression."""
    values = (5123.4567, 0.0123456, 12.345678, 23.456789, 345.67891, 387.65, 987_654_321.0, 1234.0, 12.0, 3456.0, 17.0)
    counts = tuple(4321 // (abs(index - 6) ** 3 + 1) for index in range(len(COARSE) + 1))
    points = [Point(NOW + number * 2 * SECOND + 3_141_592, values, counts) for number in range(450)]
    assert len(json.dumps(build_history(points, 2.0), separators=(",", ":"))) < 100_000


def test_routes_with_the_most_responses_come_first_where_not_all_are_wanted() -> None:
    """Methods and statuses of a route add up; of equals the first by name."""
    totals = make_totals(
        {
            ("http", "GET", "/a", "200"): timed(1, 1),
            ("http", "GET", "/c", "200"): timed(1, 1, 1),
            ("http", "POST", "/b", "200"): timed(1, 1),
            ("http", "GET", "/b", "404"): timed(1, 1),
            ("http", "GET", "/d", "200"): timed(1, 1),
        }
    )
    assert [route["route"] for route in build_routes(totals, 3)] == ["/b", "/c", "/a"]
    assert [route["route"] for route in build_routes(totals)] == ["/a", "/b", "/c", "/d"]
