"""A worker's part in jobs: the store, and who is told."""

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.errors import QueueFull
from hvd.jobs import events
from hvd.jobs.database.store import NewJob
from hvd.jobs.desk import Desk
from hvd.jobs.ids import micros_of
from hvd.jobs.transcript import Recorder
from hvd.settings.loader import load
from tests.unit.jobs.support import end_of, kinds, queue_of

New = NewJob("plain", {}, "one")


@pytest.fixture
def ends() -> Iterator[tuple[int, socket.socket, socket.socket]]:
    """The runner's eventfd, and both ends of the channel to the aggregator."""
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    writers, reader = events.channel()
    with writers, reader:
        yield fd, writers, reader
    os.close(fd)


@pytest.fixture
def desk(tmp_path: Path, ends: tuple[int, socket.socket, socket.socket]) -> Iterator[Desk]:
    settings = load({"HVD_STATE_DIR": str(tmp_path), "HVD_JOBS_QUEUE_LIMIT": "3"}).settings
    made = Desk(replace(settings, job_kinds=kinds()), ends[0], ends[1])
    yield made
    made._store._database.close()


def told(reader: socket.socket) -> list[tuple[str, str]]:
    found = []
    while job := events.receive(reader):
        found.append((job["id"], job["status"]))
    return found


def test_a_submission_wakes_the_runner_and_is_told(desk: Desk, ends: tuple[int, socket.socket, socket.socket]) -> None:
    """Once it is in the database."""
    answer, _ = desk.submit([New, New], [{"detail": "x"}], 1, None)
    assert (answer["accepted"], answer["rejected"], answer["errors"]) == (2, 1, [{"detail": "x"}])
    assert os.eventfd_read(ends[0]) >= 1
    assert told(ends[2]) == [(name, "pending") for name in answer["job_ids"]]
    assert [job.id for job in desk.newest([], [], 10, None)] == answer["job_ids"][::-1]


def test_the_first_job_of_a_process_is_no_older_than_others(desk: Desk) -> None:
    """Its id is made before the database is open."""
    assert abs(micros_of(desk.submit([New], [], 0, None)[0]["job_ids"][0]) / 1e6 - time.time()) < 60


def test_a_replay_wakes_nobody(desk: Desk, ends: tuple[int, socket.socket, socket.socket]) -> None:
    """Nothing has happened."""
    first, is_replay = desk.submit([New], [], 0, ("key", "print"))
    assert not is_replay
    os.eventfd_read(ends[0])
    told(ends[2])
    assert desk.replay("key", "print") == first
    assert desk.submit([New], [], 0, ("key", "print")) == (first, True)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(ends[0])
    assert told(ends[2]) == []


def test_a_cancellation_wakes_the_runner_and_is_told(
    desk: Desk, ends: tuple[int, socket.socket, socket.socket]
) -> None:
    """Not where there was nothing left to cancel."""
    (name,) = desk.submit([New], [], 0, None)[0]["job_ids"]
    os.eventfd_read(ends[0])
    told(ends[2])
    assert desk.cancel([name])[name][0] == "cancelled"
    assert os.eventfd_read(ends[0]) == 1
    assert told(ends[2]) == [(name, "cancelled")]
    assert desk.cancel([name])[name][0] == "ended"
    with pytest.raises(BlockingIOError):
        os.eventfd_read(ends[0])


def test_a_runner_that_is_away_is_not_waited_for(desk: Desk, ends: tuple[int, socket.socket, socket.socket]) -> None:
    """The eventfd may be full, and the aggregator gone."""
    os.eventfd_write(ends[0], 2**64 - 2)
    ends[2].close()
    assert desk.submit([New], [], 0, None)[0]["accepted"] == 1


def test_a_full_queue_takes_what_fits_and_tells_of_that(
    desk: Desk, ends: tuple[int, socket.socket, socket.socket]
) -> None:
    """Up to the daemon's limit; where nothing fits, nobody is woken."""
    answer, _ = desk.submit([New] * 5, [], 0, None)
    assert (answer["accepted"], answer["rejected"]) == (3, 2)
    assert len(told(ends[2])) == 3
    os.eventfd_read(ends[0])
    with pytest.raises(QueueFull):
        desk.submit([New], [], 0, None)
    assert told(ends[2]) == []
    with pytest.raises(BlockingIOError):
        os.eventfd_read(ends[0])


def test_a_job_is_found_wherever_it_is_asked_for(desk: Desk, ends: tuple[int, socket.socket, socket.socket]) -> None:
    """By one id, by many, in the list; the totals of a cancellation go to the daemon's own name."""
    ids = desk.submit([New, New], [], 0, None)[0]["job_ids"]
    found = desk.get(ids[0])
    assert found
    assert found.id == ids[0]
    assert [job.id for job in desk.find([*ids, "unknown"])] == ids
    assert desk.newest(["running"], [], 10, None) == []
    assert [job.id for job in desk.newest([], ["plain"], 10, ids[1])] == ids[:1]
    desk.cancel(ids)
    with desk._store._database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT daemon, status, count FROM hvd_job_totals").all()
    assert rows == [(load({}).settings.instance, "cancelled", 2)]


def test_output_is_there_while_a_job_runs_and_is_of_its_last_attempt(desk: Desk, tmp_path: Path) -> None:
    """From the file, until the database has it; of an attempt on another machine it is said that it is there."""
    (job_id,) = desk.submit([New], [], 0, None)[0]["job_ids"]
    queue = queue_of(desk._store._database)
    queue.renew()
    (job,) = queue.claim({"plain": 1}, 1)
    found = desk.get(job_id)
    assert found
    assert (found.output, desk.output(found), desk.is_elsewhere(found)) == ([], None, False)
    recorder = Recorder(tmp_path / "output", job_id, 1, 2**20)
    recorder.write(b"one\ntwo\x1b\n")
    recorder.close()
    for seen in (desk.get(job_id), *desk.find([job_id]), *desk.newest([], [], 5, None)):
        assert seen
        assert seen.output == ["one", "two\ufffd"]
    desk._is_shared = True
    second = replace(job, attempt=2, host="there")
    assert desk.is_elsewhere(second)
    assert desk.output(second) is None
    assert desk._with_output(replace(second, host=socket.gethostname())).output == []
    queue.finish([end_of(job, output="from the database")])
    ended = desk.get(job_id)
    assert ended
    assert ended.output == ["from the database"]
