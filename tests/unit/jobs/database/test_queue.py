"""The queue as runners see it, on SQLite and on PostgreSQL."""

from functools import partial

import pytest
from sqlalchemy import bindparam, literal_column, select

from hvd.jobs.database import clock, finish_and_claim, schema, statements
from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from tests.support.jobs import together
from tests.unit.jobs.support import end_of, queue_of, submit

NOW = clock.now


def step_clock(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the queue's clock be so many µs off, and the time that PostgreSQL tells with a lease and in an exchange."""
    moment = f"({clock.SERVER_TIME} + ({step}))"
    monkeypatch.setattr(clock, "now", lambda connection: NOW(connection) + step)
    lease = select(literal_column(moment)).where(schema.runners.c.id == bindparam("me"))
    monkeypatch.setattr(statements, "LEASE", lease)
    monkeypatch.setattr(finish_and_claim, "SERVER_TIME", moment)
    monkeypatch.setattr(finish_and_claim, "_UNPREPARED", finish_and_claim.unprepared())
    monkeypatch.setattr(finish_and_claim, "_is_prepared", lambda connection: False)


def test_jobs_are_claimed_oldest_first_within_the_room(store: Store, queue: Queue) -> None:
    """No more than asked, no more of a kind than there is room; what is full doesn't keep the others back."""
    plain, stubborn = submit(store, 3), submit(store, 2, "stubborn")
    assert queue.claim({"plain": 0}, 5) == []
    first = queue.claim({"plain": 1, "stubborn": 5}, 2)
    assert [job.id for job in first] == [plain[0], stubborn[0]]
    assert {(job.status, job.attempt, job.host) for job in first} == {("running", 1, "here")}
    assert [job.id for job in queue.claim({"plain": 9, "stubborn": 9}, 9)] == [plain[1], plain[2], stubborn[1]]
    assert queue.claim({"plain": 9, "stubborn": 9}, 9) == []


def test_each_job_is_claimed_once_however_many_claim(store: Store, database: Database) -> None:
    """Eight runners at once, 200 jobs: no job has two."""
    ids = submit(store, 200)
    claimed: list[str] = []

    def claim_all(queue: Queue) -> None:
        while jobs := queue.claim({"plain": 7}, 7):
            claimed.extend(job.id for job in jobs)

    together([partial(claim_all, queue_of(database)) for _ in range(8)])
    assert sorted(claimed) == ids


def test_the_next_job_is_due_when_its_pause_is_over(store: Store, queue: Queue) -> None:
    """0 for one that may start now, None where none of these kinds waits."""
    assert queue.next_due(["stubborn"]) is None
    submit(store, 1, "stubborn")
    assert queue.next_due(["stubborn"]) == 0.0
    assert queue.next_due(["plain"]) is None
    (job,) = queue.claim({"stubborn": 1}, 1)
    queue.finish([end_of(job, "failed")])
    due = queue.next_due(["stubborn"])
    assert due is not None
    assert 0 <= due <= 0.01


def test_progress_is_noted_of_own_running_jobs_only(store: Store, queue: Queue, database: Database) -> None:
    """Another runner's jobs, and those that have ended, keep theirs."""
    submit(store, 2)
    (one,) = queue.claim({"plain": 1}, 1)
    (other,) = queue_of(database).claim({"plain": 1}, 1)
    queue.progress({one.id: 12.5, other.id: 50.0})
    assert [job.progress for job in store.find([one.id, other.id])] == [12.5, 0.0]


def test_a_job_that_was_put_back_at_a_time_to_come_is_due(
    store: Store, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock has stepped back since: nobody waits until it is that late again. It lasted what it lasted."""
    submit(store, 1, "stubborn")
    (job,) = queue.claim({"stubborn": 1}, 1)
    queue.finish([end_of(job, "failed", seconds=0.25)])
    step_clock(monkeypatch, -3_600_000_000)
    assert queue.next_due(["stubborn"]) == 0.0
    (job,) = queue.claim({"stubborn": 1}, 1)
    step_clock(monkeypatch, 3_600_000_000)
    (done,) = queue.finish([end_of(job, seconds=0.25)])
    assert done.duration == 0.25
    assert queue.figures()["ends"] == [("stubborn", "completed", 1, 1, 0.25)]


def test_nothing_is_claimed_without_a_lease(store: Store, database: Database) -> None:
    """It was lost, and another has looked after what we had: nobody would look after what we took now."""
    lost = queue_of(database)
    lost.leases.leave()
    submit(store)
    assert lost.claim({"plain": 1}, 1) == []
    lost.leases.renew()
    assert len(lost.claim({"plain": 1}, 1)) == 1


def test_cancels_of_mixed_kinds_do_not_wait_for_each_other(store: Store, database: Database) -> None:
    """Whatever the order of kinds among the jobs: totals are locked in one order."""
    for _ in range(5):
        mixed = [submit(store, 1, kind)[0] for kind in ("plain", "stubborn", "stubborn", "plain") * 4]
        together([partial(store.cancel, mixed[half::2]) for half in (0, 1)])
    ends = queue_of(database).figures()["ends"]
    assert [row[:4] for row in ends] == [("plain", "cancelled", -1, 40), ("stubborn", "cancelled", -1, 40)]


def test_figures_tell_how_long_the_oldest_has_waited(store: Store, queue: Queue) -> None:
    """Of those that are pending; by the database's clock."""
    assert queue.figures()["oldest_pending_seconds"] is None
    submit(store)
    first = queue.figures()["oldest_pending_seconds"]
    assert first is not None
    submit(store)
    later = queue.figures()["oldest_pending_seconds"]
    assert later is not None
    assert 0 <= first <= later < 60
    queue.claim({"plain": 2}, 2)
    assert queue.figures()["oldest_pending_seconds"] is None


def test_figures_tell_own_ends_from_all(store: Store, queue: Queue, database: Database) -> None:
    """Open jobs by kind and status; ends of this daemon, and of all that share the queue."""
    submit(store, 4)
    (one,) = queue.claim({"plain": 1}, 1)
    queue.finish([end_of(one)])
    other = queue_of(database, daemon="there/b")
    (two,) = other.claim({"plain": 1}, 1)
    other.finish([end_of(two)])
    other.claim({"plain": 1}, 1)
    figures = queue.figures()
    assert sorted(figures["open"]) == [("plain", "pending", 1), ("plain", "running", 1)]
    assert [row[:4] for row in figures["own"]] == [("plain", "completed", 0, 1)]
    assert [row[:4] for row in figures["ends"]] == [("plain", "completed", 0, 2)]
    assert len(figures["recent"]) == 4
    assert figures["recent"][0]["status"] == "running"
