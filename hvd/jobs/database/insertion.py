"""Submitted jobs, and the key of their submission, on their way into the tables."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select, text

from hvd.jobs.database import clock
from hvd.jobs.database.schema import jobs, submissions
from hvd.jobs.ids import new_id
from hvd.jobs.job import Job, Json, NewJob
from hvd.jobs.states import PENDING
from hvd.jobs.submission import SubmissionKey


def row_of(job: NewJob, micros: int) -> Json:
    """What a job to be stored at that time (µs) is by itself; `insert_rows` adds the rest."""
    return {
        "id": new_id(micros),
        "kind": job.kind.name,
        "name": job.name,
        "params": json.dumps(job.params, separators=(",", ":")),
        "retries": job.kind.retries,
        "backoff": job.kind.backoff,
        "retry_of": job.retry_of,
    }


def key_row(key: SubmissionKey, answer: Json) -> Json:
    """What is kept of a submission that has a key."""
    return {"key": key.text, "fingerprint": key.fingerprint, "answer": json.dumps(answer)}


def insert_rows(connection: Connection, rows: Sequence[Json], key: Json | None, limit: int) -> tuple[int, int]:
    """Insert the rows, and that of the key where there is one, if so many jobs may wait with them.

    Gives how many wait without them, and the time (µs). Raises sqlalchemy's IntegrityError for a key that is there.
    """
    if connection.dialect.name == "sqlite":
        return _insert_locally(connection, rows, key, limit)
    return _insert_on_server(connection, rows, key, limit)


def inserted(row: Json, job: NewJob, created: float) -> Job:
    """The job that was inserted at that time (s since the epoch)."""
    return Job(
        **{name: row[name] for name in ("id", "kind", "name", "retries", "backoff", "retry_of")},
        status=PENDING,
        params=job.params,
        progress=0.0,
        attempt=0,
        created=created,
        updated=created,
    )


def _insert_locally(connection: Connection, rows: Sequence[Json], key: Json | None, limit: int) -> tuple[int, int]:
    waiting = connection.scalar(select(func.count()).where(jobs.c.status == PENDING)) or 0
    at = clock.now(connection)
    if waiting + len(rows) <= limit:
        times = {"status": PENDING, "created": at, "updated": at, "not_before": 0}
        connection.execute(insert(jobs), [row | times for row in rows])
        if key:
            connection.execute(insert(submissions).values(**key, created=at))
    return waiting, at


_INSERT = text(
    # what is put in are constants of hvd's; what others wrote comes as parameters
    f"""
    WITH queue AS MATERIALIZED (
        SELECT count(*) AS waiting, {clock.SERVER_TIME} AS moment FROM hvd_jobs WHERE status = '{PENDING}'
    ), taken AS (
        INSERT INTO hvd_jobs (id, kind, name, params, status, progress, attempt, retries, backoff, created, updated,
            not_before, host, cancel_requested, error, output, revision, retry_of)
        SELECT id, kind, name, params, '{PENDING}', 0, 0, retries, backoff, moment, moment, 0, '', false, '', '', 1,
            retry_of
        FROM json_to_recordset(CAST(:rows AS json))
            AS new(id text, kind text, name text, params text, retries integer, backoff double precision,
                retry_of text), queue
        WHERE waiting + :count <= :limit
    ), used_key AS (
        INSERT INTO hvd_submissions (key, fingerprint, answer, created)
        SELECT key, fingerprint, answer, moment
        FROM json_to_recordset(CAST(:keys AS json)) AS new(key text, fingerprint text, answer text), queue
        WHERE waiting + :count <= :limit
    )
    SELECT waiting, moment FROM queue
    """  # nosec B608
)


def _insert_on_server(connection: Connection, rows: Sequence[Json], key: Json | None, limit: int) -> tuple[int, int]:
    """In one statement, and so in one round trip before the commit's."""
    row = connection.execute(
        _INSERT,
        {
            "rows": json.dumps(rows, ensure_ascii=False),  # an escape is read by the encoding of the database alone
            "keys": json.dumps([key] if key else [], ensure_ascii=False),
            "count": len(rows),
            "limit": limit,
        },
    ).one()
    return int(row.waiting), int(row.moment)
