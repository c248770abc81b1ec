"""What is old is deleted, on SQLite and on PostgreSQL."""

import pytest

from hvd.jobs.database import clock
from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from hvd.jobs.submission import SubmissionKey
from tests.support.waiting import until
from tests.unit.jobs.support import end_of, queue_of, submit

KEY, NOW = SubmissionKey("k", "f"), clock.now


def test_old_jobs_and_keys_are_deleted(store: Store, queue: Queue) -> None:
    """Those that ended long ago; the totals keep them."""
    submit(store, 3, key=KEY)
    job, *_ = queue.claim({"plain": 1}, 1)
    queue.finish([end_of(job)])
    assert queue.pruning.prune(0.0) == [], "nobody knows yet whether the clock is right"
    assert queue.pruning.prune(1.0) == []
    until(lambda: queue.pruning.prune(0.0) == [job.id], "it is older than no time at all")
    assert store.get(job.id) is None
    (other, _) = store.newest([], [], 50, None)
    assert queue.pruning.unknown([job.id, other.id]) == [job.id]
    assert store.earlier_answer(KEY) is not None, "a key is known for a day"
    assert [row[:4] for row in queue.figures()["ends"]] == [("plain", "completed", 0, 1)]


def test_a_clock_that_has_stepped_deletes_nothing(store: Store, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next pruning somebody may have set it right; if not, it is taken for the time."""
    submit(store, key=KEY)
    (job,) = queue.claim({"plain": 1}, 1)
    queue.finish([end_of(job)])
    assert queue.pruning.prune(1.0) == []
    step = 32 * 86_400_000_000
    monkeypatch.setattr(clock, "now", lambda connection: NOW(connection) + step)
    assert queue.pruning.prune(1.0) == []
    assert store.get(job.id)
    assert store.earlier_answer(KEY)
    monkeypatch.setattr(clock, "now", NOW)
    assert [queue.pruning.prune(1.0), queue.pruning.prune(1.0)] == [[], []]
    assert store.get(job.id)


def test_totals_of_daemons_that_are_gone_are_added_up(
    store: Store, queue: Queue, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows don't grow for ever; the queue's totals stay what they are, and so do those of who is there."""
    for number in range(4):
        other = queue_of(database, daemon=f"pod-{number}/a")
        submit(store)
        (job,) = other.claim({"plain": 1}, 1)
        other.finish([end_of(job)])
    submit(store)
    (job,) = queue.claim({"plain": 1}, 1)
    queue.finish([end_of(job)])
    before = queue.figures()
    monkeypatch.setattr(clock, "now", lambda connection: NOW(connection) + 31 * 86_400_000_000)
    queue.pruning.prune(365)
    queue.pruning.prune(365)
    with database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT daemon, count FROM hvd_job_totals ORDER BY daemon").all()
    assert rows == [("", 4), ("here/a", 1)]
    after = queue.figures()
    assert (after["own"], after["ends"][0][:4]) == (before["own"], before["ends"][0][:4])
    assert after["ends"][0][4] == pytest.approx(before["ends"][0][4])
