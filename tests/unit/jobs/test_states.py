"""Statuses, buckets of durations, pauses before another attempt."""

import math

import pytest

from hvd.jobs import states
from hvd.metrics.companion_pages import JOB_DURATIONS


def test_each_status_is_either_open_or_ended() -> None:
    """The five that clients know, each in one of the two groups."""
    assert states.STATUSES == ("pending", "running", "completed", "failed", "cancelled")
    assert states.OPEN == ("pending", "running")
    assert not set(states.OPEN) & set(states.ENDED)


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [(0.0, 0.1), (0.1, 0.1), (0.100001, 0.5), (0.5, 0.5), (59.9, 60.0), (86_400.0, 86_400.0), (86_400.1, None)],
)
def test_a_duration_on_a_bound_is_in_the_bucket_below_it(seconds: float, bound: float | None) -> None:
    """As Prometheus counts, `le`; above all bounds comes one more bucket."""
    bounds = [*JOB_DURATIONS, None]
    assert bounds[states.bucket_of(seconds)] == bound


def test_bounds_rise_and_no_duration_is_counted_as_never_run() -> None:
    """Whatever it is."""
    assert list(JOB_DURATIONS) == sorted(set(JOB_DURATIONS))
    assert states.NEVER_RAN not in {states.bucket_of(seconds) for seconds in (0.0, 1e-9, *JOB_DURATIONS, math.inf)}


def test_the_pause_is_doubled_each_time_and_at_most_an_hour() -> None:
    """From the backoff on."""
    assert [states.retry_pause(1.5, attempt) for attempt in (1, 2, 3, 4)] == [1.5, 3.0, 6.0, 12.0]
    assert states.retry_pause(1.0, 12) == 2048.0
    assert [states.retry_pause(1.0, attempt) for attempt in (13, 100, 10**6)] == [3600.0] * 3
    assert states.retry_pause(0.0, 100) == 0.0
