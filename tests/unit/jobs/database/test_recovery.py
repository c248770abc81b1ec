"""Jobs whose runner is gone, on SQLite and on PostgreSQL."""

import subprocess
import sys

from hvd.core.proc import start_ticks
from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from tests.unit.jobs.support import end_of, queue_of, statuses, submit


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
    (gone,) = queue.leases.gone()
    assert gone == dead.runner
    recovered = queue.recovery.recover(gone)
    assert [job.status for job in recovered] == ["pending", "failed", "cancelled"]
    assert recovered[1].error == f"its runner on here (pid {pid}) died"
    assert queue.recovery.recover(gone) == []
    assert queue.leases.gone() == []
    assert dead.finish([end_of(job) for job in jobs]) == [], "what it comes back with is too late"
    assert statuses(store, [job.id for job in jobs]) == ["pending", "failed", "cancelled"]


def test_a_claim_whose_answer_was_lost_is_undone(store: Store, queue: Queue) -> None:
    """What is noted as ours and isn't running never ran: it runs later, with all its attempts; what runs stays."""
    submit(store, 3)
    kept, lost, cancelled = queue.claim({"plain": 3}, 3)
    store.cancel([cancelled.id])
    assert [job.id for job in queue.recovery.reclaim({kept.id: None})] == [lost.id, cancelled.id]
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
    queue.recovery.recover(dead.runner, {(ran.id, 1), (never.id, 7)})
    assert statuses(store, [ran.id, never.id]) == ["failed", "pending"]
    (again,) = queue.claim({"plain": 9}, 9)
    assert (again.id, again.attempt) == (never.id, 1)


def test_a_job_of_a_runner_that_nobody_knows_is_not_running_for_ever(store: Store, database: Database) -> None:
    """However it came to that."""
    forgotten, queue = queue_of(database), queue_of(database)
    submit(store)
    (job,) = forgotten.claim({"plain": 1}, 1)
    forgotten.leases.leave()
    assert [each.id for each in queue.recovery.reclaim({})] == [job.id]
    assert statuses(store, [job.id]) == ["failed"]
