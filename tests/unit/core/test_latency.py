"""Buckets and percentiles."""

import itertools
import math
import random
from array import array
from bisect import bisect_left

import pytest

from hvd.core.hot import cumulate
from hvd.core.latency import BOUNDS, BUCKETS, SHOWN, SHOWN_ENDS, percentile

SHARES = (0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0)


def shown_cumulative(buckets: list[int]) -> list[int]:
    """As exposition.py takes them."""
    return list(cumulate(memoryview(array("q", buckets)), 0, SHOWN_ENDS))


def bucketed(values: list[int]) -> list[int]:
    """As rows.py sorts durations."""
    buckets = [0] * BUCKETS
    for value in values:
        buckets[bisect_left(BOUNDS, value)] += 1
    return buckets


def between(random_: random.Random, low: float, high: float) -> int:
    return round(math.exp(random_.uniform(math.log(low), math.log(high))))


@pytest.mark.parametrize("seed", range(8))
def test_a_percentile_is_within_five_percent(seed: int) -> None:
    """Of the value of that rank, for values from 10 µs to 100 s spread over many decades or few."""
    random_ = random.Random(seed)
    for _ in range(50):
        low = between(random_, 10_000, 10**11)
        high = between(random_, low, 10**11)
        values = sorted(between(random_, low, high) for _ in range(random_.choice((1, 2, 3, 10, 1000))))
        buckets = bucketed(values)
        for share in (*SHARES, random_.random()):
            exact = values[max(1, math.ceil(len(values) * share)) - 1]
            assert percentile(buckets, share) == pytest.approx(exact, rel=0.05)


def test_the_worst_values_of_every_bucket_are_within_five_percent() -> None:
    """Its upper bound, and what is just above its lower bound."""
    for low, high in itertools.pairwise(BOUNDS):
        for value in (low + 1, high):
            assert percentile(bucketed([value]), 0.5) == pytest.approx(value, rel=0.05)


def test_bounds_grow_and_span_ten_microseconds_to_a_hundred_seconds() -> None:
    """Each bound is above the one before, 24 a decade."""
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert (BOUNDS[0], BOUNDS[-1], len(BOUNDS)) == (10_000, 10**11, 24 * 7 + 1)


def test_shown_bounds_are_bounds() -> None:
    """So what Prometheus is shown are unions of buckets."""
    assert set(SHOWN) <= set(BOUNDS)


def test_a_value_on_a_shown_bound_counts_below_it() -> None:
    """`le` is inclusive, and one ns more is above."""
    for at, bound in enumerate(SHOWN):
        assert shown_cumulative(bucketed([bound]))[at] == 1
        assert shown_cumulative(bucketed([bound + 1]))[at] == 0


def test_cumulative_counts_are_those_of_the_values() -> None:
    """Exact at every shown bound, all of them in the last element."""
    random_ = random.Random(5)
    values = [between(random_, 1, 10**12) for _ in range(5000)]
    expected = [sum(value <= bound for value in values) for bound in SHOWN]
    assert shown_cumulative(bucketed(values)) == [*expected, len(values)]


def test_without_values_a_percentile_is_zero() -> None:
    """An empty histogram has no latency, and does not fail."""
    assert percentile([0] * BUCKETS, 0.5) == 0.0
    assert percentile([], 0.5) == 0.0


def test_values_out_of_range_give_the_nearest_end() -> None:
    """Below 10 µs: 10 µs; above 100 s: 100 s."""
    assert percentile(bucketed([0, 1, 9_999]), 0.9) == 10_000
    assert percentile(bucketed([10**11 + 1, 10**13]), 0.1) == 10**11
