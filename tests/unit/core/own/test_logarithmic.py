"""hvd's logarithmic buckets."""

import math
import random
from bisect import bisect_left
from itertools import pairwise

import pytest

from hvd.core.own.logarithmic import BUCKETS, CELLS, HIGHEST, LOWEST, PER_OCTAVE, bucket_of, octave_ends


def test_bounds_rise_by_the_same_factor() -> None:
    """The eighth root of two; so the middle of a bucket is within 5 % of all that is in it."""
    assert (len(BUCKETS), BUCKETS[0]) == (CELLS - 1, 0.0)
    factors = [upper / lower for lower, upper in pairwise(BUCKETS[1:])]
    assert all(math.isclose(factor, 2 ** (1 / PER_OCTAVE)) for factor in factors)
    assert max(factors) - 1 < 0.1


@pytest.mark.parametrize("octave", range(LOWEST + 1, HIGHEST + 1))
def test_powers_of_two_are_bounds(octave: int) -> None:
    """And belong to the bucket below, as every upper bound."""
    assert 2.0**octave in BUCKETS
    assert BUCKETS[bucket_of(2.0**octave)] == 2.0**octave
    assert bucket_of(math.nextafter(2.0**octave, math.inf)) == bucket_of(2.0**octave) + 1


def test_an_amount_is_in_the_bucket_that_its_bounds_say() -> None:
    """As a search among the bounds finds it."""
    amounts = [2.0 ** random.uniform(LOWEST, HIGHEST) for _ in range(5000)] + list(BUCKETS)
    assert [bucket_of(amount) for amount in amounts] == [bisect_left(BUCKETS, amount) for amount in amounts]


@pytest.mark.parametrize(
    ("amount", "bucket"),
    [
        (-1.0, 0),
        (-math.inf, 0),
        (0.0, 0),
        (5e-324, 1),
        (math.inf, CELLS - 1),
        (1e300, CELLS - 1),
        (math.nan, CELLS - 1),
    ],
)
def test_what_is_out_of_range_has_a_bucket(amount: float, bucket: int) -> None:
    """What is 0 or below the first, what is tiny the lowest octave's first, what is huge the last."""
    assert bucket_of(amount) == bucket


def test_powers_of_two_around_what_was_observed() -> None:
    """Those between are given too; 0 where something is not above it."""
    counts = [0] * CELLS
    assert list(octave_ends(counts)) == []
    counts[12], counts[29], counts[-1] = 1, 1, 1
    assert [BUCKETS[end - 1] for end in octave_ends(counts)] == [2.0**octave for octave in range(-29, -25)]
    counts[0] = 1
    assert next(iter(octave_ends(counts))) == 1
