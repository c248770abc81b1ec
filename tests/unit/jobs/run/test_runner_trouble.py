"""The runner in trouble: without its database, without its lease, and when it has to stop."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hvd.errors import StoreUnavailable
from hvd.jobs.database.queue import Exchange, Queue
from hvd.jobs.database.schema import Database
from hvd.jobs.job import Job
from hvd.jobs.run import runner
from hvd.jobs.run.runner import Runner
from hvd.jobs.run.started import Started
from hvd.jobs.run.strays import RUNNER, mark_of
from tests.unit.agg import eventually, in_loop
from tests.unit.core.support import no_descriptor
from tests.unit.jobs.run.running import PATIENT, WAIT, scene, shell, subreaper
from tests.unit.jobs.support import queue_of

__all__ = ["subreaper"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """One database is enough here: test_queue.py has both."""
    return f"sqlite:///{tmp_path}/jobs.sqlite3"


@contextlib.contextmanager
def unavailable(queue: Queue) -> Iterator[None]:
    """Nothing that a runner asks of its database works meanwhile."""

    def fail(*_: object) -> None:
        raise StoreUnavailable("disk full")

    with pytest.MonkeyPatch.context() as broken:
        for name in ("renew", "exchange", "next_due", "progress", "gone", "reclaim", "figures"):
            broken.setattr(queue, name, fail)
        yield


@in_loop
async def test_a_database_that_fails_loses_no_end(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What runs runs on, what has ended is noted once it works again; said once, and shown all the while."""
    monkeypatch.setattr(runner, "TROUBLE_PAUSES", (0.01, 0.02))
    async with scene(database, tmp_path, WAIT, lease=0.6) as stage:
        ids = stage.submit(count=3)
        await eventually(lambda: len(stage.lines("starts")) == 3)
        await stage.rest(0.1)
        with unavailable(stage.queue):
            stage.submit(count=1)
            await eventually(lambda: stage.published[-1]["trouble"] == StoreUnavailable("disk full").public)
            renewed = stage.runner._renewed
            await eventually(lambda: time.monotonic() - renewed > 0.7)  # nobody else can have the jobs: it is local
            assert not stage.runner._ends
            (tmp_path / "go").touch()
            await eventually(lambda: len(stage.runner._ends) == 3)
            turns = stage.turns
            await eventually(lambda: stage.turns > turns + 5)
            assert stage.book() == {"running": 3, "pending": 1}
            assert stage.published[-1]["open"] == [["work", "running", 3]], "the figures read last"
        [line] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert line == "disk full; 3 jobs run on, no other is started; trying again"
        await eventually(lambda: stage.book() == {"completed": 4})
        await eventually(lambda: stage.published[-1]["trouble"] == "")
        assert sorted(stage.lines("starts"))[:3] == sorted(ids)
        await eventually(lambda: not stage.runner._ends)


