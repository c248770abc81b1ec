"""Buckets of durations."""

from itertools import pairwise

from hvd.core.durations import BOUNDS


def test_bounds_grow_and_span_eleven_microseconds_to_a_hundred_seconds() -> None:
    """Each bound is above the one before, 24 a decade, and near enough that a value between them is within 5 %."""
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert (BOUNDS[0], BOUNDS[-1], len(BOUNDS)) == (10_960, 10**11, 24 * 7 + 1)
    assert max(above / below for below, above in pairwise(BOUNDS)) < 1.105
    assert 300 * 10**6 in BOUNDS
