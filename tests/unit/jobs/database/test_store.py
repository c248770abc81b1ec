"""The queue as clients see it, on SQLite and on PostgreSQL."""

import json
from functools import partial
from typing import Any

import pytest

from hvd.errors import KeyConflict, QueueFull
from hvd.jobs.database.connection import Database
from hvd.jobs.database.store import Store
from hvd.jobs.submission import Submission, SubmissionKey
from hvd.json_schemas import Problem
from hvd.read.jobs import job_for_clients
from hvd.texts import rfc3339_milliseconds
from tests.support.jobs import together
from tests.support.waiting import until
from tests.unit.jobs.support import end_of, new_jobs, queue_of, statuses, submit


def test_what_is_submitted_is_pending_and_can_be_found(store: Store) -> None:
    """As it was given, in the order of submission, and nothing has happened to it yet."""
    ids = submit(store, 3)
    assert ids == sorted(ids)
    jobs = store.find(ids)
    assert [(job.id, job.status, job.params, job.name) for job in jobs] == [
        (job_id, "pending", {"n": index}, f"job {index}") for index, job_id in enumerate(ids)
    ]
    assert {(job.attempt, job.started, job.ended, job.duration, job.exit_code, job.progress) for job in jobs} == {
        (0, None, None, None, None, 0.0)
    }
    assert store.find([ids[1], "01a2104a-0000-7000-8000-000000000000"]) == jobs[1:2]


def test_a_job_is_json_for_http_and_for_the_snapshot(store: Store) -> None:
    """Every field that clients know, with times as RFC 3339."""
    job = store.find(submit(store))[0]
    assert json.loads(json.dumps(job.as_dict())) == job.as_dict()
    assert {"id", "kind", "params", "status", "progress", "attempt", "output", "host", "error"} <= set(job.as_dict())
    recent = job.as_recent()
    assert {"id", "name", "status", "progress", "start_time", "end_time", "duration_seconds"} <= set(recent)
    assert recent["created_at"] == rfc3339_milliseconds(job.created)
    assert recent["created_at"].endswith("Z")
    assert (recent["kind"], recent["params"]) == ("plain", {"n": 0})


def test_clients_need_not_ask_before_they_format_a_job(store: Store, database: Database) -> None:
    """Before its start, while it runs, at its end: a number, times and texts, all of which say what is so."""
    queue, (never, job_id) = queue_of(database), submit(store, 2)

    def recent(name: str = job_id) -> dict[str, Any]:
        (found,) = (job for job in queue.figures()["recent"] if job["id"] == name)
        return job_for_clients(found)

    created = recent()["created_at"]
    assert (recent()["start_time"], recent()["duration_seconds"], recent()["error_msg"]) == (created, 0.0, "")
    store.cancel([never])
    assert (recent(never)["start_time"], recent(never)["duration_seconds"]) == (recent(never)["created_at"], 0.0)
    assert recent(never)["end_time"] is not None
    queue.leases.renew()
    (job,) = queue.claim({"plain": 1}, 1)
    assert job.as_recent()["duration_seconds"] == 0.0
    first = recent()
    assert first["start_time"] == rfc3339_milliseconds(job.started)
    until(lambda: recent()["duration_seconds"] > first["duration_seconds"] >= 0.0, "it has run for longer")
    (noted,) = queue.progress({job_id: 50.0})
    shown = recent()
    assert {**job_for_clients(noted.as_recent()), "duration_seconds": 0} == {**shown, "duration_seconds": 0}, (
        "one revision, one job"
    )
    (ended,) = queue.finish([end_of(job, "failed")])
    assert recent()["duration_seconds"] == ended.as_recent()["duration_seconds"] == ended.duration


def test_jobs_are_listed_newest_first_in_pages(store: Store) -> None:
    """By status and kind too; `before` goes on where a page ended."""
    plain, stubborn = submit(store, 3), submit(store, 2, "stubborn")
    store.cancel(plain[:1])
    newest = [*reversed(stubborn), *reversed(plain)]
    assert [job.id for job in store.newest([], [], 50, None)] == newest
    assert [job.id for job in store.newest([], [], 2, None)] == newest[:2]
    assert [job.id for job in store.newest([], [], 2, newest[1])] == newest[2:4]
    assert [job.id for job in store.newest(["pending"], ["plain"], 50, None)] == [plain[2], plain[1]]
    assert [job.id for job in store.newest(["cancelled", "running"], [], 50, None)] == [plain[0]]


