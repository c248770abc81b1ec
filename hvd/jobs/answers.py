"""Answers about one job as existing clients know them: how far it is, when it will be done, what it has said. Pure.

The shapes are those of the daemon before hvd, so far as hvd knows what is in them. Where a client formats a number
without asking, it is one at every moment; what can't be known is null.
"""

import time
from collections.abc import Iterator
from typing import TypedDict

from hvd.jobs.job import Job, JobAnswer
from hvd.jobs.states import CANCELLED, COMPLETED, ENDED, FAILED, PENDING
from hvd.texts import duration, rfc3339, rfc3339_milliseconds


class QueryAnswer(TypedDict):
    """The jobs that were found, and the ids that no job has. `total` is how many jobs are in this answer, `next` leads
    to older ones (`before` of GET /jobs), null where there are none, or ids were asked for.
    """

    jobs: list[JobAnswer]
    unknown: list[str]
    total: int
    next: str | None
    timestamp: str


class CancelAnswer(TypedDict):
    """The outcome for each job: `cancelled` were pending, `cancelling` run and were told to end.

    `failed` has those that can't be cancelled (`ended`, `unknown`), `errors` why, by id. `total` is how many were
    cancelled or told to end, `remaining` how many of the set that was asked for are left, null where that isn't known.
    """

    cancelled: list[str]
    cancelling: list[str]
    ended: list[str]
    unknown: list[str]
    failed: list[str]
    errors: dict[str, str]
    total: int
    remaining: int | None
    timestamp: str


class Progress(TypedDict):
    """How far a job is: `phase` is its status, `current_step` the last line that it printed, "" before that, and
    `estimated_remaining` the time left in words, "" while that isn't known.
    """

    percent_complete: float
    phase: str
    current_step: str
    estimated_remaining: str


class OneJobAnswer(TypedDict):
    """Which job an answer is about, and of when it is."""

    id: str
    job_id: str
    status: str
    timestamp: str


class ProgressAnswer(OneJobAnswer):
    """A job's progress. `elapsed_seconds` is 0 before the start."""

    kind: str
    name: str
    percent_complete: float
    progress: Progress
    started_at: str | None
    completed_at: str | None
    elapsed_seconds: float
    error: str


class Eta(TypedDict):
    """An estimate: the time that a job took for what is done, for what is left. Null and "" while nothing is known."""

    message: str
    percent_complete: float
    elapsed: str
    elapsed_seconds: float
    time_remaining: str
    time_remaining_seconds: float | None
    estimated_completion: str | None


class EtaAnswer(OneJobAnswer):
    """When a job will be done: `eta_seconds` is the time left in s, 0 once it has ended, null while it isn't known."""

    eta_seconds: float | None
    eta: Eta


class LogEntry(TypedDict):
    """An event of a job ("hvd"), or a line that it printed ("output"). The time of a line is not known: it has that of
    the job's end, or of its last change.
    """

    timestamp: str
    level: str
    message: str
    source: str


class LogsAnswer(OneJobAnswer):
    """What is known of a job's life and the last lines of its output. `is_complete` is false where lines before them,
    or all, are left out; /jobs/{id}/output has all that is kept.
    """

    logs: list[LogEntry]
    log_count: int
    is_complete: bool


def _about(job: Job) -> OneJobAnswer:
    return {"id": job.id, "job_id": job.id, "status": job.status, "timestamp": rfc3339(time.time_ns())}


def remaining_seconds(job: Job) -> float | None:
    """Seconds until the job's end at its present speed; 0 at the end, None while that is unknown."""
    if job.status in ENDED:
        return 0.0
    elapsed = job.elapsed()
    if job.status == PENDING or elapsed is None or job.progress <= 0:
        return None
    return round(elapsed * (100 - job.progress) / job.progress, 3)


def progress_of(job: Job) -> ProgressAnswer:
    """The answer of /jobs/progress/{id}."""
    remaining = remaining_seconds(job)
    return {
        **_about(job),
        "kind": job.kind,
        "name": job.name,
        "percent_complete": job.progress,
        "progress": {
            "percent_complete": job.progress,
            "phase": job.status,
            "current_step": job.output[-1] if job.output else "",
            "estimated_remaining": "" if remaining is None else duration(remaining),
        },
        "started_at": rfc3339_milliseconds(job.started),
        "completed_at": rfc3339_milliseconds(job.ended),
        "elapsed_seconds": job.elapsed() or 0.0,
        "error": job.error,
    }


def eta_of(job: Job) -> EtaAnswer:
    """The answer of /jobs/eta/{id}."""
    remaining, elapsed, now = remaining_seconds(job), job.elapsed() or 0.0, time.time()
    return {
        **_about(job),
        "eta_seconds": remaining,
        "eta": {
            "message": _eta_message(job, remaining),
            "percent_complete": job.progress,
            "elapsed": duration(elapsed),
            "elapsed_seconds": elapsed,
            "time_remaining": "" if remaining is None else duration(remaining),
            "time_remaining_seconds": remaining,
            "estimated_completion": rfc3339_milliseconds(_completion(job, remaining, now)),
        },
    }


def _eta_message(job: Job, remaining: float | None) -> str:
    if job.status in ENDED:
        return f"the job is {job.status}"
    if job.status == PENDING:
        return "the job has not started yet"
    return "" if remaining is not None else "the job has not said yet how far it is"


def _completion(job: Job, remaining: float | None, now: float) -> float | None:
    """When the job ended, or will, s since the epoch."""
    if job.ended is not None:
        return job.ended
    return None if remaining is None else min(now + remaining, _LAST_MOMENT)


_LAST_MOMENT = 253_402_300_799.0  # the end of the year 9999: what RFC 3339 can say last


def logs_of(job: Job, lines: list[str], *, is_complete: bool) -> LogsAnswer:
    """The answer of /jobs/logs/{id}; `lines` are those that the job printed last."""
    logs = list(_entries(job, lines))
    return {
        **_about(job),
        "logs": logs,
        "log_count": len(logs),
        "is_complete": is_complete,
    }


_LEVELS = {COMPLETED: "info", FAILED: "error", CANCELLED: "warn"}


def _entries(job: Job, lines: list[str]) -> Iterator[LogEntry]:
    yield _entry(job.created, "info", f"job created: {job.kind}")
    if job.started is not None:
        yield _entry(job.started, "info", f"job started, attempt {job.attempt}")
    for line in lines:
        yield _entry(job.ended or job.updated, "info", line, "output")
    if job.ended is not None:
        why = f": {job.error}" if job.error else ""
        yield _entry(job.ended, _LEVELS[job.status], f"job {job.status}{why}")


def _entry(at: float, level: str, message: str, source: str = "hvd") -> LogEntry:
    return {"timestamp": rfc3339_milliseconds(at) or "", "level": level, "message": message, "source": source}
