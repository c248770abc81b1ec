"""Ends of attempts, and what then becomes of jobs, on SQLite and on PostgreSQL."""

from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from tests.support.waiting import until
from tests.unit.jobs.support import end_of, statuses, submit


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
    assert [row[:4] for row in queue.figures()["ends"]] == [("plain", "failed", 0, 1)]


def test_a_kind_with_retries_gets_its_attempts_and_no_more(store: Store, queue: Queue) -> None:
    """Pending again after a failure, not before the pause is over; failed for good after the last."""
    submit(store, 1, "stubborn")
    for attempt in (1, 2, 3):
        (job,) = until(lambda: queue.claim({"stubborn": 1}, 1), "the pause is over", pause=0.001)
        assert job.attempt == attempt
        (job,) = queue.finish([end_of(job, "failed", error="no")])
        assert (job.status, job.started is None) == (("pending", True) if attempt < 3 else ("failed", False))
    assert [row[:4] for row in queue.figures()["ends"]] == [("stubborn", "failed", 0, 1)]


def test_a_cancelled_job_is_not_tried_again(store: Store, queue: Queue) -> None:
    """Asked to end while it failed by itself: that is the end."""
    submit(store, 1, "stubborn")
    (job,) = queue.claim({"stubborn": 1}, 1)
    store.cancel([job.id])
    (done,) = queue.finish([end_of(job, "failed")])
    assert done.status == "cancelled"


def test_a_job_that_could_not_be_started_waits_for_another_moment(store: Store, queue: Queue) -> None:
    """For want of descriptors, say: no attempt is lost, nothing is counted."""
    submit(store)
    (job,) = queue.claim({"plain": 1}, 1)
    queue.put_back([job.id], 1.0)
    assert queue.claim({"plain": 1}, 1) == [], "not at once"
    (again,) = until(lambda: queue.claim({"plain": 1}, 1), "the pause is over", pause=0.005)
    assert (again.id, again.attempt) == (job.id, 1)
    assert queue.figures()["ends"] == []
