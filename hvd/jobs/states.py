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

from hvd.metrics.companion_pages import JOB_DURATIONS
from hvd.metrics.usual import JOB_ENDED, JOB_OPEN

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = "pending", "running", "completed", "failed", "cancelled"

OPEN = JOB_OPEN
ENDED = JOB_ENDED
STATUSES = (*OPEN, *ENDED)

NEVER_RAN = -1
"""Bucket of a job that ended without having been started."""


def bucket_of(seconds: float) -> int:
    """The bucket of a duration: the first whose bound is not below it, len(JOB_DURATIONS) above them all."""
    return bisect_left(JOB_DURATIONS, seconds)


def retry_pause(backoff: float, attempt: int) -> float:
    """Seconds between the end of attempt `attempt` (1, 2, …) and the next: doubled each time, an hour at most."""
    return float(min(3600.0, backoff * 2.0 ** min(attempt - 1, 32)))
