"""From tick to tick: points of the history, and the details that some clients ask for."""

from dataclasses import replace
from typing import Any

import pytest

from hvd.agg.trend import ROUTES, Details, Trend
from hvd.core.block import Block
from hvd.core.history import VALUE_NAMES, History, Point
from hvd.core.totals import Heads, Totals
from hvd.snapshot import build_history
from tests.unit.web import NOW, SECOND, make_observed, make_sample, make_totals, make_worker, timed

MS = 10**6


def at(seconds: float, *durations_ns: int, errors: int = 0, in_flight: int = 0) -> Totals:
    """Totals so many seconds after the start, with these responses in all."""
    heads = Heads(started=len(durations_ns) + in_flight, finished=len(durations_ns), errors=errors, in_flight=in_flight)
    totals = make_totals({("http", "GET", "/a", "200"): timed(*durations_ns)}, heads, seconds=seconds)
    return replace(totals, time_ns=NOW + round(seconds * SECOND))


def raw(cpu: float = 0.0, **values: float) -> dict[str, Any]:
    """What the trend reads of a tick's figures."""
    plain = {"cpu_usage": cpu, "memory_usage": 1000, "websocket_clients": 3, "jobs_active": 2, "jobs_pending": 1}
    return {**plain, **values}


def values(point: Point) -> dict[str, float]:
    return dict(zip(VALUE_NAMES, point.values, strict=True))


@pytest.fixture
def history(block: Block) -> History:
    return History(block)


def test_a_point_is_of_the_time_since_the_last(history: History) -> None:
    """Rate, share, percentiles, buckets: differences over the point's own span, whatever the ticks are."""
    trend = Trend(history, at(10, *[MS] * 5))
    trend.tick(at(11, *[MS] * 5, *[20 * MS] * 3), raw(cpu=10))
    assert (trend.point, history.read()) == (None, [])
    trend.tick(at(12, *[MS] * 5, *[20 * MS] * 8, errors=2, in_flight=1), raw(cpu=30))
    (point,) = history.read()
    assert trend.point == point
    found = values(point)
    assert (found["requests_per_second"], found["error_rate"]) == (4.0, 0.25)
    assert found["p50"] == pytest.approx(20, rel=0.05)
    assert (found["cpu_usage"], found["memory_usage"], found["websocket_clients"]) == (20.0, 1000, 3)
    assert (found["jobs_active"], found["jobs_pending"], found["in_flight"]) == (2, 1, 1)
    assert sum(point.counts) == 8
    trend.tick(at(13, *[MS] * 5, *[20 * MS] * 8), raw())
    assert trend.point is None, "a point is told once"


def test_a_long_interval_gives_a_point_a_tick(history: History) -> None:
    """Of a minute each, say."""
    trend = Trend(history, at(0))
    for minute in range(1, 4):
        trend.tick(at(60 * minute, *[MS] * 60 * minute), raw())
    assert [values(point)["requests_per_second"] for point in history.read()] == [1.0, 1.0, 1.0]


def test_a_second_aggregator_adds_no_second_point(history: History) -> None:
    """Two live during an upgrade."""
    trends = [Trend(history, at(0)), Trend(history, at(0.1))]
    for second in (2, 4, 6):
        for index, trend in enumerate(trends):
            trend.tick(at(second + index / 10), raw())
    assert len(history.read()) == 3


def test_details_have_rates_from_the_second_time_on() -> None:
    """None while there is nothing to measure from; of each worker and of each route."""
    details = Details()
    observed = make_observed(make_sample("worker", 7))

    def make(seconds: float, requests: int) -> Any:
        totals = make_totals(
            {("http", "GET", "/a", "200"): timed(*[MS] * requests), ("exits", "worker", "SIGKILL"): [2]},
            slots=(make_worker(7, Heads(finished=requests)),),
            seconds=seconds,
        )
        return details.make(totals, observed, None)

    first, second = make(50, 10), make(52, 30)
    assert first["workers"][0]["requests_per_second"] is None
    assert first["routes"][0]["requests_per_second"] is None
    assert second["workers"][0]["requests_per_second"] == 10.0
    assert second["routes"][0]["requests_per_second"] == 10.0
    assert second["restarts"] == 2
    assert second["workers"][0]["started_at"] == "2026-01-23T20:29:18Z"
    assert second["processes"] == observed["processes"]
    assert (second["point"], second["latency"]) == (None, None)


def test_details_carry_the_newest_point() -> None:
    """As a row of the history."""
    point = Point(NOW, tuple(float(index) for index in range(len(VALUE_NAMES))), (1, 2, 3))
    data = Details().make(at(1), {}, point)
    assert data["point"] == build_history([point], 2.0)["points"][0]
    assert data["latency"] == [1, 2, 3]


def test_details_are_bounded() -> None:
    """The routes with the most responses are shown."""
    counted = {("http", "GET", f"/{number}", "200"): timed(*[MS] * (number % 7 + 1)) for number in range(ROUTES + 50)}
    routes = Details().make(make_totals(counted), {}, None)["routes"]
    assert len(routes) == ROUTES
    assert routes[0]["count"] == 7
    assert min(route["count"] for route in routes) >= 2


def test_the_history_is_json_with_its_columns_named() -> None:
    """Unix seconds first; whole numbers without a fraction; the interval is never below that of the points."""
    point = Point(NOW + 123_456_789, (1.0, 0.123456, *[2.5] * (len(VALUE_NAMES) - 2)), (4, 5))
    answer = build_history([point], 0.5)
    assert answer["interval_seconds"] == 2.0
    assert build_history([], 30.0)["interval_seconds"] == 30.0
    assert answer["columns"] == ["time", *VALUE_NAMES]
    assert answer["points"][0][:3] == [NOW / 1e9 + 0.123, 1, 0.1235]
    assert answer["latency"]["counts"] == [[4, 5]]
    assert answer["latency"]["bounds_ms"][0] == 0.1
