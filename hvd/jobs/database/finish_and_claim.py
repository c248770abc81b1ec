"""What a runner asks PostgreSQL most of the time, in one statement: with a statement for each step it runs half as many
jobs a second.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from hvd.jobs.database.clock import SERVER_TIME
from hvd.jobs.database.schema import jobs
from hvd.jobs.states import PENDING, RUNNING

ENDED, STARTED, UNWANTED = "ended", "started", "unwanted"

_COLUMNS = ", ".join(f"job.{column.name}" for column in jobs.c)  # by name: the plan outlives a column that is added


def _statement(*, me: str, here: str, daemon: str, ends: str, kinds: str, wanted: str) -> str:
    """With these as its parameters.

    Our lease is read before our jobs: a runner that takes them over locks the two in this order. `mine` locks them in
    the order of ids, as a cancellation of several does.
    """
    # what is put in are constants and names of parameters
    return f"""
    WITH lease AS MATERIALIZED (
        SELECT {SERVER_TIME} AS moment FROM hvd_runners WHERE id = {me} FOR SHARE
    ), clock AS MATERIALIZED (
        SELECT coalesce((SELECT moment FROM lease), {SERVER_TIME}) AS moment
    ), mine AS MATERIALIZED (
        SELECT new.* FROM json_to_recordset(CAST({ends} AS json)) AS new(id text, attempt integer, status text,
            exit_code integer, error text, output text, progress double precision, seconds double precision,
            bucket integer) JOIN hvd_jobs AS job ON job.id = new.id AND job.attempt = new.attempt
        WHERE (SELECT moment FROM clock) > 0 AND job.status = '{RUNNING}' AND job.runner = {me}
        ORDER BY job.id FOR UPDATE OF job
    ), ended AS (
        UPDATE hvd_jobs AS job SET status = mine.status, runner = NULL, exit_code = mine.exit_code, error = mine.error,
            output = mine.output, progress = mine.progress, updated = (SELECT moment FROM clock),
            ended = job.started + round(mine.seconds * 1000000)::bigint, revision = job.revision + 1
        FROM mine WHERE job.id = mine.id
        RETURNING {_COLUMNS}
    ), added AS (
        INSERT INTO hvd_job_totals AS total (daemon, kind, status, bucket, count, seconds, updated)
        SELECT {daemon}, ended.kind, ended.status, bucket, count(*), sum(seconds), max(ended.updated)
        FROM ended JOIN mine USING (id) GROUP BY 2, 3, 4 ORDER BY 2, 3, 4
        ON CONFLICT (daemon, kind, status, bucket) DO UPDATE SET count = total.count + excluded.count,
            seconds = total.seconds + excluded.seconds, updated = excluded.updated
    ), due AS MATERIALIZED (
        SELECT id FROM hvd_jobs
        WHERE EXISTS (SELECT FROM lease) AND status = '{PENDING}' AND kind = ANY({kinds})
            AND (not_before <= (SELECT moment FROM clock) OR updated > (SELECT moment FROM clock))
        ORDER BY id LIMIT {wanted} FOR UPDATE SKIP LOCKED
    ), started AS (
        UPDATE hvd_jobs AS job SET status = '{RUNNING}', runner = {me}, host = {here}, attempt = job.attempt + 1,
            started = (SELECT moment FROM clock), updated = (SELECT moment FROM clock), ended = NULL, progress = 0,
            exit_code = NULL, error = '', output = '', revision = job.revision + 1
        FROM due WHERE job.id = due.id
        RETURNING {_COLUMNS}
    )
    SELECT '{ENDED}' AS what, ended.* FROM ended
    UNION ALL SELECT '{STARTED}', started.* FROM started
    UNION ALL SELECT '{UNWANTED}', {_COLUMNS} FROM hvd_jobs AS job
        WHERE status = '{RUNNING}' AND runner = {me} AND cancel_requested
    """  # nosec B608


_NAMES = ("me", "here", "daemon", "ends", "kinds", "wanted")


def unprepared() -> TextClause:
    """The statement as a message. The commit is in it: where its answer is lost the runner tells its ends again, which
    changes nothing, and what it was given goes back to the queue (`QueueUpkeep.reclaim`).
    """
    return text(_statement(**{name: f":{name}" for name in _NAMES}) + "; COMMIT")


_UNPREPARED = unprepared()
_PREPARE = text(
    "PREPARE hvd_exchange (text, text, text, text, text[], integer) AS "
    + _statement(**{name: f"${number}" for number, name in enumerate(_NAMES, 1)})
)
_EXECUTE = text(
    "SET LOCAL plan_cache_mode = force_generic_plan; "
    "EXECUTE hvd_exchange (:me, :here, :daemon, :ends, :kinds, :wanted); COMMIT"
)


def _is_prepared(connection: Connection) -> bool:
    """Whether this session has the statement, whose plan takes the server four times as long as the rest.

    None is prepared through a pooler, which may give each transaction another session: the process that it says to be
    talking with is not the one that answers.
    """
    known: dict[str, bool] = connection.connection.info
    if "prepared" not in known:
        named = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
        is_own = connection.scalar(text("SELECT pg_backend_pid()")) == named
        if is_own:
            connection.execute(_PREPARE)
        known["prepared"] = is_own
    return known["prepared"]


def finish_and_claim(
    connection: Connection,
    *,
    me: str,
    here: str,
    daemon: str,
    ends: Sequence[dict[str, Any]],
    kinds: Sequence[str],
    wanted: int,
) -> list[Row[Any]]:
    """End these attempts for good, and take the oldest jobs of these kinds that are due, if the runner has a lease.

    -> the jobs as they are then, each with `what`: ENDED, STARTED, or UNWANTED for one to be cancelled.
    """
    rows = json.dumps(ends, ensure_ascii=False)  # an escape is read by the encoding of the database alone
    values = {"me": me, "here": here, "daemon": daemon, "ends": rows, "kinds": list(kinds), "wanted": wanted}
    return list(connection.execute(_EXECUTE if _is_prepared(connection) else _UNPREPARED, values).all())
