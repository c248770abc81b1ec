"""Jobs, kinds and runners for tests."""

import os
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from hvd.core.proc import start_ticks
from hvd.jobs.database.connection import Database
from hvd.jobs.database.ends import End
from hvd.jobs.database.leases import Runner, machine
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.schema import schema_version
from hvd.jobs.database.store import Store
from hvd.jobs.job import Job, NewJob
from hvd.jobs.submission import Submission, SubmissionKey
from hvd.settings.job_declarations import read_kinds
from hvd.settings.job_kinds import Kind

KINDS_TABLE: dict[str, dict[str, Any]] = {
    "plain": {"command": ["true"]},
    "stubborn": {"command": ["false"], "retries": 2, "backoff": 0.01},
}


def kinds() -> dict[str, Kind]:
    """Kinds `plain`, without retries, and `stubborn`, with two."""
    declared, faults = read_kinds(KINDS_TABLE)
    assert not faults
    return declared


def new_jobs(count: int = 1, kind: str = "plain") -> list[NewJob]:
    """So many jobs to be submitted."""
    return [NewJob(kinds()[kind], {"n": index}, f"job {index}") for index in range(count)]


def submit(
    store: Store, count: int = 1, kind: str = "plain", limit: int = 10_000, key: SubmissionKey | None = None
) -> list[str]:
    """Ids of so many new jobs."""
    ids: list[str] = store.submit(Submission(new_jobs(count, kind)), limit, key).answer["job_ids"]
    return ids


def queue_of(database: Database, *, daemon: str = "here/a", lease: float = 15.0, **changes: Any) -> Queue:
    """The queue as a new runner sees it, which holds its lease; `changes` as for Runner."""
    plain = {"id": str(uuid.uuid4()), "host": "here", "machine": machine(), "pid": os.getpid()}
    runner = Runner(**{**plain, "pid_start": start_ticks(os.getpid()), **changes})
    queue = Queue(database, runner, daemon, lease)
    queue.leases.renew()
    return queue


def end_of(job: Job, status: str = "completed", **changes: Any) -> End:
    """How that attempt of the job ended."""
    plain: dict[str, Any] = {"exit_code": 0, "error": "", "output": "", "progress": 100.0, "seconds": 0.01}
    plain["may_retry"] = status == "failed"
    return End(job.id, job.attempt, status, **{**plain, **changes})


def statuses(store: Store, ids: Sequence[str]) -> list[str]:
    """The statuses of these jobs, oldest first."""
    return [job.status for job in store.find(ids)]


def versions(database: Database) -> list[int]:
    """Those that the database's schema has had."""
    with database.reading() as connection:
        return list(connection.scalars(select(schema_version.c.version)))
