"""An exchange in one statement: what it changes, and where it is prepared."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from tests.support.postgres import Postgres
from tests.unit.jobs.support import end_of, queue_of, statuses, submit


@pytest.fixture
def url(postgres: Postgres) -> str:
    """That of an empty database."""
    return postgres.database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """On a real PostgreSQL."""
    database = Database(url)
    yield database
    database.close()


def ended(queue: Queue) -> int:
    """How many ends are counted."""
    return sum(row.number for row in queue.figures()["own"])


def test_an_end_that_is_told_again_changes_nothing(database: Database) -> None:
    """As after an answer that was lost: neither the job, nor the counts, nor another attempt of it."""
    store, queue = Store(database, "here/a"), queue_of(database)
    ids = submit(store, 3)
    claimed = queue.claim({"plain": 2}, 2)
    ends = [end_of(job, output="late\n\u00e9", seconds=0.25) for job in reversed(claimed)]
    first = queue.finish_and_claim(ends, {"plain": 1}, 1)
    assert sorted(job.id for job in first.done) == ids[:2]
    assert [(job.id, job.attempt, job.host) for job in first.claimed] == [(ids[2], 1, "here")]
    assert [(job.output, job.duration, job.progress) for job in first.done] == [(["late", "\u00e9"], 0.25, 100.0)] * 2
    assert queue.finish_and_claim(ends, {"plain": 1}, 1) == ([], [], [])
    assert queue.finish([end_of(first.claimed[0])._replace(attempt=7)]) == []
    assert (ended(queue), statuses(store, ids)) == (2, ["completed", "completed", "running"])


def test_who_has_no_lease_is_given_nothing(database: Database) -> None:
    """Nobody would look after what it took. What it ran, and nobody took over, it may end."""
    store, queue = Store(database, "here/a"), queue_of(database)
    submit(store, 2)
    (job,) = queue.claim({"plain": 1}, 1)
    queue.leases.leave()
    assert [len(part) for part in queue.finish_and_claim([end_of(job)], {"plain": 9}, 1)] == [1, 0, 0]


def test_the_statement_is_prepared_in_a_session_of_its_own_alone(url: str, postgres: Postgres) -> None:
    """A pooler may give each transaction another one."""
    with postgres.pooled(url) as pooled:
        for address, expected in ((url, "hvd_exchange"), (pooled, None)):
            database = Database(address)
            submit(Store(database, "here/a"))
            assert len(queue_of(database).claim({"plain": 1}, 1)) == 1
            with database.reading() as connection:
                assert connection.scalar(text("SELECT name FROM pg_prepared_statements")) == expected
            database.close()


def test_what_is_prepared_outlives_a_newer_schema(database: Database) -> None:
    """A newer hvd that shares the database may add a column to a table."""
    store, queue = Store(database, "here/a"), queue_of(database)
    submit(store, 2)
    (job,) = queue.claim({"plain": 1}, 1)
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE hvd_jobs ADD COLUMN newer integer"))
    assert [len(part) for part in queue.finish_and_claim([end_of(job)], {"plain": 1}, 1)] == [1, 0, 1]