@in_loop
async def test_a_cancellation_that_could_not_be_read_is_read_later(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks twice."""
    monkeypatch.setattr(runner, "TROUBLE_PAUSES", (0.01,))
    async with scene(database, tmp_path, WAIT) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        await stage.rest()
        with unavailable(stage.queue):
            stage.cancel(job_id)
            await eventually(lambda: stage.published[-1]["trouble"])
        await stage.wait(job_id, "cancelled")


@in_loop
async def test_a_stop_ends_and_notes_what_runs(database: Database, tmp_path: Path) -> None:
    """As failed, or pending where another attempt is granted; it leaves the queue, and no process, behind."""
    tidy = """trap 'sleep .3; touch "$FOLDER/tidy"; exit 5' TERM; """
    kinds = {"work": shell(tidy + WAIT), "again": shell(WAIT, retries=1)}
    async with scene(database, tmp_path, kinds) as stage:
        (failed,), (again,) = stage.submit("work"), stage.submit("again")
        await eventually(lambda: len(stage.lines("starts")) == 2)
        (waiting,) = stage.submit("other")
        pids = [attempt.pid for attempt in stage.runner._running.values()]
        guard = stage.runner._guard.process
        await stage.stop()
        assert [stage.job(each).status for each in (failed, again, waiting)] == ["failed", "pending", "pending"]
        assert (stage.job(failed).error, stage.job(failed).exit_code) == ("interrupted: hvd was stopped", 5)
        assert (tmp_path / "tidy").exists()
        assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]  # noqa: ASYNC240
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT id FROM hvd_runners").all() == []
        assert guard
        assert guard.returncode == 0


@in_loop
async def test_a_stop_leaves_nothing_that_a_job_had_started(database: Database, tmp_path: Path) -> None:
    """Not even what has left its group and its session; and it may be in a hurry."""
    script = f"trap '' TERM; setsid sh -c 'setsid sleep 300 & echo $! >\"$FOLDER/pid\"; wait' & {WAIT}"
    async with scene(database, tmp_path, script) as stage:
        stage.submit()
        await eventually(lambda: stage.lines("starts") and stage.lines("pid"))
        daemon = int(stage.lines("pid")[0])
        assert mark_of(daemon, RUNNER) == stage.queue.runner.id
        stage.runner.stop_grace = 0.05
        await stage.stop()
        await eventually(lambda: mark_of(daemon, RUNNER) is None)
        assert stage.book() == {"failed": 1}


@in_loop
async def test_a_stop_without_a_database_ends_what_runs_all_the_same(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be noted is told of; the next runner finds the jobs."""
    async with scene(database, tmp_path, WAIT) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner._running.values()
        with unavailable(stage.queue):
            await stage.stop()
        assert attempt.exit_code == -15
        assert "disk full; 1 ends of jobs are noted by the next runner as losses" in caplog.text
        assert stage.job(job_id).status == "running"


@in_loop
async def test_a_guard_that_was_killed_is_replaced_and_never_missed(database: Database, tmp_path: Path) -> None:
    """By the next turn; and its end at the last moment doesn't keep the runner from stopping."""
    async with scene(database, tmp_path, "true") as stage:
        await eventually(lambda: stage.runner._guard.process)
        first = stage.runner._guard.process
        assert first
        first.kill()
        await eventually(lambda: not os.path.exists(f"/proc/{first.pid}") or first.poll() is not None)
        stage.runner.wake()
        await eventually(lambda: stage.runner._guard.process is not first)
        second = stage.runner._guard.process
        assert second
        await stage.rest()
        second.kill()
        second.wait()
        await stage.stop()


@in_loop
async def test_one_that_has_lost_its_lease_ends_what_it_runs(database: Database, tmp_path: Path) -> None:
    """Another has the jobs by now: no grace, and no end of theirs is noted. It goes on with the next ones."""
    async with scene(database, tmp_path, f"trap '' TERM; {WAIT}", lease=0.3) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner._running.values()
        with database.writing() as connection:  # what another machine does that finds it gone
            connection.exec_driver_sql("DELETE FROM hvd_runners")
            connection.exec_driver_sql("UPDATE hvd_jobs SET status = 'failed', runner = NULL, error = 'lost'")
        await eventually(lambda: attempt.exit_code is not None)
        assert attempt.exit_code == -9
        assert attempt.as_end().error == "the lease of its runner could not be renewed"
        await eventually(lambda: not stage.runner._ends)
        assert stage.job(job_id).error == "lost"
        (tmp_path / "go").touch()
        await stage.wait(stage.submit()[0], "completed")


@in_loop
async def test_the_lease_is_watched_while_a_turn_hangs(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a network that has lost the database nothing comes back: what runs is ended before another starts it."""
    async with scene(database, tmp_path, f"trap '' TERM; {WAIT}", lease=1.0) as stage:
        stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner._running.values()
        monkeypatch.setattr(stage.queue, "has_rivals", True)
        going_on = threading.Event()
        monkeypatch.setattr(stage.queue, "renew", lambda: going_on.wait(PATIENT))
        try:
            await eventually(lambda: attempt.exit_code is not None)
        finally:
            going_on.set()
        assert attempt.exit_code == -9
        assert attempt.as_end().error == "the lease of its runner could not be renewed"


@in_loop
async def test_a_claim_that_hangs_is_given_up_and_its_jobs_run_later(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes too late, or is lost: the jobs have not run, so they do, as if nothing had been."""
    monkeypatch.setattr(runner, "ANSWER", 0.5)
    monkeypatch.setattr(runner, "TROUBLE_PAUSES", (0.01,))
    async with scene(database, tmp_path, "true", lease=0.3) as stage:
        await stage.rest(0.05)
        exchange, late = stage.queue.exchange, list[Job]()

        def hang(*of: Any) -> Exchange:
            came = exchange(*of)
            late.extend(came.claimed)
            if late:
                time.sleep(0.8)
                stage.queue.exchange = exchange  # type: ignore[method-assign]
            return came

        monkeypatch.setattr(stage.queue, "exchange", hang)
        ids = stage.submit(count=3)
        await eventually(lambda: stage.book() == {"completed": 3})
        assert [job.id for job in late] == ids
        assert [stage.job(job_id).attempt for job_id in ids] == [1, 1, 1]
        assert [stage.job(job_id).error for job_id in ids] == ["", "", ""]


@in_loop
async def test_the_jobs_of_a_runner_that_is_gone_are_taken_over(database: Database, tmp_path: Path) -> None:
    """What it had started is ended before; and what was claimed for us but never reached us, is done."""
    async with scene(database, tmp_path, {"work": shell(WAIT, retries=1, backoff=0.0)}) as stage:
        await stage.rest()
        (tmp_path / "go").touch()
        dead = queue_of(database, pid=1 << 22, pid_start=1)
        process = await asyncio.create_subprocess_exec("sleep", "300", env={**os.environ, RUNNER: dead.runner.id})
        await eventually(lambda: mark_of(process.pid, RUNNER))
        ids = stage.submit(count=3)
        taken = [*dead.claim({"work": 1}, 1), *stage.queue.claim({"work": 1}, 1), *dead.claim({"work": 1}, 1)]
        assert [job.id for job in taken] == ids
        notes = Started(str(tmp_path / "state"), dead.runner.id)
        notes.begin()
        notes.note(ids[0], 1)
        notes.close()
        stage.runner.options = replace(stage.runner.options, lease=0.1)
        await eventually(lambda: stage.book() == {"completed": 3})
        assert await process.wait() == -9
        assert [stage.job(job_id).attempt for job_id in ids] == [2, 1, 1], "only the first had been started"
        assert notes.of(dead.runner.id) is None


@in_loop
async def test_without_a_descriptor_jobs_wait(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner and what it runs go on, and it says what is wrong."""
    monkeypatch.setattr(runner, "TROUBLE_PAUSES", (0.01, 0.02))
    async with scene(database, tmp_path, WAIT) as stage:
        (first,) = stage.submit()
        await eventually(lambda: len(stage.lines("starts")) == 1)
        with no_descriptor():
            stage.runner.wake()
            await eventually(lambda: bool(stage.published) and bool(stage.published[-1]["trouble"]))
        (second,) = stage.submit()
        await eventually(lambda: len(stage.lines("starts")) == 2)
        (tmp_path / "go").touch()
        for job in (first, second):
            await stage.wait(job, "completed")


@in_loop
async def test_what_was_told_before_is_told_until_there_is_more(database: Database, tmp_path: Path) -> None:
    """By a runner that can't read its database yet: totals neither vanish nor fall."""
    told = {"open": [], "ends": [["work", "completed", 0, 5, 1.0]], "own": [], "recent": [], "read_ns": 1}
    async with scene(database, tmp_path, "true") as stage:
        await stage.rest()
        published: list[dict[str, Any]] = []
        with unavailable(stage.queue):
            late = Runner(
                stage.queue,
                stage.runner.options,
                environ={},
                events=stage.runner._events,
                publish=published.append,
                figures=told,
            )
            await late._turn()
            await late._stop()
        assert published[-1]["ends"] == told["ends"]
        assert published[-1]["trouble"]
