"""Totals of ended jobs, in both databases, and the name under which a daemon's are kept."""

import socket
from pathlib import Path

import pytest

from hvd.jobs.database.connection import Database
from hvd.jobs.database.totals import EndCounts, daemon_name, short_name

SHARED = "postgresql://hvd@db/jobs"


def stored(database: Database) -> list[tuple[object, ...]]:
    """The rows of totals."""
    query = "SELECT daemon, kind, status, bucket, count, seconds, updated FROM hvd_job_totals ORDER BY kind, bucket"
    with database.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_what_is_added_is_added_to_what_is_there(database: Database) -> None:
    """One row for each kind, status and bucket, which says when it was added to last."""
    for at in (1, 2):
        counts = EndCounts("one")
        counts.add("copy", "completed", 3, 0.5)
        counts.add("copy", "completed", 3, 1.0)
        counts.add("copy", "completed", 4, 9.0, count=5)
        with database.writing() as connection:
            counts.store(connection, at)
    assert stored(database) == [
        ("one", "copy", "completed", 3, 4, 3.0, 2),
        ("one", "copy", "completed", 4, 10, 18.0, 2),
    ]


def test_on_sqlite_it_is_the_instance(tmp_path: Path) -> None:
    """The database is the machine's own, and needs nothing beside it."""
    assert daemon_name("sqlite:////x", str(tmp_path), "one") == short_name("sqlite:////x", "one") == "one"
    assert list(tmp_path.iterdir()) == []


def test_in_a_shared_database_it_outlives_the_host_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept in the state folder, for each instance; another machine that gets the host name has another."""
    folder = str(tmp_path / "state")
    monkeypatch.setattr(socket, "gethostname", lambda: "pod-1")
    first = daemon_name(SHARED, folder, "one")
    assert first.startswith("pod-1/one/")
    monkeypatch.setattr(socket, "gethostname", lambda: "pod-2")
    assert daemon_name(SHARED, folder, "one") == first
    assert daemon_name(SHARED, folder, "two").startswith("pod-2/two/")
    monkeypatch.setattr(socket, "gethostname", lambda: "pod-1")
    assert daemon_name(SHARED, str(tmp_path / "other"), "one") != first
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["daemon-one", "daemon-two"]


def test_where_nothing_can_be_kept_the_host_name_has_to_do(tmp_path: Path) -> None:
    """As it did before."""
    (tmp_path / "state").write_text("")
    assert daemon_name(SHARED, str(tmp_path / "state"), "one") == f"{socket.gethostname()}/one"
