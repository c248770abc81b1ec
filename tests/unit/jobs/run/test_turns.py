"""The runner in one loop, with a real queue in SQLite and real processes: its turns, its rest, and its stop."""

import asyncio
import os
from pathlib import Path

from hvd.jobs.database.connection import Database
from hvd.jobs.run.schedule import LOCAL_TURN
from hvd.jobs.run.strays import RUNNER, mark_of
from tests.support.loop import eventually, in_loop
from tests.unit.jobs.run.running import WAIT, scene, shell, subreaper, url

__all__ = ["subreaper", "url"]


@in_loop
async def test_each_job_runs_once(database: Database, tmp_path: Path) -> None:
    """Whenever it was submitted; and the figures published last are those of the database."""
    async with scene(database, tmp_path, 'echo "$HVD_JOB" >>"$FOLDER/starts"') as stage:
        ids = stage.submit(count=10)
        for _ in range(5):
            ids += stage.submit(count=4)
            await asyncio.sleep(0.02)
        await eventually(lambda: stage.book() == {"completed": 30})
        assert sorted(stage.lines("starts")) == sorted(ids)
        await eventually(lambda: stage.published and not stage.published[-1]["open"])
        last = stage.published[-1]
        assert [row[:2] for row in last["ends"]] == [["work", "completed"]] * len(last["ends"])
        assert sum(row[3] for row in last["ends"]) == sum(row[3] for row in last["own"]) == 30
        assert last["trouble"] == ""
        assert len(last["recent"]) == 20


@in_loop
async def test_an_idle_runner_rests(database: Database, tmp_path: Path) -> None:
    """For LOCAL_TURN s at a time, if nothing happens: also where jobs wait that it can't start now, or never."""
    kinds = {"one": shell(WAIT, concurrency=1), "other": shell(WAIT)}
    async with scene(database, tmp_path, kinds, concurrency=2) as stage:
        await stage.rest()
        assert stage.pause == LOCAL_TURN
        stage.submit("undeclared")
        await stage.rest()
        assert stage.pause == LOCAL_TURN
        stage.submit("one", 3)
        await eventually(lambda: len(stage.lines("starts")) == 1)
        await stage.rest()
        assert (stage.pause, len(stage.lines("starts"))) == (LOCAL_TURN, 1), "no room for its kind"
        stage.submit("other", 3)
        await eventually(lambda: len(stage.lines("starts")) == 2)
        await stage.rest()
        assert (stage.pause, len(stage.lines("starts"))) == (LOCAL_TURN, 2), "no room at all"
        turns = stage.turns
        await asyncio.sleep(0.3)
        assert stage.turns == turns


@in_loop
async def test_a_runner_wakes_up_when_a_retry_is_due(database: Database, tmp_path: Path) -> None:
    """Not before, and at most some hundredths of a second at a time."""
    async with scene(database, tmp_path, {"work": shell("exit 1", retries=1, backoff=2.0)}) as stage:
        await eventually(lambda: stage.published)
        (job_id,) = stage.submit()
        await eventually(lambda: stage.job(job_id).status == "pending" and stage.job(job_id).attempt == 1)
        await stage.rest(0.6)
        assert stage.pause <= 2.0


@in_loop
async def test_a_stop_ends_and_notes_what_runs(database: Database, tmp_path: Path) -> None:
    """As failed, or pending where another attempt is granted; it leaves the queue, and no process, behind."""
    tidy = """trap 'sleep .3; touch "$FOLDER/tidy"; exit 5' TERM; """
    kinds = {"work": shell(tidy + WAIT), "again": shell(WAIT, retries=1)}
    async with scene(database, tmp_path, kinds) as stage:
        (failed,), (again,) = stage.submit("work"), stage.submit("again")
        await eventually(lambda: len(stage.lines("starts")) == 2)
        (waiting,) = stage.submit("other")
        pids = [attempt.pid for attempt in stage.runner.pool.running.values()]
        guard = stage.runner.guard.process
        await stage.stop()
        assert [stage.job(job_id).status for job_id in (failed, again, waiting)] == ["failed", "pending", "pending"]
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
async def test_a_guard_that_was_killed_is_replaced_and_never_missed(database: Database, tmp_path: Path) -> None:
    """By the next turn; and its end at the last moment doesn't keep the runner from stopping."""
    async with scene(database, tmp_path, "true") as stage:
        await eventually(lambda: stage.runner.guard.process)
        first = stage.runner.guard.process
        assert first
        first.kill()
        await eventually(lambda: not os.path.exists(f"/proc/{first.pid}") or first.poll() is not None)
        stage.runner.wake()
        await eventually(lambda: stage.runner.guard.process is not first)
        second = stage.runner.guard.process
        assert second
        await stage.rest()
        second.kill()
        second.wait()
        await stage.stop()
