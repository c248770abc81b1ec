"""The jobs' database: opened, made, refused."""

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from hvd.errors import StoreNewer, StoreUnavailable
from hvd.jobs import schema
from hvd.jobs.schema import Database
from tests.support.postgres import Postgres


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
