"""Exponential histograms of hvd's buckets."""

import math
import random
from itertools import pairwise

import pytest

from hvd.core.durations import BOUNDS, BUCKETS
from hvd.core.own import logarithmic
from hvd.export.otlp.exponential import Exponential, index_of, of_durations, of_own
from hvd.read.requests import percentile
from tests.unit.figures import between, timed


def ends_of(index: int, scale: int) -> tuple[float, float]:
    """As the protocol has them."""
    base = 2 ** (2**-scale)
    return base**index, base ** (index + 1)


def percentile_of(run: Exponential, share: float) -> float:
    """The middle of the bucket of that rank."""
    rank, seen = max(1, math.ceil(share * (sum(run.counts) + run.zeros))), run.zeros
    if seen >= rank:
        return 0.0
    for index, count in enumerate(run.counts, run.offset):
        seen += count
        if seen >= rank:
            return math.sqrt(math.prod(ends_of(index, run.scale)))
    raise AssertionError(run)


@pytest.mark.parametrize("scale", [3, 8])
@pytest.mark.parametrize("value", [1e-9, 0.5, 1.0, 1.0001, 2.0, 3.3, 1024.0, 1e9])
def test_a_bucket_has_what_the_protocol_says(value: float, scale: int) -> None:
    """Above its lower end, up to its upper one."""
    low, high = ends_of(index_of(value, scale), scale)
    assert low * (1 - 1e-12) < value <= high * (1 + 1e-12)


def test_durations_keep_their_number_and_their_percentiles() -> None:
    """Within 5.3 %, of what hvd itself knows within 5 %."""
    chance = random.Random(7)
    durations = sorted(between(chance, 20_000, 90 * 10**9) for _ in range(5000))
    buckets = timed(*durations)[2:]
    run = of_durations(buckets)
    assert sum(run.counts) == 5000
    assert (run.counts[0] > 0, run.counts[-1] > 0) == (True, True), "only what is used is sent"
    for share in (0.01, 0.5, 0.9, 0.99):
        assert percentile_of(run, share) == pytest.approx(durations[math.ceil(share * 5000) - 1] / 1e9, rel=0.053)
        assert percentile_of(run, share) == pytest.approx(percentile(buckets, share) / 1e9, rel=0.0028)
    assert of_durations([0] * len(buckets)) == Exponential(8, 0, ())


def test_no_duration_is_far_from_where_a_receiver_has_it() -> None:
    """Whatever a bucket of hvd's has is within 5.3 % of both ends of the bucket that it is sent in."""
    for number, (low, high) in enumerate(pairwise(BOUNDS), 1):
        buckets = [0] * BUCKETS
        buckets[number] = 1
        run = of_durations(buckets)
        lower, upper = ends_of(run.offset, run.scale)
        assert run.counts == (1,)
        assert upper * 1e9 / low - 1 < 0.053
        assert 1 - lower * 1e9 / high < 0.053


def test_hvds_logarithmic_buckets_are_those_of_scale_3() -> None:
    """Each amount is in the bucket that the protocol says for it; nothing is below 0, and what is 0 counts apart."""
    chance = random.Random(8)
    for amount in (*(math.exp(chance.uniform(-20, 23)) for _ in range(300)), 2.0**-30, 1.0, 2.0**34, 1 + 1e-15):
        buckets = [0] * logarithmic.CELLS
        buckets[logarithmic.bucket_of(amount)] += 1
        run = of_own(buckets)
        assert (run.scale, run.counts, run.zeros) == (3, (1,), 0)
        low, high = ends_of(run.offset, 3)
        assert low * (1 - 1e-9) <= max(amount, 2.0**-30 * 1.01) <= high * (1 + 1e-9)
    assert of_own([5, *[0] * (logarithmic.CELLS - 1)]) == Exponential(3, 0, (), 5)
    (last,) = {of_own([0] * (logarithmic.CELLS - 1) + [2])}
    assert last == Exponential(3, 34 * 8, (2,)), "what is too high for a bucket"
