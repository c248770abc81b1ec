"""Spans of time: the last minute, the one before, and what they have of the service and its routes."""

import itertools
import random

import pytest

from hvd.core.durations import BUCKETS
from hvd.metrics.spans import SpanRecord, Sums
from hvd.read.requests import percentile
from hvd.read.spans import (
    count_before,
    count_last,
    last_and_before,
    mean_ms,
    merge_spans,
    percentiles_ms,
    route_span,
    routes_of,
    select_spans,
    series_since,
    span_of,
    sums_of,
)
from tests.unit.figures import make_totals, timed
from tests.unit.spans import MS, SECOND, answered, random_sums, span


@pytest.mark.parametrize("seed", range(30))
def test_percentiles_are_those_of_all_buckets(seed: int) -> None:
    """Of what was completed; None where nothing was."""
    sums = random_sums(random.Random(seed), 200)
    dense = [sums.buckets.get(bucket, 0) for bucket in range(BUCKETS)]
    shares = 1.0, 0.99, 0.98, 0.9, 0.5, 0.01, 0.0
    known = [round(percentile(dense, share) / 1e6, 4) if sum(dense) else None for share in shares]
    assert percentiles_ms(sums, *shares) == known
    assert (percentiles_ms(Sums(3), 0.5), mean_ms(Sums(3))) == ([None], None)


def test_series_that_have_not_changed_are_left_out() -> None:
    """A response that is completed later than it is counted is a change, and so is a series that is new."""
    before = make_totals(
        {
            ("http", "GET", "/same", "200"): timed(MS, MS),
            ("http", "GET", "/more", "200"): timed(MS),
            ("http", "GET", "/open", "200"): timed(responses=1),
        }
    )
    now = make_totals(
        {
            ("http", "GET", "/same", "200"): timed(MS, MS),
            ("http", "GET", "/more", "200"): timed(MS, 5 * MS, 5 * MS),
            ("http", "GET", "/open", "200"): timed(7 * MS),
            ("http", "GET", "/new", "503"): timed(2 * MS),
            ("http", "GET", "/none", "200"): timed(),
            ("admin", "GET", "/health", "200"): timed(MS),
        }
    )
    assert series_since(now, before.cells) == {
        ("GET", "/more", "200"): answered([5 * MS, 5 * MS]),
        ("GET", "/open", "200"): answered([7 * MS], responses=0),
        ("GET", "/new", "503"): answered([2 * MS]),
    }


@pytest.mark.parametrize("seed", range(10))
def test_spans_add_up_to_what_was_counted(seed: int) -> None:
    """However they are cut: at random moments, the merged ones are the whole."""
    order = random.Random(seed)
    routes = [f"/{number}" for number in range(5)]
    durations: dict[str, list[int]] = {route: [] for route in routes}
    looks, records = [], []
    for _ in range(6):
        for route in order.sample(routes, 3):
            durations[route] += [order.randrange(10**4, 10**11) for _ in range(order.randrange(20))]
        looks.append(make_totals({("http", "GET", route, "200"): timed(*ns) for route, ns in durations.items()}))
    for number, (then, now) in enumerate(itertools.pairwise(looks)):
        records.append(SpanRecord(number, number + 1, series=series_since(now, then.cells)))
    assert merge_spans(records).series == series_since(looks[-1], looks[0].cells)
    assert (merge_spans(records).from_ns, merge_spans(records).to_ns) == (0, 5)


def test_a_merged_span_has_the_busy_share_of_the_time_that_is_known() -> None:
    """Each for as long as it lasted."""
    records = [span(10, busy=0.2), span(20, busy=None), span(30, busy=0.6)]
    assert merge_spans(records).busy_ratio == 0.5
    assert merge_spans([span(10), span(10)]).busy_ratio is None
    assert merge_spans(records).seconds == 60


