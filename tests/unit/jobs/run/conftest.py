"""What tests of the runner have in common."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.core.proc import PR_SET_CHILD_SUBREAPER, prctl


@pytest.fixture(autouse=True)
def _subreaper() -> Iterator[None]:
    """Orphans are left to this process, as to the runner's own."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """One database is enough here: tests/unit/jobs/database has both."""
    return f"sqlite:///{tmp_path}/jobs.sqlite3"
