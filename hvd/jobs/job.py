"""A job: as it is submitted, and as the database has it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hvd.metrics.companion_pages import RecentJob
from hvd.settings.job_kinds import Kind
from hvd.texts import rfc3339_milliseconds

Json = dict[str, Any]


class NewJob(NamedTuple):
    """A job to be stored; `params` are those that its kind's check gave."""

    kind: Kind
    params: Json
    name: str


@dataclass(frozen=True)
class Job:
    """A job as it is in the database. Times in s since the epoch; progress in percent."""

    id: str
    kind: str
    name: str
    params: Json
    status: str
    progress: float
    attempt: int
    retries: int
    backoff: float
    created: float
    updated: float
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    error: str = ""
    output: list[str] = field(default_factory=list)
    host: str = ""
    cancel_requested: bool = False
    revision: int = 1

    @property
    def duration(self) -> float | None:
        """Seconds from the start of the last attempt to the end; None while there is no end, or was no start."""
        if self.started is None or self.ended is None:
            return None
        return round(max(0.0, self.ended - self.started), 6)

    def as_dict(self) -> Json:
        """The job as HTTP answers it."""
        return {
            **{field: getattr(self, field) for field in ("id", "kind", "name", "params", "status", "progress")},
            "attempt": self.attempt,
            "created_at": rfc3339_milliseconds(self.created),
            "updated_at": rfc3339_milliseconds(self.updated),
            "started_at": rfc3339_milliseconds(self.started),
            "ended_at": rfc3339_milliseconds(self.ended),
            "duration_seconds": self.duration,
            "exit_code": self.exit_code,
            "error": self.error or None,
            "output": self.output,
            "host": self.host or None,
            "cancel_requested": self.cancel_requested,
            "revision": self.revision,
        }

    def as_recent(self, at: float | None = None) -> RecentJob:
        """The job as the aggregator gets it, `at` that time by the database's clock (s); None: when it changed last.

        Clients get it as `read.jobs.job_for_clients` has it.
        """
        until = self.ended or at or self.updated
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "progress": self.progress,
            "start_time": rfc3339_milliseconds(self.started),
            "end_time": rfc3339_milliseconds(self.ended),
            "duration_seconds": None if self.started is None else round(max(0.0, until - self.started), 6),
            "error_msg": self.error or None,
            "created_at": rfc3339_milliseconds(self.created),
            "updated_at": rfc3339_milliseconds(self.updated),
            "kind": self.kind,
            "params": self.params,
            "revision": self.revision,
        }


class Cancellation(NamedTuple):
    """What became of a job that was to be cancelled, and the job as it is then.

    `outcome` is "cancelled" for a pending one, "cancelling" for one that runs and is asked to end, "ended" for one that
    had ended before, "unknown" (and `job` None) where there is none.
    """

    outcome: str
    job: Job | None
