"""Attempts of real jobs: what can't be started, what is cancelled, and what they leave behind."""

import asyncio
import os
from pathlib import Path

from hvd.core.proc import is_alive
from hvd.jobs.run.strays import JOB, mark_of
from tests.support.loop import eventually, in_loop
from tests.support.waiting import until
from tests.unit.jobs.run.running import WAIT, Kinds, Scenes, shell


@in_loop
async def test_what_can_not_be_started_has_failed(scene: Scenes, tmp_path: Path) -> None:
    """With the reason, in characters that can be shown; it is tried again like any other failure."""
    kinds: Kinds = {"work": {"command": ["true"], "cwd": f"{tmp_path}/none\u202e", "retries": 1, "backoff": 0.01}}
    async with scene(kinds) as stage:
        job = await stage.wait(stage.submit()[0], "failed")
        assert (job.attempt, job.exit_code) == (2, None)
        assert job.error == f"could not be started: No such file or directory: {tmp_path}/none\ufffd"


@in_loop
async def test_a_job_is_cancelled_whatever_it_is(scene: Scenes) -> None:
    """Running: ended; pending: never started; and one that ignores SIGTERM is killed after the grace."""
    async with scene(f"trap '' TERM; {WAIT}", concurrency=1, grace=0.2) as stage:
        first, second = stage.submit(count=2)
        await eventually(lambda: stage.lines("starts"))
        stage.cancel(first, second)
        job = await stage.wait(first, "cancelled")
        assert (job.exit_code, job.error, job.attempt) == (-9, "cancelled", 1)
        assert stage.lines("starts") == [first]
        assert stage.book() == {"cancelled": 2}


@in_loop
async def test_strays_of_a_job_that_is_over_are_ended_and_of_no_other(scene: Scenes, tmp_path: Path) -> None:
    """A sweep takes what has become the runner's child, by its mark; what has none, or a running job's, is let be."""
    stray = '(setsid sleep 300 & echo $! >>"$FOLDER/pid$HVD_JOB"); '
    stray += '(env -i setsid sleep 300 & echo $! >>"$FOLDER/bare$HVD_JOB"); '  # as one that writes over its environment
    async with scene({"over": shell(stray), "work": shell(stray + WAIT)}) as stage:
        (running,) = stage.submit("work")
        await eventually(lambda: stage.lines("starts"))
        process = await asyncio.create_subprocess_exec("sleep", "300")
        (over,) = stage.submit("over")
        await stage.wait(over, "completed")
        ((gone,), (going,)) = (stage.lines(f"pid{job_id}") for job_id in (over, running))
        ((bare_gone,), (bare_going,)) = (stage.lines(f"bare{job_id}") for job_id in (over, running))
        await eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in (gone, bare_gone)))
        assert mark_of(int(going), JOB) == running
        assert is_alive(int(bare_going))
        assert process.returncode is None
        process.kill()
        await process.wait()
        (tmp_path / "go").touch()
        await eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in (going, bare_going)))


@in_loop
async def test_a_sweep_takes_no_attempts_end(scene: Scenes, tmp_path: Path) -> None:
    """A job's process that has ended is a child like any other, and its exit status is told only once."""
    async with scene(f"{WAIT}; exit 3") as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner.pool.running.values()
        (tmp_path / "go").touch()
        until(lambda: not is_alive(attempt.pid), "it has ended, and the loop has not seen it")
        stage.runner.pool.sweep()
        assert (await stage.wait(job_id, "failed")).exit_code == 3
