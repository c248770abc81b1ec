"""Buckets of durations."""

from hvd.core.durations import BOUNDS


def test_bounds_grow_and_span_ten_microseconds_to_a_hundred_seconds() -> None:
    """Each bound is above the one before, 24 a decade."""
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert (BOUNDS[0], BOUNDS[-1], len(BOUNDS)) == (10_000, 10**11, 24 * 7 + 1)
