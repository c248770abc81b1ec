"""From tick to tick: points of the history, and the details that some clients ask for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hvd.agg.own_trend import OwnDetail
from hvd.agg.trend import PROCESSES, ROUTES, WORKERS, Trend, build_detail
from hvd.core.block import Block
from hvd.core.history import History, Point
from hvd.core.totals import Heads, Totals
from hvd.metrics.columns import VALUES
from hvd.read.history import history_of, point_by_column
from hvd.read.requests import build_routes, sum_requests
from hvd.read.snapshot import Raw, build_raw, build_workers
from tests.unit.core.support import keeping_locked
from tests.unit.figures import NOW, SECOND, make_page, make_reading, make_sample, make_totals, make_worker, timed

MS = 10**6


def at(seconds: float, *durations_ns: int, errors: int = 0, in_flight: int = 0) -> Totals:
    """Totals so many seconds after the start, with these responses in all."""
    heads = Heads(started=len(durations_ns) + in_flight, finished=len(durations_ns), errors=errors, in_flight=in_flight)
    totals = make_totals({("http", "GET", "/a", "200"): timed(*durations_ns)}, heads, seconds=seconds)
    return replace(totals, time_ns=NOW + round(seconds * SECOND))


def raw(totals: Totals, cpu: float) -> Raw:
    """The figures of a tick."""
    figures = build_raw(make_reading(totals, make_page(cpu_usage=cpu, memory_usage=1000, busy_ratio=cpu / 100)))
    figures["jobs_active"], figures["jobs_pending"] = 2, 1
    return figures


def values(point: Point) -> dict[str, float]:
    return dict(zip((column.name for column in VALUES), point.values, strict=True))


@pytest.fixture
def history(block: Block) -> History:
    return history_of(block)


def always() -> bool:
    return True


def make_trend(history: History, totals: Totals, interval: float = 2.0, writes: Callable[[], bool] = always) -> Trend:
    return Trend(history, sum_requests(totals), interval, writes)


def tick(trend: Trend, totals: Totals, cpu: float = 0.0) -> Point | None:
    """-> the point that it made."""
    trend.tick(totals.time_ns, sum_requests(totals), raw(totals, cpu))
    return trend.point


def read(history: History) -> list[Point]:
    return history.read(NOW + 900 * SECOND)


def test_a_point_is_of_the_time_since_the_last(history: History) -> None:
    """Rate, share, percentiles, CPU, buckets: of the point's own span, whatever the ticks are."""
    trend = make_trend(history, at(10, *[MS] * 5), 1.0)
    assert tick(trend, at(11, *[MS] * 5, *[20 * MS] * 3), cpu=10) is None
    assert read(history) == []
    point = tick(trend, at(12, *[MS] * 5, *[20 * MS] * 8, errors=2, in_flight=1), cpu=30)
    assert point
    assert read(history) == [point]
    expected = {
        "requests_per_second": 4.0,
        "error_rate": 0.25,
        "server_error_rate": 0.0,
        "client_error_rate": 0.25,
        "p50": pytest.approx(20, rel=0.05),
        "cpu_usage": 20.0,
        "busy_ratio": 0.2,
        "memory_usage": 1000,
        "websocket_clients": 4,
        "jobs_active": 2,
        "jobs_pending": 1,
        "in_flight": 1,
    }
    assert {name: values(point)[name] for name in expected} == expected
    assert sum(point.counts) == 8
    assert tick(trend, at(13, *[MS] * 5, *[20 * MS] * 8)) is None, "a point is told once"


def test_a_long_interval_gives_a_point_a_tick(history: History) -> None:
    """Of a minute each, say."""
    trend = make_trend(history, at(0), 60.0)
    for minute in range(1, 4):
        tick(trend, at(60 * minute, *[MS] * 60 * minute))
    assert [values(point)["requests_per_second"] for point in read(history)] == [1.0, 1.0, 1.0]


def test_another_interval_is_another_rhythm(history: History) -> None:
    """From the tick on that comes first at it; no point is lost."""
    trend = make_trend(history, at(0), 60.0)
    assert tick(trend, at(2)) is None
    trend.set_interval(1.0)
    assert [second for second in range(3, 9) if tick(trend, at(second))] == [3, 5, 7]


@pytest.mark.parametrize(("interval", "every"), [(0.1, 20), (0.3, 7), (1.5, 2), (2.0, 1)])
def test_ticks_that_are_late_or_early_skip_no_point(history: History, interval: float, every: int) -> None:
    """The rhythm is that of the ticks, each of which may be a twentieth of an interval off."""
    trend = make_trend(history, at(0), interval)
    made = [n for n in range(1, 201) if tick(trend, at((n + (n * 7 % 11 - 5) / 100) * interval))]
    assert made == list(range(every, 201, every))


def test_a_stop_makes_a_point_of_a_shorter_time(history: History) -> None:
    """So the history that is kept ends with the daemon; what is shorter than half a second is noise."""
    trend = make_trend(history, at(0))
    for seconds, requests in ((2, 4), (2.7, 11), (3.1, 12)):
        totals = at(seconds, *[MS] * requests)
        trend.tick(totals.time_ns, sum_requests(totals), raw(totals, 0), is_last=seconds > 2)
    assert [(sum(point.counts), values(point)["requests_per_second"]) for point in read(history)] == [(4, 2), (7, 10)]


def test_missed_beats_make_a_longer_point(history: History) -> None:
    """Nothing that was counted is left out."""
    trend = make_trend(history, at(0))
    for seconds in (2, 9, 11):
        tick(trend, at(seconds, *[MS] * seconds))
    points = read(history)
    assert [sum(point.counts) for point in points] == [2, 7, 2]
    assert [values(point)["requests_per_second"] for point in points] == [1.0, 1.0, 1.0]


