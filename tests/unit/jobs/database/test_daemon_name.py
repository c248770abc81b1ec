"""The name under which a daemon's totals are kept."""

import socket
from pathlib import Path

import pytest

from hvd.jobs.database.daemon_name import daemon_name, short_name

SHARED = "postgresql://hvd@db/jobs"


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
