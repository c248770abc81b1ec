"""Requests in progress, added up, their rates, percentiles and routes: every number from known ones."""

import itertools
import math
import random

import pytest

from hvd.core.durations import BOUNDS, BUCKETS
from hvd.read.requests import RequestSums, build_routes, percentile, request_of, sum_requests
from tests.unit.figures import between, make_totals, timed

MS = 10**6
SHARES = (0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0)


@pytest.mark.parametrize(
    ("text", "method", "path"),
    [("GET /items/1", "GET", "/items/1"), ("GET /a b", "GET", "/a b"), ("(unparsed)", "(unparsed)", ""), ("", "", "")],
)
def test_an_entry_tells_method_path_and_age(text: str, method: str, path: str) -> None:
    """A path may have spaces; what was no request yet has none. The age is to the millisecond."""
    assert request_of(text, 1.23456) == {"method": method, "path": path, "age_seconds": 1.235}


def sums(*durations_ns: int, errors: int = 0) -> RequestSums:
    """Of one series with these durations."""
    counted = {("http", "GET", "/", "200"): timed(*durations_ns)} if durations_ns else {}
    return RequestSums(0, len(durations_ns), errors, 0, sum(durations_ns), sum_requests(make_totals(counted)).buckets)


def test_sums_are_over_all_series() -> None:
    """Counts, durations and buckets of every route; other families' are not among them."""
    totals = make_totals(
        {
            ("http", "GET", "/a", "200"): timed(1 * MS, 2 * MS),
            ("http", "GET", "/b", "500"): timed(4 * MS, responses=2),
            ("tick", "read"): timed(8 * MS),
        }
    )
    requests = sum_requests(totals)
    assert (requests.responses, requests.duration_ns, sum(requests.buckets)) == (4, 7 * MS, 3)


def test_rates_are_of_what_came_between() -> None:
    """Requests per second, share of errors, percentiles: the earlier sums are taken off."""
    rates = sums(*[100 * MS] * 50, *[2 * MS] * 9, 30 * MS, errors=7).since(sums(*[100 * MS] * 50, errors=3)).rates(2.0)
    assert rates["requests_per_second"] == 5.0
    assert rates["error_rate"] == 0.4
    assert rates["p50"] == pytest.approx(2, rel=0.05)
    assert rates["p90"] == pytest.approx(2, rel=0.05)
    assert rates["p99"] == pytest.approx(30, rel=0.05)


def test_a_worker_killed_between_a_response_and_its_error_leaves_no_negative_count() -> None:
    """It had counted the first one only, which was the server's."""
    killed = sum_requests(make_totals({("http", "GET", "/a", "500"): timed(1 * MS)}))
    assert (killed.server_errors, killed.errors) == (1, 0)
    assert (killed.client_errors, killed.rates(1.0)["client_error_rate"]) == (0, 0.0)


def test_rates_of_the_first_series_are_since_there_was_none() -> None:
    """Before the first request there were no series."""
    assert sums(2 * MS).since(sums()).rates(1.0)["p50"] == pytest.approx(2, rel=0.05)


def test_rates_of_no_time_and_no_requests_are_zero() -> None:
    """No division by zero."""
    assert set(sums().since(sums()).rates(0.0).values()) == {0.0}
    assert sums().mean_ms == 0.0


def test_routes_have_all_their_statuses() -> None:
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


@pytest.mark.parametrize("seed", range(8))
def test_a_percentile_is_within_five_percent(seed: int) -> None:
    """Of the value of that rank, for values from 11 µs to 100 s spread over many decades or few."""
    random_ = random.Random(seed)
    for _ in range(50):
        low = between(random_, 11_000, 10**11)
        high = between(random_, low, 10**11)
        values = sorted(between(random_, low, high) for _ in range(random_.choice((1, 2, 3, 10, 1000))))
        buckets = timed(*values)[2:]
        for share in (*SHARES, random_.random()):
            exact = values[max(1, math.ceil(len(values) * share)) - 1]
            assert percentile(buckets, share) == pytest.approx(exact, rel=0.05)


def test_the_worst_values_of_every_bucket_are_within_five_percent() -> None:
    """Its upper bound, and what is just above its lower bound."""
    for low, high in itertools.pairwise(BOUNDS):
        for value in (low + 1, high):
            assert percentile(timed(value)[2:], 0.5) == pytest.approx(value, rel=0.05)


def test_without_values_a_percentile_is_zero() -> None:
    """An empty histogram has no latency, and does not fail."""
    assert percentile([0] * BUCKETS, 0.5) == 0.0
    assert percentile([], 0.5) == 0.0


def test_values_out_of_range_give_the_nearest_end() -> None:
    """Below 11 µs: 11 µs; above 100 s: 100 s."""
    assert percentile(timed(0, 1, 9_999)[2:], 0.9) == BOUNDS[0]
    assert percentile(timed(10**11 + 1, 10**13)[2:], 0.1) == 10**11


def test_requests_in_progress_count_with_their_ages() -> None:
    """One each: so what is stuck shows in the percentiles, and grows, though nothing of it is complete."""
    span = sums(*[MS] * 98)
    assert span.with_open([]) == {
        "p50_with_open": span.percentile_ms(0.5),
        "p90_with_open": span.percentile_ms(0.9),
        "p99_with_open": span.percentile_ms(0.99),
    }
    stuck = span.with_open([18_000 * MS, 20_000 * MS])
    assert stuck["p50_with_open"] == span.percentile_ms(0.5)
    assert stuck["p99_with_open"] == pytest.approx(18_000, rel=0.05)
    assert sums().with_open([2_000 * MS])["p50_with_open"] == pytest.approx(2_000, rel=0.05)
    assert span.buckets == sums(*[MS] * 98).buckets


def test_requests_that_have_just_begun_make_nothing_look_better() -> None:
    """They take longer in the end than they have taken so far."""
    span = sums(*[50 * MS] * 10)
    assert span.with_open([MS] * 100)["p50_with_open"] == span.percentile_ms(0.5)
