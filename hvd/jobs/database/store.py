"""Jobs as clients see them: submitted, looked at, cancelled. What runs them is in queue.py."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, exc, func, insert, select, text, union_all, update

from hvd.errors import KeyConflict, QueueFull
from hvd.jobs.database.schema import SERVER_TIME, Database, jobs, now, shift, submissions
from hvd.jobs.database.tally import Tally
from hvd.jobs.ids import new_id
from hvd.jobs.job import Job, Json, NewJob
from hvd.jobs.states import CANCELLED, ENDED, NEVER_RAN, PENDING, RUNNING
from hvd.jobs.submission import Receipt, Submission, SubmissionKey


def job_of(row: Row[Any], behind: int) -> Job:
    """The job that a row of the table is; `behind` as `schema.shift` gives it."""
    fields = dict(row._mapping)
    for time in ("created", "updated", "started", "ended"):
        fields[time] = None if fields[time] is None else (fields[time] + behind) / 1e6
    fields["progress"] = float(fields["progress"])  # SQLite's RETURNING gives a whole number as an int
    fields["params"] = json.loads(fields["params"])
    fields["output"] = fields["output"].splitlines()
    return Job(**{name: fields[name] for name in Job.__dataclass_fields__})


class Store:
    """The queue as clients see it. Thread-safe. Everything raises StoreUnavailable, StoreNewer.

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
            rows = [self._row(job) for job in fitting]
            answer = _answer([row["id"] for row in rows], submission, queue_limit)
            key_row = {"key": key.text, "fingerprint": key.fingerprint, "answer": json.dumps(answer)} if key else None
            try:
                with self._database.writing() as connection:
                    take = _take_local if self._database.is_local else _take_on_server
                    waiting, at = take(connection, rows, key_row, queue_limit)
                    behind = shift(connection)
            except exc.IntegrityError:  # the same key at the same time: the other was first
                earlier = self.earlier_answer(key) if key else None
                if earlier is None:
                    raise
                return Receipt(earlier, [], is_replay=True)
            if waiting + len(rows) <= queue_limit:
                taken = [_submitted(row, job, (at + behind) / 1e6) for row, job in zip(rows, fitting, strict=True)]
                return Receipt(answer, taken, is_replay=False)
            fitting = submission.jobs[: min(len(fitting) - 1, max(0, queue_limit - waiting))]
        raise QueueFull(
            f"the queue is full: {waiting} jobs are pending, and at most {queue_limit} may be (jobs.queue_limit)"
        )

    def _row(self, job: NewJob) -> Json:
        return {
            "id": new_id(self._database.clock.micros()),
            "kind": job.kind.name,
            "name": job.name,
            "params": json.dumps(job.params, separators=(",", ":")),
            "retries": job.kind.retries,
            "backoff": job.kind.backoff,
        }

    def get(self, job_id: str) -> Job | None:
        """The job of that id."""
        return next(iter(self.find([job_id])), None)

    def find(self, ids: Sequence[str]) -> list[Job]:
        """Those of that ids that there are, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)).all()
            behind = shift(connection)
        return [job_of(row, behind) for row in rows]

    def newest(self, statuses: Sequence[str], kinds: Sequence[str], limit: int, before: str | None) -> list[Job]:
        """The newest jobs of these statuses and kinds (none given: of all), older than the one of id `before`."""

        def newest(status: str | None) -> Select[Any]:
            query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
            if status:
                query = query.where(jobs.c.status == status)
            if kinds:
                query = query.where(jobs.c.kind.in_(kinds))
            return query if before is None else query.where(jobs.c.id < before)

        query: Any = newest(None)
        if statuses:  # of each by itself: the index has them in order, and nothing else is read
            each = union_all(*(select(newest(status).subquery()) for status in sorted(set(statuses)))).subquery()
            query = select(each).order_by(each.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            behind = shift(connection)
            return [job_of(row, behind) for row in connection.execute(query)]

    def cancel(self, ids: Sequence[str]) -> dict[str, tuple[str, Job | None]]:
        """End the pending ones, and ask that the running ones be ended.

        -> for each id ("cancelled", job), ("cancelling", job), ("ended", job) for what had ended before, or
        ("unknown", None).
        """
        found: dict[str, tuple[str, Job | None]] = dict.fromkeys(ids, ("unknown", None))
        with self._database.writing() as connection:
            at, tally = now(connection), Tally(self._daemon)
            # all rows first and in one order: two that cancel the same jobs could else wait for each other
            for row in connection.execute(select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id).with_for_update()):
                found[row.id] = self._cancel(connection, row, at, tally)
            tally.store(connection, at)
        return found

    def _cancel(self, connection: Connection, row: Row[Any], at: int, tally: Tally) -> tuple[str, Job]:
        if row.status in ENDED:
            return "ended", job_of(row, shift(connection))
        if row.status == RUNNING and row.cancel_requested:
            return "cancelling", job_of(row, shift(connection))
        change: Json = {"cancel_requested": True, "updated": at, "revision": jobs.c.revision + 1}
        if row.status == PENDING:
            change |= {"status": CANCELLED, "ended": at}
            tally.add(row.kind, CANCELLED, NEVER_RAN, 0.0)
        changed = connection.execute(update(jobs).where(jobs.c.id == row.id).values(change).returning(*jobs.c)).one()
        return "cancelling" if row.status == RUNNING else "cancelled", job_of(changed, shift(connection))


def _take_local(connection: Connection, rows: Sequence[Json], key: Json | None, limit: int) -> tuple[int, int]:
    """Insert the rows, and the key where there is one, if all of them fit -> how many wait without them, the time."""
    waiting, at = connection.scalar(select(func.count()).where(jobs.c.status == PENDING)) or 0, now(connection)
    if waiting + len(rows) <= limit:
        times = {"status": PENDING, "created": at, "updated": at, "not_before": 0}
        connection.execute(insert(jobs), [row | times for row in rows])
        if key:
            connection.execute(insert(submissions).values(**key, created=at))
    return waiting, at


_TAKE = text(
    f"""
    WITH queue AS MATERIALIZED (
        SELECT count(*) AS waiting, {SERVER_TIME} AS moment FROM hvd_jobs WHERE status = '{PENDING}'
    ), taken AS (
        INSERT INTO hvd_jobs (id, kind, name, params, status, progress, attempt, retries, backoff, created, updated,
            not_before, host, cancel_requested, error, output, revision)
        SELECT id, kind, name, params, '{PENDING}', 0, 0, retries, backoff, moment, moment, 0, '', false, '', '', 1
        FROM json_to_recordset(CAST(:rows AS json))
            AS new(id text, kind text, name text, params text, retries integer, backoff double precision), queue
        WHERE waiting + :count <= :limit
    ), used_key AS (
        INSERT INTO hvd_submissions (key, fingerprint, answer, created)
        SELECT key, fingerprint, answer, moment
        FROM json_to_recordset(CAST(:keys AS json)) AS new(key text, fingerprint text, answer text), queue
        WHERE waiting + :count <= :limit
    )
    SELECT waiting, moment FROM queue
    """
)


def _take_on_server(connection: Connection, rows: Sequence[Json], key: Json | None, limit: int) -> tuple[int, int]:
    """The same in one statement, and so in one round trip before the commit's."""
    row = connection.execute(
        _TAKE,
        {
            "rows": json.dumps(rows, ensure_ascii=False),  # an escape is read by the encoding of the database alone
            "keys": json.dumps([key] if key else [], ensure_ascii=False),
            "count": len(rows),
            "limit": limit,
        },
    ).one()
    return int(row.waiting), int(row.moment)


def _submitted(row: Json, new: NewJob, created: float) -> Job:
    return Job(
        **{name: row[name] for name in ("id", "kind", "name", "retries", "backoff")},
        status=PENDING,
        params=new.params,
        progress=0.0,
        attempt=0,
        created=created,
        updated=created,
        started=None,
        ended=None,
        exit_code=None,
        error="",
        output=[],
        host="",
        cancel_requested=False,
        revision=1,
    )


def _answer(ids: Sequence[str], submission: Submission, queue_limit: int) -> Json:
    left = len(submission.jobs) - len(ids)
    errors: list[Json] = [problem._asdict() for problem in submission.problems]
    if left:
        detail = f"the queue is full: the last {left} jobs of these were not taken (limit {queue_limit})"
        errors.append({"detail": detail})
    return {"job_ids": list(ids), "accepted": len(ids), "rejected": submission.rejected + left, "errors": errors}
