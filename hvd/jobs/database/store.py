"""Jobs as clients see them: submitted, looked at, cancelled. What runs them is in queue.py."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, exc, func, insert, select, text, union_all, update

from hvd.errors import KeyConflict, QueueFull
from hvd.jobs.database.schema import SERVER_TIME, Database, jobs, now, shift, submissions
from hvd.jobs.database.tally import Tally
from hvd.jobs.ids import new_id
from hvd.jobs.states import CANCELLED, ENDED, NEVER_RAN, PENDING, RUNNING
from hvd.settings.job_kinds import Kind

Json = dict[str, Any]


class NewJob(NamedTuple):
    """A job to submit: `params` are checked, and normal (see Kind)."""

    kind: str
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
    started: float | None
    ended: float | None
    exit_code: int | None
    error: str
    output: list[str]
    host: str
    cancel_requested: bool
    revision: int

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
            "created_at": moment(self.created),
            "updated_at": moment(self.updated),
            "started_at": moment(self.started),
            "ended_at": moment(self.ended),
            "duration_seconds": self.duration,
            "exit_code": self.exit_code,
            "error": self.error or None,
            "output": self.output,
            "host": self.host or None,
            "cancel_requested": self.cancel_requested,
            "revision": self.revision,
        }

    def as_recent(self, at: float | None = None) -> Json:
        """The job as it is told to the aggregator, at that time by the database's clock (s): by itself, when it changed
        last. Clients are told it as `snapshot.shown_job` has it.
        """
        until = self.ended or at or self.updated
        return {
            **{field: getattr(self, field) for field in ("id", "name", "status", "progress")},
            "start_time": moment(self.started),
            "end_time": moment(self.ended),
            "duration_seconds": None if self.started is None else round(max(0.0, until - self.started), 6),
            "error_msg": self.error or None,
            "created_at": moment(self.created),
            "updated_at": moment(self.updated),
            "kind": self.kind,
            "params": self.params,
            "revision": self.revision,
        }


def moment(seconds: float | None) -> str | None:
    """A time as RFC 3339, UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_of(row: Row[Any], behind: int) -> Job:
    """The job that a row of the table is; `behind` as `schema.shift` gives it."""
    found = dict(row._mapping)
    for time in ("created", "updated", "started", "ended"):
        found[time] = None if found[time] is None else (found[time] + behind) / 1e6
    found["progress"] = float(found["progress"])  # SQLite's RETURNING gives a whole number as an int
    found["params"] = json.loads(found["params"])
    found["output"] = found["output"].splitlines()
    return Job(**{field: found[field] for field in Job.__dataclass_fields__})


class Store:
    """The queue as clients see it. Thread-safe. Everything raises StoreUnavailable, StoreNewer.

    `daemon` names whose counters the jobs cancelled here go to.
    """

    def __init__(self, database: Database, daemon: str) -> None:
        self._database = database
        self._daemon = daemon

    def replay(self, key: str, fingerprint: str) -> Json | None:
        """The answer to the first submission with that key. Raises KeyConflict where it was of another body."""
        with self._database.reading() as connection:
            row = connection.execute(select(submissions).where(submissions.c.key == key)).one_or_none()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise KeyConflict(f"Idempotency-Key {key!r} was used for another submission: use a new key for new jobs")
        answer: Json = json.loads(row.answer)
        return answer

    def submit(
        self,
        new: Sequence[NewJob],
        kinds: Mapping[str, Kind],
        refused: Sequence[Json],
        rejected: int,
        *,
        queue_limit: int,
        key: tuple[str, str] | None,
    ) -> tuple[Json, list[Job], bool]:
        """Take the jobs, all in one transaction -> the answer, the jobs taken, whether it is a replay.

        `refused` says what was wrong with the `rejected` ones that don't get here. Raises QueueFull where none fits.
        On PostgreSQL, submissions at the same moment can pass the limit by what they bring.
        """
        fitting, waiting = new, 0
        while fitting:
            rows = [self._row(job, kinds[job.kind]) for job in fitting]
            answer = _answer([row["id"] for row in rows], len(new) - len(rows), refused, rejected, queue_limit)
            once = {"key": key[0], "fingerprint": key[1], "answer": json.dumps(answer)} if key else None
            try:
                with self._database.writing() as connection:
                    take = _take_local if self._database.is_local else _take_on_server
                    waiting, at = take(connection, rows, once, queue_limit)
                    behind = shift(connection)
            except exc.IntegrityError:  # the same key at the same time: the other was first
                found = self.replay(*key) if key else None
                if found is None:
                    raise
                return found, [], True
            if waiting + len(rows) <= queue_limit:
                taken = [_submitted(row, job, (at + behind) / 1e6) for row, job in zip(rows, fitting, strict=True)]
                return answer, taken, False
            fitting = new[: min(len(fitting) - 1, max(0, queue_limit - waiting))]
        raise QueueFull(
            f"the queue is full: {waiting} jobs are pending, and at most {queue_limit} may be (jobs.queue_limit)"
        )

    def _row(self, job: NewJob, kind: Kind) -> Json:
        return {
            "id": new_id(self._database.clock.micros()),
            "kind": job.kind,
            "name": job.name,
            "params": json.dumps(job.params, separators=(",", ":")),
            "retries": kind.retries,
            "backoff": kind.backoff,
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


def _take_local(connection: Connection, rows: Sequence[Json], once: Json | None, limit: int) -> tuple[int, int]:
    """Insert the rows, and the key where there is one, if all of them fit -> how many wait without them, the time."""
    waiting, at = connection.scalar(select(func.count()).where(jobs.c.status == PENDING)) or 0, now(connection)
    if waiting + len(rows) <= limit:
        times = {"status": PENDING, "created": at, "updated": at, "not_before": 0}
        connection.execute(insert(jobs), [row | times for row in rows])
        if once:
            connection.execute(insert(submissions).values(**once, created=at))
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
    ), once AS (
        INSERT INTO hvd_submissions (key, fingerprint, answer, created)
        SELECT key, fingerprint, answer, moment
        FROM json_to_recordset(CAST(:once AS json)) AS new(key text, fingerprint text, answer text), queue
        WHERE waiting + :count <= :limit
    )
    SELECT waiting, moment FROM queue
    """
)


def _take_on_server(connection: Connection, rows: Sequence[Json], once: Json | None, limit: int) -> tuple[int, int]:
    """The same in one statement, and so in one round trip before the commit's."""
    row = connection.execute(
        _TAKE,
        {
            "rows": json.dumps(rows, ensure_ascii=False),  # an escape is read by the encoding of the database alone
            "once": json.dumps([once] if once else [], ensure_ascii=False),
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


def _answer(taken: Sequence[str], left: int, refused: Sequence[Json], rejected: int, queue_limit: int) -> Json:
    errors = list(refused)
    if left:
        errors.append(
            {"detail": f"the queue is full: the last {left} jobs of these were not taken (limit {queue_limit})"}
        )
    return {"job_ids": list(taken), "accepted": len(taken), "rejected": rejected + left, "errors": errors}