def test_of_two_aggregators_one_writes(history: History) -> None:
    """Two live during an upgrade; the one that doesn't write tells its clients, and goes on where the other ended."""
    newer = True
    old, new = make_trend(history, at(0), writes=lambda: not newer), make_trend(history, at(0.1))
    for second in (2, 4):
        assert tick(old, at(second, *[MS] * second))
        assert tick(new, at(second + 0.1, *[MS] * second))
    assert [point.time_ns for point in read(history)] == [NOW + second * SECOND // 10 for second in (21, 41)]
    newer = False
    tick(old, at(6, *[MS] * 6))
    assert [sum(point.counts) for point in read(history)] == [2, 2, 2]


def test_what_could_not_be_written_is_in_the_next_point(history: History, block: Block) -> None:
    """While a stopped process has the block locked: no tick waits for it."""
    trend = make_trend(history, at(0))
    with keeping_locked(block):
        assert tick(trend, at(2, *[MS] * 3)) is None
    point = tick(trend, at(4, *[MS] * 8))
    assert read(history) == [point]
    assert sum(read(history)[0].counts) == 8


NO_OWN: OwnDetail = {"own": [], "pinned": {}}


def serving(seconds: float, requests: int, *, new: int = 0, exits: int = 0) -> Totals:
    """Totals of one worker and one route; of another worker and route too, where there is something `new`."""
    counted: dict[tuple[str, ...], list[int]] = {
        ("http", "GET", "/a", "200"): timed(*[MS] * requests),
        ("http", "POST", "/a", "503"): timed(MS),
        ("exits", "worker", "SIGKILL"): [exits],
        ("exits", "worker", "0"): [exits],
        ("exits", "aggregator", "SIGKILL"): [9],
    }
    slots = [make_worker(7, Heads(finished=requests))]
    if new:
        counted["http", "GET", "/b", "200"] = timed(*[MS] * new)
        slot = make_worker(8, Heads(finished=new))
        slots.append(replace(slot, slot=slot.slot._replace(number=9, taken_ns=slot.slot.taken_ns + 35 * SECOND)))
    return make_totals(counted, slots=tuple(slots), seconds=seconds)


def test_details_have_rates_beside_what_the_snapshot_has() -> None:
    """Of each worker and each route; what is new counts from 0 on."""
    observed = make_page(make_sample("worker", 7))
    totals = serving(52, 30, new=8, exits=1)
    detail = build_detail(make_reading(totals, observed), serving(48, 10), None, NO_OWN)
    assert [worker.pop("requests_per_second") for worker in detail["workers"]] == [5.0, 2.0]
    started = [worker.pop("started_at") for worker in detail["workers"]]
    assert started == ["2026-01-23T20:29:18Z", "2026-01-23T20:29:53Z"]
    assert [route.pop("requests_per_second") for route in detail["routes"]] == [5.0, 2.0]
    assert [row.pop("last_minute") for row in (*detail["workers"], *detail["routes"])] == [None] * 4
    assert detail["workers"] == build_workers(totals, observed)
    assert detail["routes"] == build_routes(totals)
    assert (detail["changes"], detail["skew"]) == ([], [])
    assert detail["restarts"] == 2
    assert detail["processes"] == observed["processes"]
    assert (detail["point"], detail["latency"]) == (None, None)


def test_a_worker_that_took_a_slot_over_has_done_only_its_own() -> None:
    """Another process's requests are no rate of it, even if its pid were the same."""
    before, totals = serving(48, 100), serving(52, 4)
    (slot,) = totals.slots
    later = replace(slot, slot=slot.slot._replace(taken_ns=slot.slot.taken_ns + 39 * SECOND))
    detail = build_detail(make_reading(replace(totals, slots=(later,))), before, None, NO_OWN)
    assert detail["workers"][0]["requests_per_second"] == 1.0


def test_no_time_between_two_readings_is_no_rate() -> None:
    """At the very first greeting."""
    totals = serving(50, 10)
    detail = build_detail(make_reading(totals), totals, None, NO_OWN)
    assert [row["requests_per_second"] for row in (*detail["workers"], *detail["routes"])] == [0.0, 0.0]


def test_details_carry_the_newest_point() -> None:
    """A row of the history, with its columns named."""
    point = Point(NOW, tuple(float(index) for index in range(len(VALUES))), (1, 2, 3))
    detail = build_detail(make_reading(at(1)), at(0), point, NO_OWN)
    assert detail["point"] == point_by_column(point)
    assert detail["latency"] == [1, 2, 3]


def test_details_are_bounded() -> None:
    """The routes with the most responses are shown, these first."""
    counted: dict[tuple[str, ...], list[int]] = {
        ("http", "GET", f"/{number}", "200"): timed(*[MS] * (number % 7 + 1)) for number in range(ROUTES + 50)
    }
    slots = tuple(make_worker(pid) for pid in range(1, WORKERS + 2))
    observed = make_page(*(make_sample("worker", pid) for pid in range(1, PROCESSES + 2)))
    totals = make_totals(counted, slots=slots)
    detail = build_detail(make_reading(totals, observed), totals, None, NO_OWN)
    counts = [route["count"] for route in detail["routes"]]
    assert (len(detail["workers"]), len(counts), len(detail["processes"])) == (WORKERS, ROUTES, PROCESSES)
    assert counts == sorted(counts, reverse=True)
    assert min(counts) >= 2
