"""What the runner starts and when, and what it notes of it in the database."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue, Turnover
from hvd.jobs.job import Job
from hvd.jobs.run import context, schedule
from tests.support.loop import eventually, in_loop
from tests.unit.core.support import no_descriptor
from tests.unit.jobs.run.running import PATIENT, WAIT, scene, shell, subreaper, url

__all__ = ["subreaper", "url"]


@in_loop
async def test_no_more_run_at_once_than_may(database: Database, tmp_path: Path) -> None:
    """Of a kind, and in all; a kind that is full keeps no other one waiting."""
    kinds = {"one": shell(WAIT, concurrency=1), "two": shell(WAIT, concurrency=2), "many": shell(WAIT)}
    async with scene(database, tmp_path, kinds, concurrency=5) as stage:
        for kind in kinds:
            stage.submit(kind, 10)
        await eventually(lambda: len(stage.lines("starts")) == 5)
        await stage.rest()
        running = Counter(job.kind for job in stage.store.newest(["running"], [], 100, None))
        assert running == {"one": 1, "two": 2, "many": 2}
        (tmp_path / "go").touch()
        await eventually(lambda: stage.book() == {"completed": 30})


@in_loop
async def test_a_job_of_a_kind_that_is_not_declared_waits(database: Database, tmp_path: Path) -> None:
    """It is run once the kind is declared. Where a reload takes the kind away, what runs goes on."""
    async with scene(database, tmp_path, {"work": shell(WAIT), "other": shell("true")}) as stage:
        (running,) = stage.submit("work")
        await eventually(lambda: stage.lines("starts"))
        declared = stage.runner.options
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
async def test_a_failure_is_tried_again_when_its_kind_says_so(database: Database, tmp_path: Path) -> None:
    """After its pause, without anybody waking the runner; what failed is told, and what it came to."""
    script = 'echo x >>"$FOLDER/tries"; [ $(wc -l <"$FOLDER/tries") = 3 ] || exit 7'
    async with scene(database, tmp_path, {"work": shell(script, retries=5, backoff=0.01)}) as stage:
        (job_id,) = stage.submit()
        job = await stage.wait(job_id, "completed")
        assert (job.attempt, job.error, len(stage.lines("tries"))) == (3, "", 3)
        await eventually(lambda: stage.events[-1]["status"] == "completed")
        assert [event["status"] for event in stage.events] == ["running", "pending"] * 2 + ["running", "completed"]
        assert stage.events[1]["error_msg"] == "exit status 7"
        assert sorted(event["revision"] for event in stage.events) == [event["revision"] for event in stage.events]


@in_loop
async def test_progress_is_told_at_once_and_noted_in_time(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database, events and figures, which tell the same of one revision; the last one of many is noted, too."""
    monkeypatch.setattr(schedule, "PROGRESS_PAUSE", 0.1)
    script = 'for p in 1 2 50; do echo $p%; sleep .03; done; until [ -e "$FOLDER/go" ]; do sleep .01; done'
    async with scene(database, tmp_path, {"work": shell(script, progress="([0-9]+)%")}) as stage:
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
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in a pause, in events and in the database."""
    monkeypatch.setattr(schedule, "PROGRESS_PAUSE", PATIENT)
    written: list[object] = []
    note = Queue.progress
    monkeypatch.setattr(Queue, "progress", lambda self, percents: written.append(percents) or note(self, percents))
    script = 'for p in 1 2 3 4 5 6 7 8 9; do echo $p%; sleep .01; done; until [ -e "$FOLDER/go" ]; do sleep .01; done'
    async with scene(database, tmp_path, {"work": shell(script, progress="([0-9]+)%")}) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: len(stage.events) == 2 and stage.runner.pool.running[job_id].percent == 9.0)
        (tmp_path / "go").touch()
        await stage.wait(job_id, "completed")
        await eventually(lambda: stage.events[-1]["status"] == "completed")
        assert len(stage.events) == 3, "running, one progress, completed"
        assert len(written) == 1


@in_loop
async def test_a_claim_that_hangs_is_given_up_and_its_jobs_run_later(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes too late, or is lost: the jobs have not run, so they do, as if nothing had been."""
    monkeypatch.setattr(context, "ANSWER", 0.5)
    monkeypatch.setattr(schedule, "TROUBLE_PAUSES", (0.01,))
    async with scene(database, tmp_path, "true", lease=0.3) as stage:
        await stage.rest(0.05)
        exchange, late = stage.queue.finish_and_claim, list[Job]()

        def hang(*of: Any) -> Turnover:
            came = exchange(*of)
            late.extend(came.claimed)
            if late:
                time.sleep(0.8)
                stage.queue.finish_and_claim = exchange  # type: ignore[method-assign]
            return came

        monkeypatch.setattr(stage.queue, "finish_and_claim", hang)
        ids = stage.submit(count=3)
        await eventually(lambda: stage.book() == {"completed": 3})
        assert [job.id for job in late] == ids
        assert [stage.job(job_id).attempt for job_id in ids] == [1, 1, 1]
        assert [stage.job(job_id).error for job_id in ids] == ["", "", ""]


@in_loop
async def test_without_a_descriptor_jobs_wait(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner and what it runs go on, and it says what is wrong."""
    monkeypatch.setattr(schedule, "TROUBLE_PAUSES", (0.01, 0.02))
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
