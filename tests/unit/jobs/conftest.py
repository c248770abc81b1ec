"""A database of jobs, once in SQLite and once in PostgreSQL: what holds of one holds of the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.jobs.database.connection import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/jobs.sqlite3"
    made: str = request.getfixturevalue("postgres").database()
    return made


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A new database, with connections for some threads."""
    opened = Database(url, 8)
    yield opened
    opened.close()
