"""Jobs as a worker serves them. A change is stored first; then the runner and the aggregator are told."""

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hvd.errors import JobsError
from hvd.jobs import events
from hvd.jobs.database.connection import Database
from hvd.jobs.database.store import Store
from hvd.jobs.database.threads import DatabaseThreads
from hvd.jobs.database.totals import daemon_name
from hvd.jobs.job import Cancellation, Job, Json
from hvd.jobs.listing import Page, Wanted
from hvd.jobs.output import TAIL, last_lines
from hvd.jobs.states import OPEN
from hvd.jobs.submission import Receipt, Submission, SubmissionKey
from hvd.jobs.transcript import FOLDER, Transcript
from hvd.settings.job_kinds import Kind
from hvd.settings.table import Settings

CANCELLED_AT_ONCE = 500  # jobs in one transaction; SQLite takes some 30 ms for them
CANCEL_SECONDS = 2.0  # s after which a cancellation of many begins no other transaction


class CancelledSet(NamedTuple):
    """The outcome of a cancellation of many: the ids of those that were pending, of those that run and were told to
    end, and how many are left; None where the database went away before that was known.
    """

    cancelled: list[str]
    cancelling: list[str]
    remaining: int | None


class JobService:
    """What the endpoints of jobs use. Thread-safe; made in the worker, after the fork.

    Every method that asks the database raises StoreUnavailable and StoreNewer where it can't be used. Half of the
    worker's threads at most wait for it, so that the others can answer what needs no database.
    """

    def __init__(self, settings: Settings, wake_fd: int, writers: socket.socket) -> None:
        self.take(settings)
        waiting = max(1, settings.threads // 2)
        self._threads = DatabaseThreads(waiting)
        database = Database(settings.database_url, waiting)
        name = daemon_name(settings.database_url, str(settings.state_dir), settings.instance)
        self._store = Store(database, name)
        self._is_shared = not database.is_local
        self._outputs = settings.state_dir / FOLDER
        self._wake_fd = wake_fd
        self._writers = writers  # of job events

    def take(self, settings: Settings) -> None:
        """Go over to these kinds and limits; all else stays as it was made."""
        self.kinds: Mapping[str, Kind] = settings.job_kinds
        self._limit = settings.jobs_queue_limit

    def earlier_answer(self, key: SubmissionKey) -> Json | None:
        """The answer to the first submission with that key. Raises KeyConflict where it was of another body."""
        return self._threads.do(lambda: self._store.earlier_answer(key))

    def submit(self, submission: Submission, key: SubmissionKey | None) -> Receipt:
        """Take the jobs that fit into the queue. Raises QueueFull where none fits, KeyConflict."""
        receipt = self._threads.do(lambda: self._store.submit(submission, self._limit, key))
        self._announce(receipt.jobs)
        return receipt

    def get(self, job_id: str) -> Job | None:
        """The job of that id."""
        return next(iter(self.find([job_id])), None)

    def find(self, ids: Sequence[str]) -> list[Job]:
        """Those of these ids that there are."""
        return list(map(self._with_output, self._threads.do(lambda: self._store.find(ids))))

    def newest(self, statuses: Sequence[str], kinds: Sequence[str], limit: int, before: str | None) -> list[Job]:
        """The newest jobs of these statuses and kinds, older than the one of id `before`."""
        jobs = self._threads.do(lambda: self._store.newest(statuses, kinds, limit, before))
        return list(map(self._with_output, jobs))

    def page(self, wanted: Wanted) -> Page:
        """A page of a list of jobs."""
        page = self._threads.do(lambda: self._store.page(wanted))
        return page._replace(jobs=list(map(self._with_output, page.jobs)))

    def output(self, job: Job) -> Transcript | None:
        """What the job printed, to be closed; None if nothing of its last attempt is on this machine."""
        try:
            transcript = Transcript.open(self._outputs, job.id)
        except OSError:
            return None
        if transcript and transcript.look().attempt < job.attempt and self.is_elsewhere(job):
            transcript.close()
            return None
        return transcript

    def is_elsewhere(self, job: Job) -> bool:
        """True if the job's last attempt was made on another machine, which has what it printed."""
        return self._is_shared and job.attempt > 0 and job.host != socket.gethostname()

    def _with_output(self, job: Job) -> Job:
        """The job with its last lines; the database has them from its end on, if its runner lived to see it."""
        if job.output or not job.attempt:
            return job
        transcript = self.output(job)
        if transcript is None:
            return job
        with transcript:
            if transcript.look().attempt != job.attempt:
                return job
            return dataclasses.replace(job, output=last_lines(transcript.end(TAIL)).splitlines())

    def cancel(self, ids: Sequence[str]) -> dict[str, Cancellation]:
        """See Store.cancel."""
        cancellations = self._threads.do(lambda: self._store.cancel(ids))
        self._announce([job for outcome, job in cancellations.values() if job and outcome != "ended"])
        return cancellations

    def cancel_open(self, statuses: Sequence[str], most: int) -> "CancelledSet":
        """Cancel up to so many jobs of these statuses, pending ones first, or a job that ends would make one of them
        run. A transaction takes some of them, so that others get the database in between, and after CANCEL_SECONDS no
        other begins.
        """
        until, budget = time.monotonic() + CANCEL_SECONDS, most
        done: dict[str, list[str]] = {"cancelled": [], "cancelling": []}
        remaining: int | None = 0
        try:
            for status in [status for status in OPEN if status in statuses]:
                while budget > 0 and time.monotonic() < until:
                    wanted = min(budget, CANCELLED_AT_ONCE)
                    count = self._cancel_some(status, wanted, done)
                    budget -= count
                    if count < wanted:
                        break
            if budget <= 0 or time.monotonic() >= until:
                remaining = self._threads.do(lambda: self._store.count_open(statuses))
        except JobsError:
            if budget == most:
                raise
            remaining = None  # what was done has to be reported
        return CancelledSet(done["cancelled"], done["cancelling"], remaining)

    def _cancel_some(self, status: str, most: int, done: Mapping[str, list[str]]) -> int:
        """Cancel up to so many in one transaction, and add their ids to `done` by what became of them -> how many."""
        some = self._threads.do(lambda: self._store.cancel_open(status, most))
        jobs = [(outcome, job) for outcome, job in some if job]
        self._announce([job for _, job in jobs])
        for outcome, job in jobs:
            done[outcome].append(job.id)
        return len(jobs)

    def _announce(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            events.send(self._writers, job.as_recent())
        if jobs:
            with contextlib.suppress(BlockingIOError):  # so many are waiting already that it is awake
                os.eventfd_write(self._wake_fd, 1)
