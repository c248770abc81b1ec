"""A worker's part in jobs: the store, and who is told."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.errors import QueueFull, StoreUnavailable
from hvd.jobs import events
from hvd.jobs.ids import micros_of
from hvd.jobs.listing import OPEN_FIRST, Filter, Wanted
from hvd.jobs.service import JobService
from hvd.jobs.submission import Submission, SubmissionKey
from hvd.jobs.transcript import Recorder
from hvd.json_schemas import Problem
from hvd.settings.loader import load
from tests.unit.jobs.support import end_of, kinds, new_jobs, queue_of

Ends = tuple[int, socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The runner's eventfd, and both ends of the channel to the aggregator."""
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    writers, reader = events.socket_pair()
    with writers, reader:
        yield fd, writers, reader
    os.close(fd)


@pytest.fixture
def service(tmp_path: Path, ends: Ends) -> Iterator[JobService]:
    settings = load({"HVD_STATE_DIR": str(tmp_path), "HVD_JOBS_QUEUE_LIMIT": "3"}).settings
    made = JobService(replace(settings, job_kinds=kinds()), ends[0], ends[1])
    yield made
    made._threads.close()
    made._store._database.close()


def submit(service: JobService, count: int = 1) -> list[str]:
    """Ids of so many new jobs."""
    ids: list[str] = service.submit(Submission(new_jobs(count)), None).answer["job_ids"]
    return ids


def heard(ends: Ends) -> tuple[int, list[tuple[str, str]]]:
    """How often the runner was woken since the last call, and what the aggregator was told."""
    jobs, count = [], 0
    with contextlib.suppress(BlockingIOError):
        count = os.eventfd_read(ends[0])
    while job := events.receive(ends[2]):
        jobs.append((job["id"], job["status"]))
    return count, jobs


def test_a_submission_wakes_the_runner_and_is_told(service: JobService, ends: Ends) -> None:
    """Once it is in the database."""
    answer = service.submit(Submission(new_jobs(2), 1, [Problem("/jobs/1", "is bad")]), None).answer
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    assert answer["errors"] == [{"pointer": "/jobs/1", "detail": "is bad"}]
    assert heard(ends) == (1, [(name, "pending") for name in answer["job_ids"]])
    assert [job.id for job in service.newest([], [], 10, None)] == answer["job_ids"][::-1]


def test_the_first_job_of_a_process_is_no_older_than_others(service: JobService) -> None:
    """Its id is made before the database is open."""
    assert abs(micros_of(submit(service)[0]) / 1e6 - time.time()) < 60


def test_a_replay_wakes_nobody(service: JobService, ends: Ends) -> None:
    """Nothing has happened."""
    key = SubmissionKey("key", "print")
    first = service.submit(Submission(new_jobs()), key)
    assert not first.is_replay
    heard(ends)
    assert service.earlier_answer(key) == first.answer
    assert service.submit(Submission(new_jobs()), key) == (first.answer, [], True)
    assert heard(ends) == (0, [])


def test_a_cancellation_wakes_the_runner_and_is_told(service: JobService, ends: Ends) -> None:
    """Not where there was nothing left to cancel."""
    (name,) = submit(service)
    heard(ends)
    assert service.cancel([name])[name][0] == "cancelled"
    assert heard(ends) == (1, [(name, "cancelled")])
    assert service.cancel([name])[name][0] == "ended"
    assert heard(ends) == (0, [])


