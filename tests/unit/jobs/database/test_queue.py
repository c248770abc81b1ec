"""The queue as runners see it, on SQLite and on PostgreSQL."""

import subprocess
import sys
import threading

import pytest
from sqlalchemy import bindparam, literal_column, select

from hvd.core.proc import start_ticks
from hvd.jobs.database import clock, finish_and_claim, schema, statements
from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue, Runner, machine
from hvd.jobs.database.store import Store
from hvd.jobs.submission import SubmissionKey
from tests.support.waiting import until
from tests.unit.jobs.support import end_of, queue_of, statuses, submit

KEY, NOW = SubmissionKey("k", "f"), clock.now


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, "here/a")


@pytest.fixture
def queue(database: Database) -> Queue:
    return queue_of(database)


def dead_pid() -> tuple[int, int]:
    """A pid of this machine whose process is over, and when it had started."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_ticks(process.pid)
    process.communicate()
    return process.pid, started


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

    threads = [threading.Thread(target=claim_all, args=(queue_of(database),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == ids


def test_a_finished_job_is_what_its_attempt_came_to(store: Store, queue: Queue) -> None:
    """With its times, its exit status and its last lines; ended once, and counted once."""
    submit(store)
    (job,) = queue.claim({"plain": 1}, 1)
    (done,) = queue.finish([end_of(job, "failed", exit_code=3, error="exit status 3", output="a\nb", progress=40.0)])
    assert (done.status, done.exit_code, done.error, done.output) == ("failed", 3, "exit status 3", ["a", "b"])
    assert done.progress == 40.0
    assert done.duration is not None
    assert queue.finish([end_of(job)]) == []
    assert statuses(store, [job.id]) == ["failed"]
    assert [row[:4] for row in queue.figures()["ends"]] == [["plain", "failed", 0, 1]]


def test_a_kind_with_retries_gets_its_attempts_and_no_more(store: Store, queue: Queue) -> None:
    """Pending again after a failure, not before the pause is over; failed for good after the last."""
    submit(store, 1, "stubborn")
    for attempt in (1, 2, 3):
        (job,) = until(lambda: queue.claim({"stubborn": 1}, 1), "the pause is over", pause=0.001)
        assert job.attempt == attempt
        (job,) = queue.finish([end_of(job, "failed", error="no")])
        assert (job.status, job.started is None) == (("pending", True) if attempt < 3 else ("failed", False))
    assert [row[:4] for row in queue.figures()["ends"]] == [["stubborn", "failed", 0, 1]]


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


def test_a_cancelled_job_is_not_tried_again(store: Store, queue: Queue) -> None:
    """Asked to end while it failed by itself: that is the end."""
    submit(store, 1, "stubborn")
    (job,) = queue.claim({"stubborn": 1}, 1)
    store.cancel([job.id])
    (done,) = queue.finish([end_of(job, "failed")])
    assert done.status == "cancelled"


def test_progress_is_noted_of_own_running_jobs_only(store: Store, queue: Queue, database: Database) -> None:
    """Another runner's jobs, and those that have ended, keep theirs."""
    submit(store, 2)
    (one,) = queue.claim({"plain": 1}, 1)
    (other,) = queue_of(database).claim({"plain": 1}, 1)
    queue.progress({one.id: 12.5, other.id: 50.0})
    assert [job.progress for job in store.find([one.id, other.id])] == [12.5, 0.0]


def test_the_jobs_of_a_dead_process_are_recovered(store: Store, queue: Queue, database: Database) -> None:
    """On this machine without waiting for the lease: another attempt where the kind grants it, else failed."""
    pid, started = dead_pid()
    dead = queue_of(database, pid=pid, pid_start=started, lease=3600)
    submit(store, 1, "stubborn")
    submit(store, 2)
    jobs = dead.claim({"plain": 9, "stubborn": 9}, 9)
    store.cancel([jobs[2].id])
    (gone,) = queue.gone()
    assert gone == dead.runner
    recovered = queue.recover(gone)
    assert [job.status for job in recovered] == ["pending", "failed", "cancelled"]
    assert recovered[1].error == f"its runner on here (pid {pid}) died"
    assert queue.recover(gone) == []
    assert queue.gone() == []
    assert dead.finish([end_of(job) for job in jobs]) == [], "what it comes back with is too late"
    assert statuses(store, [job.id for job in jobs]) == ["pending", "failed", "cancelled"]


def test_a_living_process_of_this_machine_is_not_gone(database: Database, queue: Queue) -> None:
    """Even where its lease is over: it may be slow, but what it runs runs."""
    queue_of(database, lease=0.0)
    assert queue.gone() == []


