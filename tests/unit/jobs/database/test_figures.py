"""Figures of the queue, on SQLite and on PostgreSQL."""

from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from tests.unit.jobs.support import end_of, queue_of, submit


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
