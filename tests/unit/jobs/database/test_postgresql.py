"""PostgreSQL and PgBouncer as the jobs' database: limits, round trips, encodings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import exc, text

from hvd.errors import StoreUnavailable
from hvd.jobs.database import threads
from hvd.jobs.database.connection import Database
from hvd.jobs.database.store import Store
from hvd.jobs.database.threads import DatabaseThreads
from hvd.jobs.submission import Submission, SubmissionKey
from tests.support.postgres import Postgres
from tests.unit.jobs.support import end_of, new_jobs, queue_of, statuses, submit

KEY = SubmissionKey("k", "f")


@contextmanager
def round_trips() -> Iterator[list[Any]]:
    """How often psycopg waits for the server meanwhile: each time for the answer to one message."""
    waits: list[Any] = []
    wait = psycopg.Connection.wait

    def noting(generator: Any) -> Any:
        try:
            wanted = next(generator)  # a rollback of nothing ends here: it needs no server
            waits.append(generator)
            while True:
                wanted = generator.send((yield wanted))
        except StopIteration as end:
            return end.value

    def counted(self: Any, generator: Any, *rest: Any, **named: Any) -> Any:
        return wait(self, noting(generator), *rest, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg.Connection, "wait", counted)
        yield waits


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url, 2)
    try:
        yield database
    finally:
        database.close()


def test_a_submission_is_two_round_trips(postgres: Postgres) -> None:
    """The statement and the commit, of one job or a thousand; reads are two as well, and a key costs no more."""
    with opened(postgres.database()) as database:
        store = Store(database, "here/a")
        submit(store)
        for count, key in ((1, None), (1000, None), (1, KEY)):
            with round_trips() as waits:
                ids = submit(store, count, key=key)
            assert len(waits) == 2, (count, key)
        with round_trips() as waits:
            store.find(ids)
        assert len(waits) == 2


def test_ends_and_claims_are_one_transaction(postgres: Postgres) -> None:
    """One message, and one wait for it; where an end may be followed by another attempt each step has its own."""
    with opened(postgres.database()) as database:
        store, queue = Store(database, "here/a"), queue_of(database)
        submit(store, 4)
        jobs = queue.claim({"plain": 8}, 2)
        store.cancel([jobs[1].id])
        with round_trips() as waits:
            done, to_cancel, claimed = queue.finish_and_claim([end_of(jobs[0])], {"plain": 8}, 2)
        assert ([job.id for job in done], to_cancel) == ([jobs[0].id], [jobs[1].id])
        assert [job.status for job in claimed] == ["running"] * 2
        assert len(waits) == 1


def test_a_server_that_stands_still_is_given_up(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock, and cut off: the thread that waited is free, and what it asked has not happened."""
    pair = DatabaseThreads(2)
    with Postgres() as own, opened(own.database()) as database:
        store = Store(database, "here/a")
        ids = pair.do(lambda: submit(store))
        monkeypatch.setattr(threads, "ANSWER", 0.4)
        monkeypatch.setattr(threads, "START", 0.1)
        with own.standing_still():
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"has not answered for 0\.4 s"):
                pair.do(lambda: submit(store))
            assert time.monotonic() - began < 5
        monkeypatch.undo()
        deadline = time.monotonic() + 30
        while True:
            try:
                found = pair.do(lambda: store.newest([], [], 10, None))
                break
            except StoreUnavailable:
                assert time.monotonic() < deadline, "it never works again"
        assert [job.id for job in found] == ids
    pair.close()


def test_a_lock_is_not_waited_for_for_ever(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gives up by itself, so that nothing waits there for a lock that nobody wants any more."""
    from hvd.jobs.database import postgresql

    monkeypatch.setattr(postgresql, "_BEGIN", postgresql._BEGIN.replace(str(postgresql.STATEMENT), "50"))
    url = postgres.database()
    with opened(url) as database:
        store = Store(database, "here/a")
        submit(store)
        with postgres.connect(url) as other:
            other.execute("LOCK TABLE hvd_jobs")
            for work in (lambda: submit(store), lambda: store.newest([], [], 1, None)):
                with pytest.raises(StoreUnavailable, match="timeout"):
                    work()
        assert len(store.newest([], [], 10, None)) == 1


def test_a_pooler_in_transaction_mode_will_do(postgres: Postgres) -> None:
    """Each transaction may have another session: no options of a session, nothing prepared, no lock beyond a commit."""
    url = postgres.database()
    with postgres.pooled(url) as pooled, opened(pooled) as one, opened(pooled) as other:
        store = Store(one, "here/a")
        for _ in range(7):  # psycopg prepares what is executed for the sixth time
            ids = submit(store, 2, key=None)
            assert statuses(store, ids) == ["pending"] * 2
        queue = queue_of(other)
        jobs = queue.claim({"plain": 99}, 99)
        assert len(jobs) == 14
        assert len(queue.finish([end_of(job) for job in jobs])) == 14
        with one.writing() as connection, postgres.connect(url) as direct:
            connection.execute(text("SELECT 1"))
            assert direct.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
            assert connection.scalar(text("SHOW lock_timeout")) == "4s"


def test_a_database_without_an_encoding_will_do(postgres: Postgres) -> None:
    """SQL_ASCII stores bytes as they come: they come, and are read, as UTF-8."""
    with opened(postgres.database("ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0")) as database:
        store = Store(database, "here/a")
        new = [new_jobs()[0]._replace(params={"text": "K\u00f6ln \u2192 \U0001f600"}, name="\u00fcber")]
        answer = store.submit(Submission(new), 9, KEY).answer
        (job,) = store.find(answer["job_ids"])
        assert (job.name, job.params) == (new[0].name, new[0].params)
        assert store.earlier_answer(KEY) == answer


def test_a_wrong_statement_is_a_fault_and_not_the_databases_state(database: Database) -> None:
    """On both: it goes to the log with its traceback, not to clients as "can't be used"."""
    with (
        pytest.raises((exc.ProgrammingError, exc.OperationalError), match=r"(?i)syntax|nonsense"),
        database.reading() as c,
    ):
        c.execute(text("SELECT nonsense FROM hvd_jobs"))
    with pytest.raises(StoreUnavailable, match="hvd_nothing"), database.reading() as c:
        c.execute(text("SELECT 1 FROM hvd_nothing"))


def test_a_server_that_was_started_again_costs_no_error(postgres: Postgres) -> None:
    """Connections that it has ended are seen to be that before they are used."""
    with Postgres() as own, opened(own.database()) as database:
        store = Store(database, "here/a")
        ids = submit(store)
        own.stop()
        own.start()
        assert statuses(store, ids) == ["pending"]
