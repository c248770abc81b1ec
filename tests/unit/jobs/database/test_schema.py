"""The tables of the jobs' database: made, converted, refused."""

import contextlib
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, insert, inspect, select, text

from hvd.errors import StoreNewer
from hvd.jobs.database import schema
from hvd.jobs.database.connection import Database
from hvd.jobs.database.store import Store
from tests.support.jobs import together
from tests.unit.jobs.support import submit, versions


def test_a_new_database_is_made_once(url: str) -> None:
    """However many open it at the same time."""
    databases = [Database(url) for _ in range(6)]
    found = together([partial(versions, each) for each in databases])
    for each in databases:
        each.close()
    assert found == [[schema.VERSION]] * 6


FIRST = """
CREATE TABLE hvd_schema (version INTEGER NOT NULL);
CREATE TABLE hvd_runners (id VARCHAR(36) PRIMARY KEY, host VARCHAR(255) NOT NULL, machine VARCHAR(255) NOT NULL,
    pid INTEGER NOT NULL, pid_start BIGINT NOT NULL, lease_until BIGINT NOT NULL);
CREATE TABLE hvd_jobs (id VARCHAR(36) PRIMARY KEY, kind VARCHAR(64) NOT NULL, name TEXT NOT NULL, params TEXT NOT NULL,
    status VARCHAR(16) NOT NULL, progress DOUBLE PRECISION NOT NULL, attempt INTEGER NOT NULL, retries INTEGER NOT NULL,
    backoff DOUBLE PRECISION NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, not_before BIGINT NOT NULL,
    started BIGINT, ended BIGINT, runner VARCHAR(36), host VARCHAR(255) NOT NULL, cancel_requested BOOLEAN NOT NULL,
    exit_code INTEGER, error TEXT NOT NULL, output TEXT NOT NULL, revision INTEGER NOT NULL);
CREATE INDEX hvd_jobs_by_status ON hvd_jobs (status, kind, id);
CREATE INDEX hvd_jobs_by_update ON hvd_jobs (updated);
CREATE TABLE hvd_job_totals (daemon VARCHAR(255), kind VARCHAR(64), status VARCHAR(16), bucket INTEGER,
    count BIGINT NOT NULL, seconds DOUBLE PRECISION NOT NULL, PRIMARY KEY (daemon, kind, status, bucket));
CREATE TABLE hvd_submissions (key VARCHAR(255) PRIMARY KEY, fingerprint VARCHAR(64) NOT NULL, answer TEXT NOT NULL,
    created BIGINT NOT NULL);
CREATE INDEX ix_hvd_submissions_created ON hvd_submissions (created);
INSERT INTO hvd_schema VALUES (1);
INSERT INTO hvd_jobs VALUES ('01a20000-0000-7000-8000-000000000001', 'plain', 'old', '{}', 'completed', 100, 1, 0, 1, 5,
    7, 5, 6, 7, NULL, 'here', false, 0, '', 'x', 3);
INSERT INTO hvd_runners VALUES ('r', 'here', 'm', 1, 2, 3);
INSERT INTO hvd_job_totals VALUES ('pod-1/a', 'plain', 'completed', 0, 2, 0.5);
INSERT INTO hvd_job_totals VALUES ('pod-2/a', 'plain', 'completed', 0, 3, 1);
"""
"""A database as version 1 made it."""


def test_a_database_of_the_first_version_is_converted(url: str) -> None:
    """With all that is in it; the index and the columns that came since are there."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir()
        with contextlib.closing(sqlite3.connect(path)) as made:
            made.executescript(FIRST)
    else:
        with psycopg.connect(url) as server:
            server.execute(FIRST.encode())
    database = Database(url)
    assert versions(database) == [1, schema.VERSION]
    (job,) = Store(database, "a").newest(["completed"], [], 10, None)
    assert (job.name, job.output, job.revision, job.retry_of) == ("old", ["x"], 3, None)
    with database.reading() as connection:
        assert connection.scalars(select(schema.runners.c.lease)).all() == [15.0]
        inspector = inspect(connection)
        names = {index["name"] for index in inspector.get_indexes("hvd_jobs")}
        assert names == {"hvd_jobs_by_status_and_id", "hvd_jobs_by_update"}
        for table in schema.metadata.sorted_tables:
            assert {column["name"] for column in inspector.get_columns(table.name)} == set(table.c.keys())
        totals = connection.execute(select(schema.totals.c.daemon, schema.totals.c.count)).all()
        is_local = database.is_local
    assert sorted(totals) == ([("a", 5)] if is_local else [("pod-1/a", 2), ("pod-2/a", 3)])
    database.close()


def test_the_newest_of_a_status_are_found_without_reading_all(database: Database, url: str) -> None:
    """By an index, whatever the status is and however many there are of others."""
    store = Store(database, "a")
    submit(store, 1000)
    store.newest(["completed", "failed"], [], 50, None)
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patched, database.writing() as connection:
        connection.execute(text("ANALYZE"))

        @event.listens_for(connection, "before_cursor_execute")
        def note(_c: object, _u: object, statement: str, parameters: Any, _x: object, _m: object) -> None:
            seen.append(statement)

        patched.setattr(database, "reading", lambda: contextlib.nullcontext(connection))
        store.newest(["completed", "failed"], ["plain"], 50, None)
        event.remove(connection, "before_cursor_execute", note)
        (query,) = seen
        explain = "EXPLAIN QUERY PLAN " if database.is_local else "EXPLAIN "
        values = {"status_1": "completed", "status_2": "failed", "kind_1_1": "plain", "kind_2_1": "plain"}
        limits = {f"param_{index}": 50 for index in range(1, 4)}
        plan = str(
            connection.exec_driver_sql(
                explain + query.replace("?", "NULL"), values | limits if "%(" in query else ()
            ).all()
        )
    assert plan.count("hvd_jobs_by_status_and_id") == 2, plan
    assert "SCAN hvd_jobs" not in plan
    assert "Seq Scan on hvd_jobs" not in plan


def test_a_newer_database_is_refused(database: Database, url: str) -> None:
    """With its version, ours, and what to do."""
    with database.writing() as connection:
        connection.execute(insert(schema.schema_version).values(version=schema.VERSION + 1))
    with pytest.raises(StoreNewer, match=rf"schema version {schema.VERSION + 1}.*knows {schema.VERSION}: upgrade hvd"):
        versions(Database(url))