def test_another_machines_runner_is_gone_when_its_lease_is(store: Store, queue: Queue, database: Database) -> None:
    """Its pid means nothing here."""
    far = queue_of(database, machine="elsewhere", pid=1, lease=3600)
    submit(store)
    (job,) = far.claim({"plain": 1}, 1)
    assert queue.gone() == []
    assert queue.recover(far.runner) == []
    far = Queue(database, far.runner, "there/a", 0.02)
    assert far.renew(), "the lease was held"
    until(lambda: queue.gone() == [far.runner], "its lease is over")
    assert [job.status for job in queue.recover(far.runner)] == ["failed"]
    assert not far.renew(), "it is told that it had lost its lease"
    assert far.finish([end_of(job)]) == []


def test_a_lease_is_over_when_it_was_seen_unrenewed(database: Database, queue: Queue) -> None:
    """For its whole length, whatever the times in the database are: it was away, or its clock has stepped."""
    far = queue_of(database, machine="elsewhere", pid=1, lease=0.2)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE hvd_runners SET lease_until = 1 WHERE machine = 'elsewhere'")
    assert queue.gone() == [], "it is seen for the first time"
    far.renew()
    assert queue.gone() == []
    until(lambda: queue.gone() == [far.runner], "it is not renewed any more")
    far.renew()
    assert queue.recover(far.runner) == [], "it has come back in between"
    assert far.renew()


def test_a_runner_knows_whether_another_machine_could_take_its_jobs_over(database: Database, queue: Queue) -> None:
    """As of the last renewal; another daemon of this machine looks at processes, not at leases."""
    queue_of(database)
    queue.renew()
    assert not queue.has_rivals
    far = queue_of(database, machine="elsewhere")
    queue.renew()
    assert queue.has_rivals
    assert far.has_rivals


def test_a_claim_whose_answer_was_lost_is_undone(store: Store, queue: Queue) -> None:
    """What is noted as ours and isn't running never ran: it runs later, with all its attempts; what runs stays."""
    submit(store, 3)
    kept, lost, cancelled = queue.claim({"plain": 3}, 3)
    store.cancel([cancelled.id])
    assert [job.id for job in queue.reclaim({kept.id: None})] == [lost.id, cancelled.id]
    assert statuses(store, [kept.id, lost.id, cancelled.id]) == ["running", "pending", "cancelled"]
    assert [row[:4] for row in queue.figures()["ends"]] == [["plain", "cancelled", -1, 1]]
    (again,) = queue.claim({"plain": 9}, 9)
    assert (again.id, again.attempt) == (lost.id, 1)


def test_what_a_dead_runner_had_only_claimed_has_had_no_attempt(store: Store, queue: Queue, database: Database) -> None:
    """It goes back, where it is known what was started."""
    pid, started = dead_pid()
    dead = queue_of(database, pid=pid, pid_start=started)
    submit(store, 2)
    ran, never = dead.claim({"plain": 2}, 2)
    queue.recover(dead.runner, {(ran.id, 1), (never.id, 7)})
    assert statuses(store, [ran.id, never.id]) == ["failed", "pending"]
    (again,) = queue.claim({"plain": 9}, 9)
    assert (again.id, again.attempt) == (never.id, 1)


def test_old_jobs_and_keys_are_deleted(store: Store, queue: Queue) -> None:
    """Those that ended long ago; the totals keep them."""
    submit(store, 3, key=KEY)
    job, *_ = queue.claim({"plain": 1}, 1)
    queue.finish([end_of(job)])
    assert queue.prune(0.0) == [], "nobody knows yet whether the clock is right"
    assert queue.prune(1.0) == []
    until(lambda: queue.prune(0.0) == [job.id], "it is older than no time at all")
    assert store.get(job.id) is None
    (other, _) = store.newest([], [], 50, None)
    assert queue.unknown([job.id, other.id]) == [job.id]
    assert store.earlier_answer(KEY) is not None, "a key is known for a day"
    assert [row[:4] for row in queue.figures()["ends"]] == [["plain", "completed", 0, 1]]


