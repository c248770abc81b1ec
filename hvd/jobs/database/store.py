"""Jobs as clients see them: submitted, looked at, cancelled. What runs them is in queue.py."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, exc, func, select, union_all, update

from hvd.errors import KeyConflict, QueueFull
from hvd.jobs.database import clock, insertion, listing
from hvd.jobs.database.connection import Database
from hvd.jobs.database.schema import job_of, jobs, submissions
from hvd.jobs.database.totals import EndCounts
from hvd.jobs.job import Cancellation, Job, Json
from hvd.jobs.listing import Filter, Page, Place, Wanted
from hvd.jobs.states import CANCELLED, ENDED, NEVER_RAN, PENDING, RUNNING
from hvd.jobs.submission import Receipt, Submission, SubmissionKey
from hvd.texts import rfc3339


class Store:
    """The queue as clients see it. Thread-safe. Every method raises StoreUnavailable, StoreNewer.

    `daemon` names whose counters the jobs cancelled here go to.
    """

    def __init__(self, database: Database, daemon: str) -> None:
        self._database = database
        self._daemon = daemon

    def earlier_answer(self, key: SubmissionKey) -> Json | None:
        """The answer to the first submission with that key. Raises KeyConflict where it was of another body."""
        with self._database.reading() as connection:
            row = connection.execute(select(submissions).where(submissions.c.key == key.text)).one_or_none()
        if row is None:
            return None
        if row.fingerprint != key.fingerprint:
            text = f"Idempotency-Key {key.text!r} was used for another submission: use a new key for new jobs"
            raise KeyConflict(text)
        answer: Json = json.loads(row.answer)
        return answer

    def submit(self, submission: Submission, queue_limit: int, key: SubmissionKey | None = None) -> Receipt:
        """Take the jobs, as many as fit, all in one transaction. Raises QueueFull where none fits, KeyConflict.

        On PostgreSQL, submissions at the same moment can pass the limit by what they bring.
        """
        fitting, waiting = submission.jobs, 0
        while fitting:
            micros = self._database.clock.micros()
            rows = [insertion.row_of(job, micros) for job in fitting]
            answer = _answer([row["id"] for row in rows], submission, queue_limit)
            key_row = insertion.key_row(key, answer) if key else None
            try:
                with self._database.writing() as connection:
                    waiting, at = insertion.insert_rows(connection, rows, key_row, queue_limit)
                    created = (at + clock.shift(connection)) / 1e6
            except exc.IntegrityError:  # the same key at the same time: the other was first
                earlier = self.earlier_answer(key) if key else None
                if earlier is None:
                    raise
                return Receipt(earlier, [], is_replay=True)
            if waiting + len(rows) <= queue_limit:
                inserted = [insertion.inserted(row, job, created) for row, job in zip(rows, fitting, strict=True)]
                return Receipt(answer, inserted, is_replay=False)
            fitting = submission.jobs[: min(len(fitting) - 1, max(0, queue_limit - waiting))]
        raise QueueFull(
            f"the queue is full: {waiting} jobs are pending, and at most {queue_limit} may be (jobs.queue_limit)"
        )

    def find(self, ids: Sequence[str]) -> list[Job]:
        """Those of these ids that there are, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)).all()
            return _jobs_of(connection, rows)

    def newest(self, statuses: Sequence[str], kinds: Sequence[str], limit: int, before: str | None) -> list[Job]:
        """The newest jobs of these statuses and kinds (none given: of all), older than the one of id `before`."""
        with self._database.reading() as connection:
            return _jobs_of(connection, listing.newest(connection, Filter(statuses, kinds), limit, before))

    def page(self, wanted: Wanted) -> Page:
        """A page of a list, and how many jobs the list has."""
        with self._database.reading() as connection:
            rows = _jobs_of(connection, listing.page(connection, wanted))
            total = listing.count(connection, wanted.filter)
        page = rows[: wanted.limit]
        has_more = len(rows) > wanted.limit
        return Page(page, Place.of(page[-1], wanted.order) if has_more else None, total)

    def cancel(self, ids: Sequence[str]) -> dict[str, Cancellation]:
        """End the pending ones, and ask that the running ones be ended: what became of each id."""
        cancellations = dict.fromkeys(ids, Cancellation("unknown", None))
        with self._database.writing() as connection:
            at, counts = clock.now(connection), EndCounts(self._daemon)
            # all rows first and in one order: two that cancel the same jobs could else wait for each other
            for row in connection.execute(select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id).with_for_update()):
                cancellations[row.id] = self._cancel(connection, row, at, counts)
            counts.store(connection, at)
        return cancellations

    def cancel_open(self, status: str, most: int) -> list[Cancellation]:
        """Cancel up to so many jobs of that status, pending or running, oldest first. Running ones that were told to
        end before are left out, so that repeated calls come to an end.
        """
        is_pending = status == PENDING
        oldest = _open(status).with_only_columns(jobs.c.id).order_by(jobs.c.id).limit(most).with_for_update()
        with self._database.writing() as connection:
            at, counts = clock.now(connection), EndCounts(self._daemon)
            end: Json = {"status": CANCELLED, "ended": at} if is_pending else {}
            changed = connection.execute(
                update(jobs)
                .where(jobs.c.id.in_(select(oldest.cte("oldest").c.id)), jobs.c.status == status)
                .values(cancel_requested=True, updated=at, revision=jobs.c.revision + 1, **end)
                .returning(*jobs.c)
            ).all()
            if is_pending:
                for kind, count in Counter(row.kind for row in changed).items():
                    counts.add(kind, CANCELLED, NEVER_RAN, 0.0, count)
            counts.store(connection, at)
            cancelled = sorted((job_of(row, clock.shift(connection)) for row in changed), key=lambda job: job.id)
        return [Cancellation("cancelled" if is_pending else "cancelling", job) for job in cancelled]

    def count_open(self, statuses: Sequence[str]) -> int:
        """How many jobs `cancel_open` would find for these statuses."""
        either = union_all(*(_open(status).with_only_columns(jobs.c.id) for status in statuses)).subquery()
        with self._database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(either)) or 0

    def _cancel(self, connection: Connection, row: Row[Any], at: int, counts: EndCounts) -> Cancellation:
        if row.status in ENDED:
            return Cancellation("ended", job_of(row, clock.shift(connection)))
        if row.status == RUNNING and row.cancel_requested:
            return Cancellation("cancelling", job_of(row, clock.shift(connection)))
        change: Json = {"cancel_requested": True, "updated": at, "revision": jobs.c.revision + 1}
        if row.status == PENDING:
            change |= {"status": CANCELLED, "ended": at}
            counts.add(row.kind, CANCELLED, NEVER_RAN, 0.0)
        changed = connection.execute(update(jobs).where(jobs.c.id == row.id).values(change).returning(*jobs.c)).one()
        outcome = "cancelling" if row.status == RUNNING else "cancelled"
        return Cancellation(outcome, job_of(changed, clock.shift(connection)))


def _open(status: str) -> Select[Any]:
    """Jobs of that status which nobody has cancelled yet."""
    query = select(jobs).where(jobs.c.status == status)
    return query.where(jobs.c.cancel_requested.is_(False)) if status == RUNNING else query


def _jobs_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[Job]:
    """The jobs, the running ones with the time at which they were read, which tells how long they have run."""
    shift = clock.shift(connection)
    at = clock.now(connection) if any(row.status == RUNNING for row in rows) else None
    return [job_of(row, shift, at if row.status == RUNNING else None) for row in rows]


def _answer(ids: Sequence[str], submission: Submission, queue_limit: int) -> Json:
    unfitting = len(submission.jobs) - len(ids)
    errors: list[Json] = [problem._asdict() for problem in submission.problems]
    if unfitting:
        detail = f"the queue is full: the last {unfitting} jobs of these were not taken (limit {queue_limit})"
        errors.append({"detail": detail})
    rejected, timestamp = submission.rejected + unfitting, rfc3339(time.time_ns())
    return {
        "job_ids": list(ids),
        "accepted": len(ids),
        "rejected": rejected,
        "errors": errors,
        "timestamp": timestamp,
    }
