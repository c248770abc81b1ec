"""The runner in one loop, with a real queue in SQLite and real processes: what it starts, its rest, and its stop."""

import asyncio
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue
from hvd.jobs.run import schedule
from hvd.jobs.run.schedule import LOCAL_TURN
from hvd.jobs.run.strays import RUNNER, mark_of
from tests.support.loop import eventually, in_loop
from tests.unit.jobs.run.running import PATIENT, WAIT, Scenes, shell


@in_loop
async def test_each_job_runs_once(scene: Scenes) -> None:
    """Whenever it was submitted; and the figures published last are those of the database."""
    async with scene('echo "$HVD_JOB" >>"$FOLDER/starts"') as stage:
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
async def test_an_idle_runner_rests(scene: Scenes) -> None:
    """For LOCAL_TURN s at a time, if nothing happens: also where jobs wait that it can't start now, or never."""
    kinds = {"one": shell(WAIT, concurrency=1), "other": shell(WAIT)}
    async with scene(kinds, concurrency=2) as stage:
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
async def test_a_runner_wakes_up_when_a_retry_is_due(scene: Scenes) -> None:
    """Not before, and at most some hundredths of a second at a time."""
    async with scene({"work": shell("exit 1", retries=1, backoff=2.0)}) as stage:
        await eventually(lambda: stage.published)
        (job_id,) = stage.submit()
        await eventually(lambda: stage.job(job_id).status == "pending" and stage.job(job_id).attempt == 1)
        await stage.rest(0.6)
        assert stage.pause <= 2.0


@in_loop
async def test_a_stop_ends_and_notes_what_runs(scene: Scenes, database: Database, tmp_path: Path) -> None:
    """As failed, or pending where another attempt is granted; it leaves the queue, and no process, behind."""
    tidy = """trap 'sleep .3; touch "$FOLDER/tidy"; exit 5' TERM; """
    kinds = {"work": shell(tidy + WAIT), "again": shell(WAIT, retries=1)}
    async with scene(kinds) as stage:
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
async def test_a_stop_leaves_nothing_that_a_job_had_started(scene: Scenes) -> None:
    """Not even what has left its group and its session; and it may be in a hurry."""
    script = f"trap '' TERM; setsid sh -c 'setsid sleep 300 & echo $! >\"$FOLDER/pid\"; wait' & {WAIT}"
    async with scene(script) as stage:
        stage.submit()
        await eventually(lambda: stage.lines("starts") and stage.lines("pid"))
        daemon = int(stage.lines("pid")[0])
        assert mark_of(daemon, RUNNER) == stage.queue.runner.id
        stage.runner.stop_grace = 0.05
        await stage.stop()
        await eventually(lambda: mark_of(daemon, RUNNER) is None)
        assert stage.book() == {"failed": 1}


@in_loop
async def test_a_guard_that_was_killed_is_replaced_and_never_missed(scene: Scenes) -> None:
    """By the next turn; and its end at the last moment doesn't keep the runner from stopping."""
    async with scene("true") as stage:
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


@in_loop
async def test_no_more_run_at_once_than_may(scene: Scenes, tmp_path: Path) -> None:
    """Of a kind, and in all; a kind that is full keeps no other one waiting."""
    kinds = {"one": shell(WAIT, concurrency=1), "two": shell(WAIT, concurrency=2), "many": shell(WAIT)}
    async with scene(kinds, concurrency=5) as stage:
        for kind in kinds:
            stage.submit(kind, 10)
        await eventually(lambda: len(stage.lines("starts")) == 5)
        await stage.rest()
        running = Counter(job.kind for job in stage.store.newest(["running"], [], 100, None))
        assert running == {"one": 1, "two": 2, "many": 2}
        (tmp_path / "go").touch()
        await eventually(lambda: stage.book() == {"completed": 30})