def test_a_cell_grows_by_what_was_counted() -> None:
    """Cells as the block has them."""
    assert sums_of(timed(MS, 3 * MS), timed(MS)) == answered([3 * MS])
    assert sums_of(timed(MS, responses=2), None) == answered([MS], responses=2)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([0.5], (1, 0)),
        ([10, 10, 10, 2], (4, 0)),
        ([10] * 6 + [0], (7, 0)),
        ([10] * 8 + [4], (7, 0)),
        ([10] * 9 + [4], (7, 3)),
        ([10] * 10 + [4], (7, 4)),
        ([10] * 9 + [6], (6, 4)),
        ([10] * 14 + [4], (7, 6)),
        ([60, 60, 2], (2, 1)),
        ([120, 120], (1, 1)),
        ([10] * 6 + [3600], (0, 0)),
        ([10] * 6 + [3600, 2], (1, 0)),
        ([10] * 6 + [3600, 10, 10, 10], (3, 0)),
        ([10] * 6 + [3600] + [10] * 12 + [2], (7, 6)),
    ],
)
def test_the_last_minute_is_the_nearest_to_sixty_seconds(lengths: list[float], expected: tuple[int, int]) -> None:
    """The one before is as long, as nearly as it can be; one of less than 0.42 of that is none, or of more than twice:
    the machine slept.
    """
    assert last_and_before([span(length) for length in lengths]) == expected


@pytest.mark.parametrize("first", [8, 10, 12])
@pytest.mark.parametrize("interval", [1, 2, 5])
def test_once_there_is_a_minute_before_it_stays(first: int, interval: int) -> None:
    """It came and went in a daemon's second minute, with the length of the last one."""
    known = []
    for age in range(first, 300, interval):
        records, running = divmod(age - first, 10)
        _, before = last_and_before([span(first), *[span(10) for _ in range(records)], span(running)])
        known.append(before > 0)
    assert known == sorted(known)
    assert known.index(True) * interval + first <= 120


def test_counts_of_nothing() -> None:
    """No record, no number."""
    assert (count_last([], 60), count_before([], 60), last_and_before([])) == (0, 0, (0, 0))


def test_a_span_is_selected_by_where_most_of_it_lies() -> None:
    """A short wish gets the span that has it; a wish of other times nothing."""
    records = [span(10, end=10 * number) for number in range(1, 7)]  # 0 to 60

    def selected(start: float, end: float) -> list[int]:
        return list(select_spans(records, round(start * SECOND), round(end * SECOND)))

    assert selected(0, 60) == selected(4, 56) == [0, 1, 2, 3, 4, 5]
    assert selected(6, 54) == [1, 2, 3, 4]
    assert selected(20, 40) == [2, 3]
    assert selected(41, 44) == [4]
    assert selected(100, 200) == []
    assert list(select_spans([], 0, SECOND)) == []


def test_figures_of_a_span() -> None:
    """Exact counts, and times that are None where nothing was completed."""
    record = span(
        20, ("/a", "200", answered([10 * MS] * 90)), ("/a", "503", answered([MS] * 8)), ("/b", "404", answered([], 2))
    )
    figures = span_of(record)
    assert (figures["seconds"], figures["requests"], figures["requests_per_second"]) == (20, 100, 5)
    assert (figures["server_errors"], figures["client_errors"]) == (8, 2)
    assert (figures["server_error_rate"], figures["client_error_rate"]) == (0.08, 0.02)
    assert figures["p50_ms"] == pytest.approx(10, rel=0.05)
    assert figures["seconds_spent"] == 0.908
    nothing = span_of(SpanRecord(5, 5))
    assert [nothing[name] for name in ("requests_per_second", "server_error_rate")] == [0, 0]  # type: ignore[literal-required]
    assert [nothing[name] for name in ("mean_ms", "p50_ms", "p99_ms", "busy_ratio")] == [None] * 4  # type: ignore[literal-required]


def test_figures_of_a_route() -> None:
    """All its methods and statuses together."""
    series = {
        ("GET", "/a", "200"): answered([MS] * 6),
        ("POST", "/a", "500"): answered([9 * MS] * 3),
        ("POST", "/a", "422"): answered([9 * MS]),
        ("GET", "/b", "200"): answered([MS], responses=0),
    }
    routes = routes_of(series)
    assert list(routes) == ["/a", "/b"]
    figures = route_span("/a", routes["/a"], 5)
    assert (figures["methods"], figures["statuses"]) == (["GET", "POST"], {"200": 6, "422": 1, "500": 3})
    assert (figures["requests"], figures["client_errors"], figures["server_errors"]) == (10, 1, 3)
    assert (figures["requests_per_second"], figures["server_error_rate"]) == (2, 0.3)
    assert figures["mean_ms"] == 4.2
    assert (route_span("/b", routes["/b"], 5)["statuses"], routes["/b"].sums.responses) == ({}, 0)