def test_a_clock_that_has_stepped_deletes_nothing(store: Store, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next pruning somebody may have set it right; if not, it is taken for the time."""
    submit(store, key=KEY)
    (job,) = queue.claim({"plain": 1}, 1)
    queue.finish([end_of(job)])
    assert queue.prune(1.0) == []
    step = 32 * 86_400_000_000
    monkeypatch.setattr(clock, "now", lambda connection: NOW(connection) + step)
    assert queue.prune(1.0) == []
    assert store.get(job.id)
    assert store.earlier_answer(KEY)
    monkeypatch.setattr(clock, "now", NOW)
    assert [queue.prune(1.0), queue.prune(1.0)] == [[], []]
    assert store.get(job.id)


def step_clock(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the queue's clock be so many µs off, and the time that PostgreSQL tells with a lease and in an exchange."""
    moment = f"({clock.SERVER_TIME} + ({step}))"
    monkeypatch.setattr(clock, "now", lambda connection: NOW(connection) + step)
    lease = select(literal_column(moment)).where(schema.runners.c.id == bindparam("me"))
    monkeypatch.setattr(statements, "LEASE", lease)
    monkeypatch.setattr(finish_and_claim, "SERVER_TIME", moment)
    monkeypatch.setattr(finish_and_claim, "_EXCHANGE", finish_and_claim.unprepared())
    monkeypatch.setattr(finish_and_claim, "_is_prepared", lambda connection: False)


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
    assert queue.figures()["ends"] == [["stubborn", "completed", 1, 1, 0.25]]


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
    assert sorted(figures["open"]) == [["plain", "pending", 1], ["plain", "running", 1]]
    assert [row[:4] for row in figures["own"]] == [["plain", "completed", 0, 1]]
    assert [row[:4] for row in figures["ends"]] == [["plain", "completed", 0, 2]]
    assert len(figures["recent"]) == 4
    assert figures["recent"][0]["status"] == "running"


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
    queue.prune(365)
    queue.prune(365)
    with database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT daemon, count FROM hvd_job_totals ORDER BY daemon").all()
    assert rows == [("", 4), ("here/a", 1)]
    after = queue.figures()
    assert (after["own"], after["ends"][0][:4]) == (before["own"], before["ends"][0][:4])
    assert after["ends"][0][4] == pytest.approx(before["ends"][0][4])


def test_totals_go_on_under_the_name_that_a_daemon_keeps(store: Store, database: Database) -> None:
    """Those of before it had one are taken along, once."""
    old = queue_of(database, daemon="pod-1/a")
    submit(store)
    (job,) = old.claim({"plain": 1}, 1)
    old.finish([end_of(job)])
    new = Queue(database, Runner.here(), "pod-1/a/1234", 15.0)
    new.name_before = "pod-1/a"
    new.renew()
    assert [row[:4] for row in new.figures()["own"]] == [["plain", "completed", 0, 1]]


def test_a_runner_that_leaves_is_forgotten(queue: Queue, database: Database) -> None:
    """Nobody recovers what it left in order."""
    other = queue_of(database)
    other.leave()
    assert other.renew() is False
    assert schema.runners.name == "hvd_runners"


def test_a_runner_here_is_this_process() -> None:
    """Named by pid and start, on this boot of this machine, in this pid namespace."""
    here = Runner.here()
    assert here.machine == machine()
    assert here.pid_start == start_ticks(here.pid) > 0
    assert Runner.here().id != here.id


def test_nothing_is_claimed_without_a_lease(store: Store, database: Database) -> None:
    """It was lost, and another has looked after what we had: nobody would look after what we took now."""
    lost = queue_of(database)
    lost.leave()
    submit(store)
    assert lost.claim({"plain": 1}, 1) == []
    lost.renew()
    assert len(lost.claim({"plain": 1}, 1)) == 1


def test_a_job_of_a_runner_that_nobody_knows_is_not_running_for_ever(store: Store, database: Database) -> None:
    """However it came to that."""
    forgotten, queue = queue_of(database), queue_of(database)
    submit(store)
    (job,) = forgotten.claim({"plain": 1}, 1)
    forgotten.leave()
    assert [each.id for each in queue.reclaim({})] == [job.id]
    assert statuses(store, [job.id]) == ["failed"]


def test_a_job_that_could_not_be_started_waits_for_another_moment(store: Store, queue: Queue) -> None:
    """For want of descriptors, say: no attempt is lost, nothing is counted."""
    submit(store)
    (job,) = queue.claim({"plain": 1}, 1)
    queue.put_back([job.id], 1.0)
    assert queue.claim({"plain": 1}, 1) == [], "not at once"
    (again,) = until(lambda: queue.claim({"plain": 1}, 1), "the pause is over", pause=0.005)
    assert (again.id, again.attempt) == (job.id, 1)
    assert queue.figures()["ends"] == []


def test_cancels_of_mixed_kinds_do_not_wait_for_each_other(store: Store, database: Database) -> None:
    """Whatever the order of kinds among the jobs: totals are locked in one order."""
    failures: list[Exception] = []

    def cancel(ids: list[str]) -> None:
        try:
            store.cancel(ids)
        except Exception as error:
            failures.append(error)

    for _ in range(5):
        mixed = [submit(store, 1, kind)[0] for kind in ("plain", "stubborn", "stubborn", "plain") * 4]
        threads = [threading.Thread(target=cancel, args=(mixed[half::2],)) for half in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    ends = queue_of(database).figures()["ends"]
    assert [row[:4] for row in ends] == [["plain", "cancelled", -1, 40], ["stubborn", "cancelled", -1, 40]]
