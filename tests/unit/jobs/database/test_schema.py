"""The jobs' database: opened, made, refused."""

import contextlib
import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, insert, inspect, select, text

from hvd.errors import StoreNewer, StoreUnavailable
from hvd.jobs.database import schema
from hvd.jobs.database.schema import Database
from hvd.jobs.database.store import Store
from tests.support.postgres import Postgres
from tests.unit.jobs.support import submit


def versions(database: Database) -> list[int]:
    with database.reading() as connection:
        return list(connection.scalars(select(schema.schema_version.c.version)))


def test_a_new_database_is_made_once(url: str) -> None:
    """However many open it at the same time."""
    databases = [Database(url) for _ in range(6)]
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda each=each: found.append(versions(each))) for each in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
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
    assert (job.name, job.output, job.revision) == ("old", ["x"], 3)
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


def test_what_fails_in_a_transaction_leaves_nothing(database: Database) -> None:
    """All of it, or none of it."""
    versions(database)

    def half() -> None:
        with database.writing() as connection:
            connection.execute(insert(schema.schema_version).values(version=7))
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert versions(database) == [schema.VERSION]


def test_sqlites_files_are_the_users_own(tmp_path: Path) -> None:
    """Whatever the umask is, and WAL is on, with every commit on the disk before it is answered."""
    old = os.umask(0)
    try:
        database = Database(f"sqlite:///{tmp_path}/state/jobs.sqlite3")
        assert versions(database) == [schema.VERSION]
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        files = list((tmp_path / "state").iterdir())
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        with database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        database.close()
    finally:
        os.umask(old)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """Unharmed."""
    file = tmp_path / "letter.txt"
    file.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StoreUnavailable, match=r"letter\.txt.*not a database"):
        versions(Database(f"sqlite:///{file}"))
    assert file.read_text().startswith("Dear Sir")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file is where the folder should be."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreUnavailable, match=r"state/jobs\.sqlite3"):
        versions(Database(f"sqlite:///{tmp_path}/state/jobs.sqlite3"))


def test_a_write_that_another_holds_up_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After BUSY seconds, as unavailable; later it goes on as if nothing had been."""
    monkeypatch.setattr(schema, "BUSY", 0.1)
    database = Database(f"sqlite:///{tmp_path}/jobs.sqlite3")
    versions(database)
    other = sqlite3.connect(tmp_path / "jobs.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def write() -> None:
        with database.writing() as connection:
            connection.execute(insert(schema.schema_version).values(version=schema.VERSION))

    with pytest.raises(StoreUnavailable, match="locked"):
        write()
    assert versions(database) == [schema.VERSION], "reading goes on"
    other.execute("ROLLBACK")
    other.close()
    write()
    database.close()


def test_a_server_that_is_away_is_unavailable_and_comes_back() -> None:
    """Without its password in the message; the connections of before are not used again."""
    with Postgres() as server:
        url = server.database()
        database = Database(url.replace("hvd@", "hvd:secret@"))
        assert versions(database) == [schema.VERSION]
        server.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as caught:
                versions(database)
            assert "secret" not in str(caught.value)
        server.start()
        assert versions(database) == [schema.VERSION]
        database.close()


def test_times_are_microseconds(database: Database) -> None:
    """By the database's clock, which is this machine's here."""
    import time

    with database.reading() as connection:
        assert abs(schema.now(connection) / 1e6 - time.time()) < 60


def test_a_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    """What is written into a file without a name, nobody finds again."""
    path = tmp_path / "jobs.sqlite3"
    database = Database(f"sqlite:///{path}")
    versions(database)
    for file in tmp_path.glob("jobs.sqlite3*"):
        file.unlink()
    assert versions(database) == [schema.VERSION]
    assert path.exists()
    database.close()


def test_a_table_that_is_missing_is_unavailable(database: Database) -> None:
    """Somebody dropped it, or took the rights away: no fault of the request."""
    versions(database)
    with database.writing() as connection:
        connection.execute(text("DROP TABLE hvd_schema"))
    with pytest.raises(StoreUnavailable, match="hvd_schema"):
        versions(database)
