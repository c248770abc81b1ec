"""Buckets of durations, and pauses between attempts."""

import pytest

from hvd.jobs.states import DURATIONS, ENDED, OPEN, STATUSES, bucket_of, retry_pause


def test_every_status_is_open_or_ended() -> None:
    """Five, as the snapshot counts them."""
    assert set(OPEN) | set(ENDED) == set(STATUSES)
    assert not set(OPEN) & set(ENDED)


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.1, 0), (0.11, 1), (86_400.0, len(DURATIONS) - 1), (1e9, len(DURATIONS))]
)
def test_a_duration_is_in_the_first_bucket_that_holds_it(seconds: float, bucket: int) -> None:
    """Bounds are inclusive, as Prometheus' `le`."""
    assert bucket_of(seconds) == bucket


def test_pauses_double_up_to_an_hour() -> None:
    """From the kind's backoff on, however many attempts there are."""
    assert [retry_pause(1.5, attempt) for attempt in (1, 2, 3)] == [1.5, 3.0, 6.0]
    assert retry_pause(1.0, 10_000) == 3600.0
    assert retry_pause(0.0, 5) == 0.0
