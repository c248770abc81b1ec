"""What one runner does for the whole queue."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.jobs.database.connection import Database
from hvd.jobs.ids import new_id
from hvd.jobs.run import schedule
from hvd.jobs.run.start_log import StartLog
from hvd.jobs.run.strays import RUNNER, mark_of
from tests.support.loop import eventually, in_loop
from tests.unit.jobs.run.running import WAIT, scene, shell, subreaper, url
from tests.unit.jobs.support import queue_of

__all__ = ["subreaper", "url"]


@in_loop
async def test_what_jobs_printed_goes_with_them(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another machine has deleted the job, once that is old; what is no output stays."""
    monkeypatch.setattr(schedule, "PRUNE_PAUSE", 0.0)
    folder = tmp_path / "state" / "output"
    folder.mkdir(parents=True)
    deleted, young = new_id(), new_id()
    for name in (deleted, young, "notes"):
        (folder / name).touch()
    for name in (deleted, "notes"):
        os.utime(folder / name, (1000, 1000))
    async with scene(database, tmp_path, "echo x", keep_days=1.0, lease=0.3) as stage:
        (job_id,) = stage.submit()
        await stage.wait(job_id, "completed")
        assert (folder / job_id).exists()
        await eventually(lambda: not (folder / deleted).exists())
        assert (folder / young).exists()
        stage.runner.take(replace(stage.runner.options, keep_days=0.0))
        await eventually(lambda: not (folder / job_id).exists())
        assert stage.store.get(job_id) is None
    assert (folder / "notes").exists()


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
        notes = StartLog(str(tmp_path / "state"), dead.runner.id)
        notes.begin()
        notes.note(ids[0], 1)
        notes.close()
        stage.runner.context.options = replace(stage.runner.options, lease=0.1)
        await eventually(lambda: stage.book() == {"completed": 3})
        assert await process.wait() == -9
        assert [stage.job(job_id).attempt for job_id in ids] == [2, 1, 1], "only the first had been started"
        assert notes.read(dead.runner.id) is None
