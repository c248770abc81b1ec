"""What answers are made of that have no type elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from hvd.jobs.job import JobAnswer
from hvd.metrics.companion_pages import ProcessSample
from hvd.read.jobs import JobTotals
from hvd.read.service import LongRequest
from hvd.read.snapshot import RequestProof, Worker


class Problem(TypedDict):
    """What is wrong (RFC 9457). `error` has the detail once more, or the title where there is none. A problem may have
    members of its own beside these: `errors`, by JSON pointer, `job`, and others.
    """

    status: int
    title: str
    detail: NotRequired[str]
    error: str
    timestamp: str


class IndexAnswer(TypedDict):
    """What there is, by path."""

    name: str
    version: str
    endpoints: Mapping[str, str]


class HealthAnswer(TypedDict):
    """Whether the daemon works, why not, and what its workers are busy with; times in s. Who may not read it all gets
    the status and the timestamp.
    """

    status: str
    timestamp: str
    reasons: NotRequired[list[str]]
    version: NotRequired[str]
    uptime_seconds: NotRequired[float]
    aggregator_heartbeat_age_seconds: NotRequired[float | None]
    workers_alive: NotRequired[int]
    worker_threads: NotRequired[int]
    worker_threads_busy: NotRequired[int]
    saturated_seconds: NotRequired[float]
    longest_requests: NotRequired[list[LongRequest]]


class StatusAnswer(JobTotals):
    """The daemon, its processes, and its totals; `jobs` has the totals of jobs by hvd's own names."""

    version: str
    instance: str
    answered_by: int
    hot_path: str
    uptime: str
    uptime_seconds: float
    totals_since: str
    timestamp: str
    system_health: str
    websocket_clients: int
    observed_age_seconds: float | None
    requests: RequestProof
    processes: Sequence[ProcessSample]
    workers: list[Worker]
    jobs: dict[str, int]


class JobPage(TypedDict):
    """A page of jobs; `next` is the `before` of the next page, null on the last one. `total` is how many jobs all pages
    have, null where more than 10,000 would have to be looked at.
    """

    jobs: list[JobAnswer]
    next: str | None
    total: int | None


class KindsAnswer(TypedDict):
    """What may be submitted: the kinds by name, each with its parameters as declared."""

    kinds: dict[str, dict[str, Any]]


class SubmissionError(TypedDict, total=False):
    """What is wrong with a job, and a JSON pointer to it in the body."""

    pointer: str
    detail: str


class SubmitAnswer(TypedDict):
    """The ids of the jobs that were taken, how many were and were not, and why."""

    job_ids: list[str]
    accepted: int
    rejected: int
    errors: list[SubmissionError]
    timestamp: str
