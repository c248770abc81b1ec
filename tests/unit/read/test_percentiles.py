"""Percentiles of durations."""

import itertools
import math
import random

import pytest

from hvd.core.durations import BOUNDS, BUCKETS
from hvd.read.percentiles import percentile
from tests.unit.read.buckets import between, bucketed

SHARES = (0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0)


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


def test_without_values_a_percentile_is_zero() -> None:
    """An empty histogram has no latency, and does not fail."""
    assert percentile([0] * BUCKETS, 0.5) == 0.0
    assert percentile([], 0.5) == 0.0


def test_values_out_of_range_give_the_nearest_end() -> None:
    """Below 10 µs: 10 µs; above 100 s: 100 s."""
    assert percentile(bucketed([0, 1, 9_999]), 0.9) == 10_000
    assert percentile(bucketed([10**11 + 1, 10**13]), 0.1) == 10**11