def test_all_are_cancelled_a_transaction_after_the_other(
    service: JobService, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as were asked for; the answer says what is left."""
    monkeypatch.setattr("hvd.jobs.service.CANCELLED_AT_ONCE", 2)
    ids = submit(service, 3)
    heard(ends)
    assert service.cancel_open(["pending"], 1) == (ids[:1], [], 2)
    assert service.cancel_open(["running"], 10) == ([], [], 0)
    assert service.cancel_open(["pending", "running"], 10) == (ids[1:], [], 0)
    assert heard(ends)[1] == [(name, "cancelled") for name in ids]


def test_jobs_of_a_page_have_their_last_lines(service: JobService, tmp_path: Path) -> None:
    """As one that is looked at has."""
    ids = submit(service, 2)
    queue = queue_of(service._store._database)
    (job,) = queue.claim({"plain": 1}, 1)
    Recorder(tmp_path / "output", job.id, 1, 4096).write(b"half\n")
    page = service.page(Wanted(Filter(text="JOB"), 1, None, OPEN_FIRST))
    assert ([(shown.id, shown.output) for shown in page.jobs], page.total) == ([(ids[0], ["half"])], 2)


def test_a_cancellation_of_many_has_its_time(service: JobService, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left then is told; where the database goes away meanwhile, what was done is, too."""
    monkeypatch.setattr("hvd.jobs.service.CANCELLED_AT_ONCE", 1)
    ids = submit(service, 3)
    monkeypatch.setattr("hvd.jobs.service.CANCEL_SECONDS", 0.0)
    assert service.cancel_open(["pending"], 10) == ([], [], 3)
    monkeypatch.setattr("hvd.jobs.service.CANCEL_SECONDS", 60.0)
    cancel = service._store.cancel_open

    def once(status: str, most: int) -> object:
        monkeypatch.setattr(service._store, "cancel_open", failing)
        return cancel(status, most)

    def failing(status: str, most: int) -> object:
        raise StoreUnavailable("away")

    monkeypatch.setattr(service._store, "cancel_open", once)
    assert service.cancel_open(["pending"], 10) == (ids[:1], [], None)
    with pytest.raises(StoreUnavailable):
        service.cancel_open(["pending"], 10)
    monkeypatch.setattr(service._store, "cancel_open", cancel)
    monkeypatch.setattr(service._store, "count_open", lambda statuses: failing("", 0))
    assert service.cancel_open(["pending"], 1) == (ids[1:2], [], None)


def test_a_runner_that_is_away_is_not_waited_for(service: JobService, ends: Ends) -> None:
    """The eventfd may be full, and the aggregator gone."""
    os.eventfd_write(ends[0], 2**64 - 2)
    ends[2].close()
    assert len(submit(service)) == 1


def test_a_full_queue_takes_what_fits_and_tells_of_that(service: JobService, ends: Ends) -> None:
    """Up to the daemon's limit; where nothing fits, nobody is woken."""
    answer = service.submit(Submission(new_jobs(5)), None).answer
    assert (answer["accepted"], answer["rejected"]) == (3, 2)
    assert len(heard(ends)[1]) == 3
    with pytest.raises(QueueFull):
        submit(service)
    assert heard(ends) == (0, [])


def test_a_job_is_found_wherever_it_is_asked_for(service: JobService, ends: Ends) -> None:
    """By one id, by many, in the list; the totals of a cancellation go to the daemon's own name."""
    ids = submit(service, 2)
    found = service.get(ids[0])
    assert found
    assert found.id == ids[0]
    assert [job.id for job in service.find([*ids, "unknown"])] == ids
    assert service.newest(["running"], [], 10, None) == []
    assert [job.id for job in service.newest([], ["plain"], 10, ids[1])] == ids[:1]
    service.cancel(ids)
    with service._store._database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT daemon, status, count FROM hvd_job_totals").all()
    assert rows == [(load({}).settings.instance, "cancelled", 2)]


def test_output_is_there_while_a_job_runs_and_is_of_its_last_attempt(service: JobService, tmp_path: Path) -> None:
    """From the file, until the database has it; of an attempt on another machine it is said that it is there."""
    (job_id,) = submit(service)
    queue = queue_of(service._store._database)
    queue.leases.renew()
    (job,) = queue.claim({"plain": 1}, 1)
    found = service.get(job_id)
    assert found
    assert (found.output, service.output(found), service.is_elsewhere(found)) == ([], None, False)
    recorder = Recorder(tmp_path / "output", job_id, 1, 2**20)
    recorder.write(b"one\ntwo\x1b\n")
    recorder.close()
    for seen in (service.get(job_id), *service.find([job_id]), *service.newest([], [], 5, None)):
        assert seen
        assert seen.output == ["one", "two\ufffd"]
    service._is_shared = True
    second = replace(job, attempt=2, host="there")
    assert service.is_elsewhere(second)
    assert service.output(second) is None
    assert service._with_output(replace(second, host=socket.gethostname())).output == []
    queue.finish([end_of(job, output="from the database")])
    ended = service.get(job_id)
    assert ended
    assert ended.output == ["from the database"]
