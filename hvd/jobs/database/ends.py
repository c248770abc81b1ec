"""How attempts of jobs end, and what then becomes of the jobs. Each function is a part of a transaction."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, update

from hvd.jobs.database import clock, statements
from hvd.jobs.database.schema import job_of, jobs
from hvd.jobs.database.totals import EndCounts
from hvd.jobs.job import Job, Json
from hvd.jobs.states import CANCELLED, ENDED, FAILED, NEVER_RAN, PENDING, bucket_of, retry_pause


class End(NamedTuple):
    """How one attempt of a job ended; `may_retry` where the kind's retries apply to such an end."""

    job_id: str
    attempt: int
    status: str
    exit_code: int | None
    error: str
    output: str
    progress: float
    may_retry: bool
    seconds: float | None = None  # how long it ran, by a monotonic clock, where somebody knows


def end_attempt(connection: Connection, row: Row[Any], end: End, at: int, counts: EndCounts) -> Job:
    """End the attempt of that row at that time (µs): for good, or with another one to follow. Gives the job as it is
    then; an end for good is added to the counts.
    """
    change: Json = {
        "exit_code": end.exit_code,
        "error": end.error,
        "output": end.output,
        "progress": end.progress,
        "updated": at,
        **{name: getattr(row, name) for name in ("not_before", "started", "ended")},
    }
    seconds = max(0, at - row.started) / 1e6 if end.seconds is None else end.seconds
    ended = row.started + round(seconds * 1e6)
    if end.may_retry and row.cancel_requested:
        change |= {"status": CANCELLED, "ended": ended}
    elif end.may_retry and row.attempt <= row.retries:
        pause = round(retry_pause(row.backoff, row.attempt) * 1e6)
        change |= {"status": PENDING, "not_before": at + pause, "started": None}
    else:
        change |= {"status": end.status, "ended": ended}
    if change["status"] in ENDED:
        counts.add(row.kind, change["status"], bucket_of(seconds), seconds)
    changed = connection.execute(
        statements.END, {f"new_{name}": value for name, value in change.items()} | {"job": row.id}
    )
    return job_of(changed.one(), clock.shift(connection))


def put_back(connection: Connection, row: Row[Any], at: int, pause: float, counts: EndCounts) -> Job:
    """Let the job of that row, which was claimed and never started, wait `pause` s for another claim: it has had no
    attempt. One that is to be cancelled ends. Gives the job as it is then.
    """
    change: Json = {"attempt": row.attempt - 1, "runner": None, "started": None}
    change |= {"updated": at, "revision": row.revision + 1}
    if row.cancel_requested:
        change |= {"status": CANCELLED, "ended": at}
        counts.add(row.kind, CANCELLED, NEVER_RAN, 0.0)
    else:
        change |= {"status": PENDING, "not_before": at + round(pause * 1e6)}
    changed = connection.execute(update(jobs).where(jobs.c.id == row.id).values(change).returning(*jobs.c)).one()
    return job_of(changed, clock.shift(connection))


def loss_of(row: Row[Any], error: str) -> End:
    """The end of an attempt whose runner was gone before."""
    return End(row.id, row.attempt, FAILED, None, error, row.output, row.progress, may_retry=True)