@in_loop
async def test_a_job_of_a_kind_that_is_not_declared_waits(scene: Scenes, tmp_path: Path) -> None:
    """It is run once the kind is declared. Where a reload takes the kind away, what runs goes on."""
    async with scene({"work": shell(WAIT), "other": shell("true")}) as stage:
        (running,) = stage.submit("work")
        await eventually(lambda: stage.lines("starts"))
        declared = stage.runner.context.options
        stage.runner.context.options = replace(declared, kinds={"other": declared.kinds["other"]})
        (waiting,) = stage.submit("work")
        await stage.wait(stage.submit("other")[0], "completed")
        assert [stage.job(job_id).status for job_id in (running, waiting)] == ["running", "pending"]
        (tmp_path / "go").touch()
        await stage.wait(running, "completed")
        assert stage.job(waiting).status == "pending"
        stage.runner.context.options = declared
        stage.runner.wake()
        await stage.wait(waiting, "completed")


@in_loop
async def test_a_failure_is_tried_again_when_its_kind_says_so(scene: Scenes) -> None:
    """After its pause, without anybody waking the runner; what failed is told, and what it came to."""
    script = 'echo x >>"$FOLDER/tries"; [ $(wc -l <"$FOLDER/tries") = 3 ] || exit 7'
    async with scene({"work": shell(script, retries=5, backoff=0.01)}) as stage:
        (job_id,) = stage.submit()
        job = await stage.wait(job_id, "completed")
        assert (job.attempt, job.error, len(stage.lines("tries"))) == (3, "", 3)
        await eventually(lambda: stage.events[-1]["status"] == "completed")
        assert [event["status"] for event in stage.events] == ["running", "pending"] * 2 + ["running", "completed"]
        assert stage.events[1]["error_msg"] == "exit status 7"
        assert sorted(event["revision"] for event in stage.events) == [event["revision"] for event in stage.events]


@in_loop
async def test_progress_is_told_at_once_and_noted_in_time(
    scene: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database, events and figures, which tell the same of one revision; the last one of many is noted, too."""
    monkeypatch.setattr(schedule, "PROGRESS_PAUSE", 0.1)
    script = 'for p in 1 2 50; do echo $p%; sleep .03; done; until [ -e "$FOLDER/go" ]; do sleep .01; done'
    async with scene({"work": shell(script, progress="([0-9]+)%")}) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.job(job_id).progress == 50.0)
        await eventually(lambda: stage.published[-1]["recent"][0]["progress"] == 50.0)
        percents = [event["progress"] for event in stage.events]
        assert percents == sorted(percents)
        assert percents[-1] == 50.0
        published = {job["revision"]: job for figures in stage.published for job in figures.get("recent", ())}
        for event in stage.events:
            same = published.get(event["revision"], event)
            assert {**event, "duration_seconds": 0} == {**same, "duration_seconds": 0}
        (tmp_path / "go").touch()
        assert (await stage.wait(job_id, "completed")).progress == 100.0
        await eventually(lambda: stage.events[-1]["status"] == "completed")
        assert not stage.runner.pool.moved


@in_loop
async def test_progress_that_floods_is_told_seldom(
    scene: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in a pause, in events and in the database."""
    monkeypatch.setattr(schedule, "PROGRESS_PAUSE", PATIENT)
    written: list[object] = []
    note = Queue.progress
    monkeypatch.setattr(Queue, "progress", lambda self, percents: written.append(percents) or note(self, percents))
    script = 'for p in 1 2 3 4 5 6 7 8 9; do echo $p%; sleep .01; done; until [ -e "$FOLDER/go" ]; do sleep .01; done'
    async with scene({"work": shell(script, progress="([0-9]+)%")}) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: len(stage.events) == 2 and stage.runner.pool.running[job_id].percent == 9.0)
        (tmp_path / "go").touch()
        await stage.wait(job_id, "completed")
        await eventually(lambda: stage.events[-1]["status"] == "completed")
        assert len(stage.events) == 3, "running, one progress, completed"
        assert len(written) == 1
