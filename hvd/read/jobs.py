"""Jobs as clients see them, from what the job runner publishes. Pure."""

from collections.abc import Sequence
from typing import Literal, TypedDict, cast, get_args

from hvd.metrics.companion_pages import EndedJobs, JobsPage, KnownJob, OpenJobs, RecentJob

JobCount = Literal["jobs_active", "jobs_pending", "jobs_completed", "jobs_failed", "jobs_cancelled", "queue_length"]
JOB_COUNTS: tuple[JobCount, ...] = get_args(JobCount)


class KindStats(TypedDict):
    """One kind's jobs; the mean duration in s is of those that ran, however they ended."""

    jobs_total: int
    jobs_active: int
    jobs_completed: int
    jobs_failed: int
    avg_duration_seconds: float


class ShownJob(KnownJob):
    """A job as clients are given it: what they format without asking is of one type at every moment."""

    provider: str
    vm_name: str
    start_time: str
    end_time: str | None
    duration_seconds: float
    error_msg: str


class JobFields(TypedDict):
    """The fields of `raw` that are about jobs, of the whole queue."""

    jobs_active: int
    jobs_pending: int
    jobs_completed: int
    jobs_failed: int
    jobs_cancelled: int
    queue_length: int
    recent_jobs: list[ShownJob]
    provider_stats: dict[str, KindStats]


class JobTotals(TypedDict):
    """The counts of jobs by the names that existing clients know, in `status` messages and in /status."""

    total_jobs: int
    pending_jobs: int
    running_jobs: int
    completed_jobs: int
    failed_jobs: int
    cancelled_jobs: int


def build_job_totals(jobs: JobFields) -> JobTotals:
    """The total is of all jobs that the queue has had: those that wait, run or have ended, deleted ones too."""
    pending, running = jobs["jobs_pending"], jobs["jobs_active"]
    completed, failed, cancelled = jobs["jobs_completed"], jobs["jobs_failed"], jobs["jobs_cancelled"]
    return {
        "total_jobs": pending + running + completed + failed + cancelled,
        "pending_jobs": pending,
        "running_jobs": running,
        "completed_jobs": completed,
        "failed_jobs": failed,
        "cancelled_jobs": cancelled,
    }


def build_jobs(page: JobsPage | None, at_ns: int) -> JobFields:
    """At that monotonic time; all 0 or empty where no kind is declared, or nothing is published."""
    open_jobs, ends = (page["open"], page["ends"]) if page else ([], [])
    rows: list[OpenJobs | EndedJobs] = [*open_jobs, *ends]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + row.number
    return {
        "jobs_active": counts.get("running", 0),
        "jobs_pending": counts.get("pending", 0),
        "jobs_completed": counts.get("completed", 0),
        "jobs_failed": counts.get("failed", 0),
        "jobs_cancelled": counts.get("cancelled", 0),
        "queue_length": counts.get("pending", 0),
        "recent_jobs": [job_for_clients(job, at_ns - page["read_ns"]) for job in page["recent"]] if page else [],
        "provider_stats": {kind: _stats(kind, open_jobs, ends) for kind in sorted({row.kind for row in rows})},
    }


def job_for_clients(job: RecentJob, age_ns: int = 0) -> ShownJob:
    """A job as `recent_jobs`, `jobs` and `job_update` have it, so long after it was read: what runs has run longer.

    Clients format these fields without asking, so each is of one type at every moment, but for `end_time`, which is
    null until there is an end. An older hvd's job runner may have published the job, at an upgrade.
    """
    seconds = job.get("duration_seconds") or 0.0
    if job.get("status") == "running":
        seconds += max(0, age_ns) / 1e9
    fields = {
        **job,
        "provider": job.get("kind", ""),
        "vm_name": job.get("name", ""),
        "start_time": job.get("start_time") or job.get("created_at") or "",
        "end_time": job.get("end_time"),
        "duration_seconds": round(seconds, 6),
        "error_msg": job.get("error_msg") or "",
    }
    return cast(ShownJob, fields)


def _stats(kind: str, open_jobs: Sequence[OpenJobs], ends: Sequence[EndedJobs]) -> KindStats:
    waiting = {row.status: row.number for row in open_jobs if row.kind == kind}
    own = [row for row in ends if row.kind == kind]
    ran = sum(row.number for row in own if row.bucket >= 0)
    return {
        "jobs_total": sum(waiting.values()) + sum(row.number for row in own),
        "jobs_active": waiting.get("running", 0),
        "jobs_completed": sum(row.number for row in own if row.status == "completed"),
        "jobs_failed": sum(row.number for row in own if row.status == "failed"),
        "avg_duration_seconds": round(sum(row.seconds for row in own) / ran, 6) if ran else 0.0,
    }
