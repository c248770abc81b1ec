"""Jobs whose runner is gone, and what is old, on SQLite and on PostgreSQL."""

import subprocess
import sys

import pytest

from hvd.core.proc import start_ticks
from hvd.jobs.database import clock
from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from hvd.jobs.submission import SubmissionKey
from tests.support.waiting import until
from tests.unit.jobs.support import end_of, queue_of, statuses, submit

KEY, NOW = SubmissionKey("k", "f"), clock.now


def dead_pid() -> tuple[int, int]:
    """A pid of this machine whose process is over, and when it had started."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_ticks(process.pid)
    process.communicate()
    return process.pid, started


def test_the_jobs_of_a_dead_process_are_recovered(store: Store, queue: Queue, database: Database) -> None:
    """On this machine without waiting for the lease: another attempt where the kind grants it, else failed."""
    pid, started = dead_pid()
    dead = queue_of(database, pid=pid, pid_start=started, lease=3600)
    submit(store, 1, "stubborn")
    submit(store, 2)
    jobs = dead.claim({"plain": 9, "stubborn": 9}, 9)
    store.cancel([jobs[2].id])
    (gone,) = queue.leases.dead_runners()
    assert gone == dead.runner
    recovered = queue.upkeep.recover(gone)
    assert [job.status for job in recovered] == ["pending", "failed", "cancelled"]
    assert recovered[1].error == f"its runner on here (pid {pid}) died"
    assert queue.upkeep.recover(gone) == []
    assert queue.leases.dead_runners() == []
    assert dead.finish([end_of(job) for job in jobs]) == [], "what it comes back with is too late"
    assert statuses(store, [job.id for job in jobs]) == ["pending", "failed", "cancelled"]


def test_a_claim_whose_answer_was_lost_is_undone(store: Store, queue: Queue) -> None:
    """What is noted as ours and isn't running never ran: it runs later, with all its attempts; what runs stays."""
    submit(store, 3)
    kept, lost, cancelled = queue.claim({"plain": 3}, 3)
    store.cancel([cancelled.id])
    assert [job.id for job in queue.upkeep.reclaim({kept.id: None})] == [lost.id, cancelled.id]
    assert statuses(store, [kept.id, lost.id, cancelled.id]) == ["running", "pending", "cancelled"]
    assert [row[:4] for row in queue.figures()["ends"]] == [("plain", "cancelled", -1, 1)]
    (again,) = queue.claim({"plain": 9}, 9)
    assert (again.id, again.attempt) == (lost.id, 1)


def test_what_a_dead_runner_had_only_claimed_has_had_no_attempt(store: Store, queue: Queue, database: Database) -> None:
    """It goes back, where it is known what was started."""
    pid, started = dead_pid()
    dead = queue_of(database, pid=pid, pid_start=started)
    submit(store, 2)
    ran, never = dead.claim({"plain": 2}, 2)
    queue.upkeep.recover(dead.runner, {(ran.id, 1), (never.id, 7)})
    assert statuses(store, [ran.id, never.id]) == ["failed", "pending"]
    (again,) = queue.claim({"plain": 9}, 9)
    assert (again.id, again.attempt) == (never.id, 1)


def test_a_job_of_a_runner_that_nobody_knows_is_not_running_for_ever(store: Store, database: Database) -> None:
    """However it came to that."""
    forgotten, queue = queue_of(database), queue_of(database)
    submit(store)
    (job,) = forgotten.claim({"plain": 1}, 1)
    forgotten.leases.leave()
    assert [each.id for each in queue.upkeep.reclaim({})] == [job.id]
    assert statuses(store, [job.id]) == ["failed"]


def test_old_jobs_and_keys_are_deleted(store: Store, queue: Queue) -> None:
    """Those that ended long ago; the totals keep them."""
    submit(store, 3, key=KEY)
    job, *_ = queue.claim({"plain": 1}, 1)
    queue.finish([end_of(job)])
    assert queue.upkeep.prune(0.0) == [], "nobody knows yet whether the clock is right"
    assert queue.upkeep.prune(1.0) == []
    until(lambda: queue.upkeep.prune(0.0) == [job.id], "it is older than no time at all")
    assert not store.find([job.id])
    (other, _) = store.newest([], [], 50, None)
    assert queue.upkeep.unknown([job.id, other.id]) == [job.id]
    assert store.earlier_answer(KEY) is not None, "a key is known for a day"
    assert [row[:4] for row in queue.figures()["ends"]] == [("plain", "completed", 0, 1)]


def test_a_clock_that_has_stepped_deletes_nothing(store: Store, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next pruning somebody may have set it right; if not, it is taken for the time."""
    submit(store, key=KEY)
    (job,) = queue.claim({"plain": 1}, 1)
    queue.finish([end_of(job)])
    assert queue.upkeep.prune(1.0) == []
    step = 32 * 86_400_000_000
    monkeypatch.setattr(clock, "now", lambda connection: NOW(connection) + step)
    assert queue.upkeep.prune(1.0) == []
    assert store.find([job.id])
    assert store.earlier_answer(KEY)
    monkeypatch.setattr(clock, "now", NOW)
    assert [queue.upkeep.prune(1.0), queue.upkeep.prune(1.0)] == [[], []]
    assert store.find([job.id])


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
    queue.upkeep.prune(365)
    queue.upkeep.prune(365)
    with database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT daemon, count FROM hvd_job_totals ORDER BY daemon").all()
    assert rows == [("", 4), ("here/a", 1)]
    after = queue.figures()
    assert (after["own"], after["ends"][0][:4]) == (before["own"], before["ends"][0][:4])
    assert after["ends"][0][4] == pytest.approx(before["ends"][0][4])
