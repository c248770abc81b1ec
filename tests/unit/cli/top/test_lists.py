"""The lists of workers, routes and jobs."""

import pytest

from hvd.cli.top.frame import ASCII
from hvd.cli.top.lists import JOBS, TABLES, WORKERS
from hvd.cli.top.table import Table
from tests.unit.cli.top.data import job, table_texts, worker


def test_a_busy_worker_tells_what_it_serves() -> None:
    """The oldest of its requests, with its age."""
    busy = [
        {"method": "GET", "path": "/new", "age_seconds": 1.0},
        {"method": "POST", "path": "/old", "age_seconds": 9.5},
    ]
    row = table_texts(WORKERS, [worker(7, 1, busy=busy)], 120)[1]
    assert "POST /old 9.5s" in row


def test_a_job_has_a_bar_and_says_why_it_failed() -> None:
    """In words and signs, not by colour alone."""
    failed = job("disk", "failed", 50.0, error_msg="exit status 3")
    row = table_texts(JOBS, [failed], 160)[1]
    assert "failed" in row
    assert "█████░░░░░  50%" in row
    assert "disk (convert): exit status 3" in row
    assert "disk (convert): exit status 3" in table_texts(JOBS, [failed])[1]
    assert "#####.....  50%" in table_texts(JOBS, [job("disk", "running", 50.0)], glyphs=ASCII)[1]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_without_anything_are_shown(table: Table) -> None:
    """With signs that nothing is known."""
    assert "-" in table_texts(table, [{}])[1]