def test_a_queue_takes_no_more_than_its_limit(store: Store) -> None:
    """What fits of many is taken and the rest is told of; where nothing fits, nothing is taken."""
    submit(store, 2, limit=3)
    bad = Problem("/jobs/3", "is bad")
    answer, taken, _ = store.submit(Submission(new_jobs(3), 1, [bad]), 3)
    assert (answer["accepted"], answer["rejected"], len(taken)) == (1, 3, 1)
    assert answer["errors"][0] == bad._asdict()
    assert "2 jobs" in answer["errors"][1]["detail"]
    with pytest.raises(QueueFull, match="3 jobs are pending, and at most 3"):
        submit(store, 1, limit=3)
    assert len(store.newest([], [], 50, None)) == 3


def test_a_repeated_submission_answers_the_first(store: Store) -> None:
    """With the same key: the same answer, and no second job; another body under that key is refused."""
    key = SubmissionKey("key", "print")
    assert store.earlier_answer(key) is None
    ids = submit(store, 2, key=key)
    replayed = store.earlier_answer(key)
    assert replayed is not None
    assert replayed["job_ids"] == ids
    assert submit(store, 2, key=key) == ids
    assert len(store.newest([], [], 50, None)) == 2
    with pytest.raises(KeyConflict, match="'key' was used"):
        store.earlier_answer(SubmissionKey("key", "other"))
    with pytest.raises(KeyConflict):
        submit(store, 1, key=SubmissionKey("key", "other"))


def test_the_same_key_at_the_same_time_submits_once(store: Store) -> None:
    """However many are at it: one of them submits, the others get its answer."""
    answers = together([lambda: submit(store, 3, key=SubmissionKey("k", "f"))] * 8)
    assert len({tuple(ids) for ids in answers}) == 1
    assert len(store.newest([], [], 50, None)) == 3


def test_cancelling_says_what_came_of_it(store: Store, database: Database) -> None:
    """A pending job ends at once, a running one is asked to, an ended one stays what it is."""
    queue = queue_of(database)
    ids = submit(store, 3)
    ended, running = queue.claim({"plain": 2}, 2)
    queue.finish([end_of(ended)])
    unknown = "01a2104a-0000-7000-8000-000000000000"
    found = store.cancel([ids[2], running.id, ended.id, unknown])
    assert {name: what for name, (what, _) in found.items()} == {
        ids[2]: "cancelled",
        running.id: "cancelling",
        ended.id: "ended",
        unknown: "unknown",
    }
    assert statuses(store, ids) == ["completed", "running", "cancelled"]
    assert queue.finish_and_claim((), {}, 0).to_cancel == [running.id]
    again = store.cancel([ids[2], running.id])
    assert [what for what, _ in again.values()] == ["ended", "cancelling"]
    figures = queue.figures()
    ends = sorted((kind, status, bucket < 0, count) for kind, status, bucket, count, *_ in figures["ends"])
    assert ends == [("plain", "cancelled", True, 1), ("plain", "completed", False, 1)], "a bucket for what has run"


def test_all_of_a_status_are_cancelled_some_at_a_time(store: Store, database: Database) -> None:
    """Oldest first, until none is left; those that run are told once, and what has ended stays what it is."""
    queue = queue_of(database)
    ids = submit(store, 5)
    ended, running = queue.claim({"plain": 2}, 2)
    queue.finish([end_of(ended)])
    assert (store.count_open(["pending"]), store.count_open(["pending", "running"])) == (3, 4)
    first = store.cancel_open("pending", 2)
    assert [(outcome, job.id if job else "") for outcome, job in first] == [("cancelled", name) for name in ids[2:4]]
    assert len(store.cancel_open("pending", 2)) == 1
    assert [outcome for outcome, _ in store.cancel_open("running", 5)] == ["cancelling"]
    assert (store.cancel_open("pending", 2), store.cancel_open("running", 2)) == ([], [])
    assert store.count_open(["pending", "running"]) == 0
    assert queue.finish_and_claim((), {}, 0).to_cancel == [running.id]
    assert queue.figures()["own"][0][:4] == ("plain", "cancelled", -1, 3)


def test_what_runs_is_told_with_the_time_that_it_has_run(store: Store, database: Database) -> None:
    """By the queue's clock; it goes on from look to look."""
    queue = queue_of(database)
    (name,) = submit(store)
    assert store.find([name])[0].as_dict()["duration_seconds"] == 0.0
    queue.claim({"plain": 1}, 1)
    first = store.find([name])[0].as_dict()["duration_seconds"]
    until(lambda: store.newest([], [], 1, None)[0].as_dict()["duration_seconds"] > first, "it has run longer")
    assert 0 <= first < 60


def test_two_that_cancel_the_same_jobs_count_each_once(store: Store, database: Database) -> None:
    """In opposite order and at the same time, neither waits for ever."""
    ids = submit(store, 40)
    results = together([partial(store.cancel, order) for order in (ids, ids[::-1], ids[::2], ids[::-3])])
    assert sum(what == "cancelled" for found in results for what, _ in found.values()) == 40
    assert [row[:4] for row in queue_of(database).figures()["own"]] == [("plain", "cancelled", -1, 40)]
