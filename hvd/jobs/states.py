"""What a job can be, and what may follow what. Pure.

    pending ──► running ──► completed
       ▲  │        │  └──► failed
       │  │        └─────► cancelled
       │  └──────────────► cancelled
       └── running, where its kind grants another attempt

An ended job stays what it is: every change of status in the database is conditional on the status before, so of two
that race exactly one happens.
"""

from bisect import bisect_left

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = "pending", "running", "completed", "failed", "cancelled"

OPEN = (PENDING, RUNNING)
ENDED = (COMPLETED, FAILED, CANCELLED)
STATUSES = (*OPEN, *ENDED)

DURATIONS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Bounds of the buckets that durations are counted in, s: from a job that only starts a program to one of a day."""

NEVER_RAN = -1
"""Bucket of a job that ended without having been started."""


def bucket_of(seconds: float) -> int:
    """The bucket of a duration: the first whose bound is not below it, len(DURATIONS) above them all."""
    return bisect_left(DURATIONS, seconds)


def retry_pause(backoff: float, attempt: int) -> float:
    """Seconds between the end of attempt `attempt` (1, 2, …) and the next: doubled each time, an hour at most."""
    return float(min(3600.0, backoff * 2.0 ** min(attempt - 1, 32)))
