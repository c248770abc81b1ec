"""The runner without its database."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hvd.errors import StoreUnavailable
from hvd.jobs.database.queue import Queue, Turnover
from hvd.jobs.job import Job
from hvd.jobs.run import context, schedule
from hvd.jobs.run.turns import TurnLoop
from tests.support.loop import eventually, in_loop
from tests.unit.core.support import no_descriptor
from tests.unit.jobs.run.running import WAIT, Scenes


@contextlib.contextmanager
def unavailable(queue: Queue) -> Iterator[None]:
    """Nothing that a runner asks of its database works meanwhile."""

    def fail(*_: object) -> None:
        raise StoreUnavailable("disk full")

    with pytest.MonkeyPatch.context() as broken:
        for name in ("finish_and_claim", "next_due", "progress", "figures"):
            broken.setattr(queue, name, fail)
        for part, name in ((queue.leases, "renew"), (queue.leases, "dead_runners"), (queue.upkeep, "reclaim")):
            broken.setattr(part, name, fail)
        yield


@in_loop
async def test_a_database_that_fails_loses_no_end(
    scene: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What runs runs on, what has ended is noted once it works again; said once, and shown all the while."""
    monkeypatch.setattr(schedule, "TROUBLE_PAUSES", (0.01, 0.02))
    async with scene(WAIT, lease=0.6) as stage:
        ids = stage.submit(count=3)
        await eventually(lambda: len(stage.lines("starts")) == 3)
        await stage.rest(0.1)
        with unavailable(stage.queue):
            stage.submit(count=1)
            await eventually(lambda: stage.published[-1]["trouble"] == StoreUnavailable("disk full").public)
            renewed = stage.runner.upkeep.renewed_at
            await eventually(lambda: time.monotonic() - renewed > 0.7)  # nobody else can have the jobs: it is local
            assert not stage.runner.pool.ends
            (tmp_path / "go").touch()
            await eventually(lambda: len(stage.runner.pool.ends) == 3)
            turns = stage.turns
            await eventually(lambda: stage.turns > turns + 5)
            assert stage.book() == {"running": 3, "pending": 1}
            assert stage.published[-1]["open"] == [["work", "running", 3]], "the figures read last"
        [line] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert line == "disk full; 3 jobs run on, no other is started; trying again"
        await eventually(lambda: stage.book() == {"completed": 4})
        await eventually(lambda: stage.published[-1]["trouble"] == "")
        assert sorted(stage.lines("starts"))[:3] == sorted(ids)
        await eventually(lambda: not stage.runner.pool.ends)


@in_loop
async def test_a_cancellation_that_could_not_be_read_is_read_later(
    scene: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks twice."""
    monkeypatch.setattr(schedule, "TROUBLE_PAUSES", (0.01,))
    async with scene(WAIT) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        await stage.rest()
        with unavailable(stage.queue):
            stage.cancel(job_id)
            await eventually(lambda: stage.published[-1]["trouble"])
        await stage.wait(job_id, "cancelled")


@in_loop
async def test_a_stop_without_a_database_ends_what_runs_all_the_same(
    scene: Scenes, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be noted is told of; the next runner finds the jobs."""
    async with scene(WAIT) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner.pool.running.values()
        with unavailable(stage.queue):
            await stage.stop()
        assert attempt.exit_code == -15
        assert "disk full; the next runner will count 1 ended jobs as lost" in caplog.text
        assert stage.job(job_id).status == "running"


@in_loop
async def test_what_was_told_before_is_told_until_there_is_more(scene: Scenes) -> None:
    """By a runner that can't read its database yet: totals neither vanish nor fall."""
    figures = {"open": [], "ends": [["work", "completed", 0, 5, 1.0]], "own": [], "recent": [], "read_ns": 1}
    async with scene("true") as stage:
        await stage.rest()
        published: list[dict[str, Any]] = []
        with unavailable(stage.queue):
            late = TurnLoop(
                stage.queue,
                stage.runner.context.options,
                environ={},
                events=stage.writers,
                publish=published.append,
                figures=figures,
            )
            await late._turn()
            await late._stop()
        assert published[-1]["ends"] == figures["ends"]
        assert published[-1]["trouble"]


@in_loop
async def test_a_claim_that_hangs_is_given_up_and_its_jobs_run_later(
    scene: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes too late, or is lost: the jobs have not run, so they do, as if nothing had been."""
    monkeypatch.setattr(context, "RUNNER_ANSWER", 0.5)
    monkeypatch.setattr(schedule, "TROUBLE_PAUSES", (0.01,))
    async with scene("true", lease=0.3) as stage:
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
async def test_without_a_descriptor_jobs_wait(scene: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner and what it runs go on, and it says what is wrong."""
    monkeypatch.setattr(schedule, "TROUBLE_PAUSES", (0.01, 0.02))
    async with scene(WAIT) as stage:
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
