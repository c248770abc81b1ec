"""A job: as it is submitted, and as the database has it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

from hvd.metrics.companion_pages import RecentJob
from hvd.settings.job_kinds import Kind
from hvd.texts import rfc3339_milliseconds

Json = dict[str, Any]


class NewJob(NamedTuple):
    """A job to be stored; `params` are those that its kind's check gave, `retry_of` the id of the job that it does once
    more, if it does.
    """

    kind: Kind
    params: Json
    name: str
    retry_of: str | None = None


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
    retry_of: str | None = None
    read_at: float | None = None  # when it was read, by the same clock, where it runs

    @property
    def duration(self) -> float | None:
        """Seconds from the start of the last attempt to the end; None while there is no end, or was no start."""
        return None if self.ended is None else self.elapsed()

    def elapsed(self, at: float | None = None) -> float | None:
        """The same, for a job that runs until `at`; until it was read, or changed last, where that is not known."""
        until = self.ended or at or self.read_at or self.updated
        return None if self.started is None else round(max(0.0, until - self.started), 6)

    def as_dict(self) -> "JobAnswer":
        """The job as HTTP answers it."""
        created = rfc3339_milliseconds(self.created) or ""
        started, ended = rfc3339_milliseconds(self.started), rfc3339_milliseconds(self.ended)
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "params": self.params,
            "status": self.status,
            "progress": self.progress,
            "attempt": self.attempt,
            "created_at": created,
            "updated_at": rfc3339_milliseconds(self.updated) or "",
            "started_at": started,
            "ended_at": ended,
            "duration_seconds": self.elapsed() or 0.0,
            "exit_code": self.exit_code,
            "error": self.error or None,
            "output": self.output,
            "host": self.host or None,
            "cancel_requested": self.cancel_requested,
            "revision": self.revision,
            "retry_of": self.retry_of,
            "provider": self.kind,
            "vm_name": self.name,
            "start_time": started or created,
            "end_time": ended,
            "error_msg": self.error,
        }

    def as_recent(self, at: float | None = None) -> RecentJob:
        """The job as the aggregator gets it, `at` that time by the database's clock (s); None: when it changed last.

        Clients get it as `read.jobs.job_for_clients` has it.
        """
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "progress": self.progress,
            "start_time": rfc3339_milliseconds(self.started),
            "end_time": rfc3339_milliseconds(self.ended),
            "duration_seconds": self.elapsed(at),
            "error_msg": self.error or None,
            "created_at": rfc3339_milliseconds(self.created),
            "updated_at": rfc3339_milliseconds(self.updated),
            "kind": self.kind,
            "params": self.params,
            "revision": self.revision,
        }


class JobAnswer(TypedDict):
    """A job. Times in RFC 3339, UTC; `progress` in percent; `output` is what it printed last; `retry_of` is the id of
    the job that it does once more, null of all others.

    What existing clients format without asking is of one type at every moment: `duration_seconds` is 0 before the start
    and then what has elapsed, `start_time` the time of creation until the job starts, `provider` the kind, `vm_name`
    the name, `error_msg` the error, or "".
    """

    id: str
    kind: str
    name: str
    params: Json
    status: str
    progress: float
    attempt: int
    created_at: str
    updated_at: str
    started_at: str | None
    ended_at: str | None
    duration_seconds: float
    exit_code: int | None
    error: str | None
    output: list[str]
    host: str | None
    cancel_requested: bool
    revision: int
    retry_of: str | None
    provider: str
    vm_name: str
    start_time: str
    end_time: str | None
    error_msg: str


class Cancellation(NamedTuple):
    """What became of a job that was to be cancelled, and the job as it is then.

    `outcome` is "cancelled" for a pending one, "cancelling" for one that runs and is asked to end, "ended" for one that
    had ended before, "unknown" (and `job` None) where there is none.
    """

    outcome: str
    job: Job | None
