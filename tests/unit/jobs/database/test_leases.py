"""Leases of runners, and how one is known to be gone, on SQLite and on PostgreSQL."""

from hvd.core.proc import start_ticks
from hvd.jobs.database import schema
from hvd.jobs.database.connection import Database
from hvd.jobs.database.leases import Runner, machine
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from tests.support.waiting import until
from tests.unit.jobs.support import end_of, queue_of, submit


def test_a_living_process_of_this_machine_is_not_gone(database: Database, queue: Queue) -> None:
    """Even where its lease is over: it may be slow, but what it runs runs."""
    queue_of(database, lease=0.0)
    assert queue.leases.dead_runners() == []


def test_a_lease_is_over_when_it_was_seen_unrenewed(database: Database, queue: Queue) -> None:
    """For its whole length, whatever the times in the database are: it was away, or its clock has stepped."""
    far = queue_of(database, machine="elsewhere", pid=1, lease=0.2)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE hvd_runners SET lease_until = 1 WHERE machine = 'elsewhere'")
    assert queue.leases.dead_runners() == [], "it is seen for the first time"
    far.leases.renew()
    assert queue.leases.dead_runners() == []
    until(lambda: queue.leases.dead_runners() == [far.runner], "it is not renewed any more")
    far.leases.renew()
    assert queue.upkeep.recover(far.runner) == [], "it has come back in between"
    assert far.leases.renew()


def test_another_machines_runner_is_gone_when_its_lease_is(store: Store, queue: Queue, database: Database) -> None:
    """Its pid means nothing here."""
    far = queue_of(database, machine="elsewhere", pid=1, lease=3600)
    submit(store)
    (job,) = far.claim({"plain": 1}, 1)
    assert queue.leases.dead_runners() == []
    assert queue.upkeep.recover(far.runner) == []
    far = Queue(database, far.runner, "there/a", 0.02)
    assert far.leases.renew(), "the lease was held"
    until(lambda: queue.leases.dead_runners() == [far.runner], "its lease is over")
    assert [job.status for job in queue.upkeep.recover(far.runner)] == ["failed"]
    assert not far.leases.renew(), "it is told that it had lost its lease"
    assert far.finish([end_of(job)]) == []


def test_a_runner_knows_whether_another_machine_could_take_its_jobs_over(database: Database, queue: Queue) -> None:
    """As of the last renewal; another daemon of this machine looks at processes, not at leases."""
    queue_of(database)
    queue.leases.renew()
    assert not queue.leases.has_rivals
    far = queue_of(database, machine="elsewhere")
    queue.leases.renew()
    assert queue.leases.has_rivals
    assert far.leases.has_rivals


def test_totals_go_on_under_the_name_that_a_daemon_keeps(store: Store, database: Database) -> None:
    """Those of before it had one are taken along, once."""
    old = queue_of(database, daemon="pod-1/a")
    submit(store)
    (job,) = old.claim({"plain": 1}, 1)
    old.finish([end_of(job)])
    new = Queue(database, Runner.here(), "pod-1/a/1234", 15.0)
    new.leases.name_before = "pod-1/a"
    new.leases.renew()
    assert [row[:4] for row in new.figures()["own"]] == [("plain", "completed", 0, 1)]


def test_a_runner_that_leaves_is_forgotten(queue: Queue, database: Database) -> None:
    """Nobody recovers what it left in order."""
    other = queue_of(database)
    other.leases.leave()
    assert other.leases.renew() is False
    assert schema.runners.name == "hvd_runners"


def test_a_runner_here_is_this_process() -> None:
    """Named by pid and start, on this boot of this machine, in this pid namespace."""
    here = Runner.here()
    assert here.machine == machine()
    assert here.pid_start == start_ticks(here.pid) > 0
    assert Runner.here().id != here.id
