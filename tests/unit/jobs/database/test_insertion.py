"""Submitted jobs on their way into the tables, of SQLite and of PostgreSQL."""

import pytest
from sqlalchemy import exc, func, select

from hvd.jobs.database import insertion, schema
from hvd.jobs.database.connection import Database
from hvd.jobs.database.store import Store
from hvd.jobs.submission import SubmissionKey
from tests.unit.jobs.support import new_jobs

KEY = insertion.key_row(SubmissionKey("key", "print"), {"accepted": 2})


def test_jobs_that_fit_are_inserted_as_they_are_answered(database: Database) -> None:
    """Without another look at the table."""
    plain, again = new_jobs(2)
    jobs = [plain, again._replace(retry_of="01a20000-0000-7000-8000-000000000001")]
    rows = [insertion.row_of(job, database.clock.micros()) for job in jobs]
    with database.writing() as connection:
        waiting, at = insertion.insert_rows(connection, rows, KEY, 2)
    assert waiting == 0
    stored = Store(database, "a").find([row["id"] for row in rows])
    answered = [insertion.inserted(row, job, at / 1e6) for row, job in zip(rows, jobs, strict=True)]
    assert [job.as_dict() for job in stored] == [job.as_dict() for job in answered]
    assert [job.retry_of for job in stored] == [None, jobs[1].retry_of]


def test_of_jobs_that_do_not_fit_none_is_inserted(database: Database) -> None:
    """Nor their key."""
    rows = [insertion.row_of(job, database.clock.micros()) for job in new_jobs(3)]
    with database.writing() as connection:
        assert insertion.insert_rows(connection, rows[:1], None, 2)[0] == 0
        assert insertion.insert_rows(connection, rows[1:], KEY, 2)[0] == 1
        assert connection.scalar(select(func.count()).select_from(schema.jobs)) == 1
        assert connection.scalar(select(func.count()).select_from(schema.submissions)) == 0


def test_a_key_is_inserted_once(database: Database) -> None:
    """The second submission with it leaves no jobs."""
    rows = [insertion.row_of(job, database.clock.micros()) for job in new_jobs(2)]
    with database.writing() as connection:
        insertion.insert_rows(connection, rows[:1], KEY, 9)
    with pytest.raises(exc.IntegrityError), database.writing() as connection:
        insertion.insert_rows(connection, rows[1:], KEY, 9)
    assert Store(database, "a").find([rows[1]["id"]]) == []
