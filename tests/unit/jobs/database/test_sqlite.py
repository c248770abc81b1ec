"""SQLite as the jobs' database: its files, and who waits for whom."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import insert

from hvd.errors import StoreUnavailable
from hvd.jobs.database import schema, sqlite
from hvd.jobs.database.connection import Database
from tests.unit.jobs.support import versions


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
    monkeypatch.setattr(sqlite, "BUSY", 0.1)
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
