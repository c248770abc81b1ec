"""The lease, renewed in time or what runs is ended; and what one runner does for the whole queue."""

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.jobs.database.connection import Database
from hvd.jobs.ids import new_id
from hvd.jobs.run import schedule
from hvd.jobs.run.start_log import StartLog
from hvd.jobs.run.strays import RUNNER, mark_of
from tests.support.loop import eventually, in_loop
from tests.unit.jobs.run.running import PATIENT, WAIT, Scenes, shell
from tests.unit.jobs.support import queue_of


@in_loop
async def test_what_jobs_printed_goes_with_them(scene: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another machine has deleted the job, once that is old; what is no output stays."""
    monkeypatch.setattr(schedule, "PRUNE_PAUSE", 0.0)
    folder = tmp_path / "state" / "output"
    folder.mkdir(parents=True)
    deleted, young = new_id(), new_id()
    for name in (deleted, young, "notes"):
        (folder / name).touch()
    for name in (deleted, "notes"):
        os.utime(folder / name, (1000, 1000))
    async with scene("echo x", keep_days=1.0, lease=0.3) as stage:
        (job_id,) = stage.submit()
        await stage.wait(job_id, "completed")
        assert (folder / job_id).exists()
        await eventually(lambda: not (folder / deleted).exists())
        assert (folder / young).exists()
        stage.runner.take(replace(stage.runner.context.options, keep_days=0.0))
        await eventually(lambda: not (folder / job_id).exists())
        assert not stage.store.find([job_id])
    assert (folder / "notes").exists()


@in_loop
async def test_the_jobs_of_a_runner_that_is_gone_are_taken_over(
    scene: Scenes, database: Database, tmp_path: Path
) -> None:
    """What it had started is ended before; and what was claimed for us but never reached us, is done."""
    async with scene({"work": shell(WAIT, retries=1, backoff=0.0)}) as stage:
        await stage.rest()
        (tmp_path / "go").touch()
        dead = queue_of(database, pid=1 << 22, pid_start=1)
        process = await asyncio.create_subprocess_exec("sleep", "300", env={**os.environ, RUNNER: dead.runner.id})
        await eventually(lambda: mark_of(process.pid, RUNNER))
        ids = stage.submit(count=3)
        taken = [*dead.claim({"work": 1}, 1), *stage.queue.claim({"work": 1}, 1), *dead.claim({"work": 1}, 1)]
        assert [job.id for job in taken] == ids
        notes = StartLog(str(tmp_path / "state"), dead.runner.id)
        notes.begin()
        notes.note(ids[0], 1)
        notes.close()
        stage.runner.context.options = replace(stage.runner.context.options, lease=0.1)
        await eventually(lambda: stage.book() == {"completed": 3})
        assert await process.wait() == -9
        assert [stage.job(job_id).attempt for job_id in ids] == [2, 1, 1], "only the first had been started"
        assert notes.read(dead.runner.id) is None


@in_loop
async def test_the_lease_is_renewed_in_time(scene: Scenes) -> None:
    """However little there is to do."""
    async with scene("true", lease=0.3) as stage:
        await stage.rest(0.0)
        assert stage.pause <= 0.1
        renewed = stage.runner.upkeep.renewed_at
        await eventually(lambda: stage.runner.upkeep.renewed_at > renewed)


@in_loop
async def test_one_that_has_lost_its_lease_ends_what_it_runs(scene: Scenes, database: Database, tmp_path: Path) -> None:
    """Another has the jobs by now: no grace, and no end of theirs is noted. It goes on with the next ones."""
    async with scene(f"trap '' TERM; {WAIT}", lease=0.3) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner.pool.running.values()
        with database.writing() as connection:  # what another machine does that finds it gone
            connection.exec_driver_sql("DELETE FROM hvd_runners")
            connection.exec_driver_sql("UPDATE hvd_jobs SET status = 'failed', runner = NULL, error = 'lost'")
        await eventually(lambda: attempt.exit_code is not None)
        assert attempt.exit_code == -9
        assert attempt.as_end().error == "the lease of its runner could not be renewed"
        await eventually(lambda: not stage.runner.pool.ends)
        assert stage.job(job_id).error == "lost"
        (tmp_path / "go").touch()
        await stage.wait(stage.submit()[0], "completed")


@in_loop
async def test_the_lease_is_watched_while_a_turn_hangs(scene: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a network that has lost the database nothing comes back: what runs is ended before another starts it."""
    async with scene(f"trap '' TERM; {WAIT}", lease=1.0) as stage:
        stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner.pool.running.values()
        monkeypatch.setattr(stage.queue.leases, "has_rivals", True)
        going_on = threading.Event()
        monkeypatch.setattr(stage.queue.leases, "renew", lambda: going_on.wait(PATIENT))
        try:
            await eventually(lambda: attempt.exit_code is not None)
        finally:
            going_on.set()
        assert attempt.exit_code == -9
        assert attempt.as_end().error == "the lease of its runner could not be renewed"
