"""The runner in one loop, with a real queue in SQLite and real processes: what it starts, and what it tells."""

import asyncio
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.core.proc import is_alive
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.schema import Database
from hvd.jobs.ids import new_id
from hvd.jobs.run import runner
from hvd.jobs.run.runner import LOCAL_TURN
from hvd.jobs.run.strays import JOB, mark_of
from tests.support.waiting import until
from tests.unit.agg import eventually, in_loop
from tests.unit.jobs.run.running import PATIENT, WAIT, Kinds, scene, shell, subreaper

__all__ = ["subreaper"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """One database is enough here: test_queue.py has both."""
    return f"sqlite:///{tmp_path}/jobs.sqlite3"


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
        stage.runner.options = replace(declared, kinds={"other": declared.kinds["other"]})
        (waiting,) = stage.submit("work")
        await stage.wait(stage.submit("other")[0], "completed")
        assert [stage.job(each).status for each in (running, waiting)] == ["running", "pending"]
        (tmp_path / "go").touch()
        await stage.wait(running, "completed")
        assert stage.job(waiting).status == "pending"
        stage.runner.options = declared
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
        await eventually(lambda: stage.told[-1]["status"] == "completed")
        assert [each["status"] for each in stage.told] == ["running", "pending"] * 2 + ["running", "completed"]
        assert stage.told[1]["error_msg"] == "exit status 7"
        assert sorted(each["revision"] for each in stage.told) == [each["revision"] for each in stage.told]


@in_loop
async def test_what_can_not_be_started_has_failed(database: Database, tmp_path: Path) -> None:
    """With the reason, in characters that can be shown; it is tried again like any other failure."""
    kinds: Kinds = {"work": {"command": ["true"], "cwd": f"{tmp_path}/none\u202e", "retries": 1, "backoff": 0.01}}
    async with scene(database, tmp_path, kinds) as stage:
        job = await stage.wait(stage.submit()[0], "failed")
        assert (job.attempt, job.exit_code) == (2, None)
        assert job.error == f"could not be started: No such file or directory: {tmp_path}/none\ufffd"


@in_loop
async def test_progress_is_told_at_once_and_noted_in_time(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database, events and figures, which tell the same of one revision; the last one of many is noted, too."""
    monkeypatch.setattr(runner, "PROGRESS_PAUSE", 0.1)
    script = 'for p in 1 2 50; do echo $p%; sleep .03; done; until [ -e "$FOLDER/go" ]; do sleep .01; done'
    async with scene(database, tmp_path, {"work": shell(script, progress="([0-9]+)%")}) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.job(job_id).progress == 50.0)
        await eventually(lambda: stage.published[-1]["recent"][0]["progress"] == 50.0)
        told = [each["progress"] for each in stage.told]
        assert told == sorted(told)
        assert told[-1] == 50.0
        shown = {job["revision"]: job for figures in stage.published for job in figures.get("recent", ())}
        for each in stage.told:
            known = shown.get(each["revision"], each)
            assert {**each, "duration_seconds": 0} == {**known, "duration_seconds": 0}
        (tmp_path / "go").touch()
        assert (await stage.wait(job_id, "completed")).progress == 100.0
        await eventually(lambda: stage.told[-1]["status"] == "completed")
        assert not stage.runner._moved


@in_loop
async def test_what_jobs_printed_goes_with_them(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another machine has deleted the job, once that is old; what is no output stays."""
    monkeypatch.setattr(runner, "PRUNE_PAUSE", 0.0)
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
async def test_progress_that_floods_is_told_seldom(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in a pause, in events and in the database."""
    monkeypatch.setattr(runner, "PROGRESS_PAUSE", PATIENT)
    written: list[object] = []
    note = Queue.progress
    monkeypatch.setattr(Queue, "progress", lambda self, told: written.append(told) or note(self, told))
    script = 'for p in 1 2 3 4 5 6 7 8 9; do echo $p%; sleep .01; done; until [ -e "$FOLDER/go" ]; do sleep .01; done'
    async with scene(database, tmp_path, {"work": shell(script, progress="([0-9]+)%")}) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: len(stage.told) == 2 and stage.runner._running[job_id].percent == 9.0)
        (tmp_path / "go").touch()
        await stage.wait(job_id, "completed")
        await eventually(lambda: stage.told[-1]["status"] == "completed")
        assert len(stage.told) == 3, "running, one progress, completed"
        assert len(written) == 1


@in_loop
async def test_a_job_is_cancelled_whatever_it_is(database: Database, tmp_path: Path) -> None:
    """Running: ended; pending: never started; and one that ignores SIGTERM is killed after the grace."""
    async with scene(database, tmp_path, f"trap '' TERM; {WAIT}", concurrency=1, grace=0.2) as stage:
        first, second = stage.submit(count=2)
        await eventually(lambda: stage.lines("starts"))
        stage.cancel(first, second)
        job = await stage.wait(first, "cancelled")
        assert (job.exit_code, job.error, job.attempt) == (-9, "cancelled", 1)
        assert stage.lines("starts") == [first]
        assert stage.book() == {"cancelled": 2}


@in_loop
async def test_strays_of_a_job_that_is_over_are_ended_and_of_no_other(database: Database, tmp_path: Path) -> None:
    """A sweep takes what has become the runner's child, by its mark; what has none, or a running job's, is let be."""
    stray = '(setsid sleep 300 & echo $! >>"$FOLDER/pid$HVD_JOB"); '
    stray += '(env -i setsid sleep 300 & echo $! >>"$FOLDER/bare$HVD_JOB"); '  # as one that writes over its environment
    async with scene(database, tmp_path, {"over": shell(stray), "work": shell(stray + WAIT)}) as stage:
        (running,) = stage.submit("work")
        await eventually(lambda: stage.lines("starts"))
        process = await asyncio.create_subprocess_exec("sleep", "300")
        (over,) = stage.submit("over")
        await stage.wait(over, "completed")
        ((gone,), (going,)) = (stage.lines(f"pid{each}") for each in (over, running))
        ((bare_gone,), (bare_going,)) = (stage.lines(f"bare{each}") for each in (over, running))
        await eventually(lambda: not any(os.path.exists(f"/proc/{each}") for each in (gone, bare_gone)))
        assert mark_of(int(going), JOB) == running
        assert is_alive(int(bare_going))
        assert process.returncode is None
        process.kill()
        await process.wait()
        (tmp_path / "go").touch()
        await eventually(lambda: not any(os.path.exists(f"/proc/{each}") for each in (going, bare_going)))


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
async def test_the_lease_is_renewed_in_time(database: Database, tmp_path: Path) -> None:
    """However little there is to do."""
    async with scene(database, tmp_path, "true", lease=0.3) as stage:
        await stage.rest(0.0)
        assert stage.pause <= 0.1
        renewed = stage.runner._renewed
        await eventually(lambda: stage.runner._renewed > renewed)


@in_loop
async def test_a_sweep_takes_no_attempts_end(database: Database, tmp_path: Path) -> None:
    """A job's process that has ended is a child like any other, and its exit status is told only once."""
    async with scene(database, tmp_path, f"{WAIT}; exit 3") as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner._running.values()
        (tmp_path / "go").touch()
        until(lambda: not is_alive(attempt.pid), "it has ended, and the loop has not seen it")
        stage.runner._sweep()
        assert (await stage.wait(job_id, "failed")).exit_code == 3
