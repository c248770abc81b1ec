"""What tests of the runner have in common."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hvd.core.proc import PR_SET_CHILD_SUBREAPER, prctl
from hvd.jobs.database.connection import Database
from tests.support.leftovers import no_child_left
from tests.unit.jobs.run import running


@pytest.fixture(autouse=True)
def _subreaper() -> Iterator[None]:
    """Orphans are left to this process, as to the runner's own."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    with no_child_left():
        yield
    prctl(PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """One database is enough here: tests/unit/jobs/database has both."""
    return f"sqlite:///{tmp_path}/jobs.sqlite3"


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> running.Scenes:
    """Makes a runner, with a queue of its own."""
    return partial(running.scene, database, tmp_path)
