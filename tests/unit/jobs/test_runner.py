"""The runner's loop, with a real database and real processes."""

import asyncio
import ctypes
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hvd.core.proc import is_alive
from hvd.errors import StoreUnavailable
from hvd.jobs import events, runner
from hvd.jobs.kinds import Kind, read_kinds
from hvd.jobs.main import PR_SET_CHILD_SUBREAPER
from hvd.jobs.options import Options
from hvd.jobs.queue import Queue
from hvd.jobs.queue import Runner as Identity
from hvd.jobs.runner import Runner
from hvd.jobs.schema import Database
from hvd.jobs.store import Job, Json, NewJob, Store
from hvd.settings import load
from tests.support.waiting import PATIENCE
from tests.unit.jobs.support import queue_of

TABLE: dict[str, dict[str, Any]] = {
    "noop": {"command": ["true"]},
    "nap": {"command": ["sleep", "1000"]},
    "alone": {"command": ["sh", "-c", "sleep 0.05"], "concurrency": 1},
    "stubborn": {"command": ["false"], "retries": 2, "backoff": 0.01},
    "missing": {"command": ["/no/such/program"]},
    "steps": {"command": ["sh", "-c", "for i in 1 2 3 4; do echo ${{i}}0%; sleep 0.06; done"], "progress": "([0-9]+)%"},
    "daemon": {"command": ["sh", "-c", "setsid sh -c 'setsid sleep 1000 & echo $! > $HOME/pid' & wait; exit 0"]},
}


def declared(**more: dict[str, Any]) -> dict[str, Kind]:
    table = {**TABLE, **more}
    found, faults = read_kinds(table)
    assert not faults, faults
    return found


class Stage:
    """A runner at work, and what clients of its queue see."""

    def __init__(self, folder: Path, kinds: dict[str, Kind], **changes: Any) -> None:
        self.database = Database(f"sqlite:///{folder}/jobs.sqlite3")
        self.store = Store(self.database, "here/a")
        self.queue = Queue(self.database, Identity.here(), "here/a", 15.0)
        plain = {**Options.of(load({}).settings).__dict__, "kinds": kinds, "concurrency": 8, "grace": 5.0}
        writers, self.reader = events.channel()
        self.writers: socket.socket = writers
        self.published: list[Json] = []
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.runner = Runner(
            self.queue,
            Options(**{**plain, **changes}),
            environ=environ,
            events=events.Events(writers),
            publish=self.published.append,
        )

    def submit(self, kind: str, count: int = 1) -> list[str]:
        new = [NewJob(kind, {}, f"{kind} {index}") for index in range(count)]
        kinds = {**declared(), **self.runner.options.kinds}
        ids: list[str] = self.store.submit(new, kinds, [], 0, queue_limit=10_000, key=None)[0]["job_ids"]
        self.runner.wake()
        return ids

    def cancel(self, job_id: str) -> None:
        self.store.cancel([job_id])
        self.runner.wake()

    def job(self, job_id: str) -> Job:
        found = self.store.get(job_id)
        assert found
        return found

    def told(self) -> list[Json]:
        found = []
        while job := events.receive(self.reader):
            found.append(job)
        return found

    async def until(self, condition: Callable[[], Any], seconds: float = 15) -> Any:
        deadline = time.monotonic() + seconds * PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        return value

    async def ended(self, ids: list[str]) -> list[Job]:
        def all_ended() -> list[Job]:
            jobs = self.store.find(ids)
            return jobs if all(job.ended is not None for job in jobs) else []

        jobs: list[Job] = await self.until(all_ended)
        return jobs


@asynccontextmanager
async def stage(folder: Path, kinds: dict[str, Kind] | None = None, **changes: Any) -> AsyncIterator[Stage]:
    """A runner that runs while the context does, and is stopped in order."""
    made = Stage(folder, declared() if kinds is None else kinds, **changes)
    stopping = asyncio.Event()
    running = asyncio.create_task(made.runner.run(stopping))
    try:
        yield made
    finally:
        stopping.set()
        await asyncio.wait_for(running, 30 * PATIENCE)
        made.database.close()
        for end in (made.writers, made.reader):
            end.close()


def test_jobs_run_and_their_counts_are_published(tmp_path: Path) -> None:
    """Each once; what is told of one begins with its start and ends with its end."""

    async def go() -> None:
        async with stage(tmp_path) as there:
            ids = there.submit("noop", 20)
            jobs = await there.ended(ids)
            assert {(job.status, job.attempt, job.exit_code) for job in jobs} == {("completed", 1, 0)}
            await there.until(lambda: there.published and sum(row[3] for row in there.published[-1]["ends"]) == 20)
            assert there.published[-1]["open"] == []
            told = there.told()
            assert [job["status"] for job in told if job["id"] == ids[0]] == ["running", "completed"]

    asyncio.run(go())


def test_no_more_run_at_once_than_may(tmp_path: Path) -> None:
    """In all, and of a kind; a kind that is full doesn't keep the others back."""

    async def go() -> None:
        async with stage(tmp_path, concurrency=3) as there:
            alone, naps = there.submit("alone", 3), there.submit("nap", 1)
            most = 0
            while any(job.ended is None for job in there.store.find(alone)):
                running = [each.job.kind for each in there.runner._running.values()]
                most = max(most, running.count("alone"))
                assert len(running) <= 3
                await asyncio.sleep(0.002)
            assert most == 1
            assert there.job(naps[0]).status == "running"
            there.submit("nap", 5)
            await there.until(lambda: len(there.runner._running) == 3)
            await there.until(
                lambda: there.published[-1]["open"] and ["nap", "pending", 3] in there.published[-1]["open"]
            )

    asyncio.run(go())


def test_failures_are_tried_again_as_often_as_the_kind_says(tmp_path: Path) -> None:
    """What can't be started is a failure too."""

    async def go() -> None:
        async with stage(tmp_path) as there:
            (stubborn,), (missing,) = there.submit("stubborn"), there.submit("missing")
            jobs = {job.id: job for job in await there.ended([stubborn, missing])}
            assert (jobs[stubborn].status, jobs[stubborn].attempt) == ("failed", 3)
            assert (jobs[missing].status, jobs[missing].attempt, jobs[missing].exit_code) == ("failed", 1, None)
            assert jobs[missing].error == "could not be started: No such file or directory: /no/such/program"

    asyncio.run(go())


def test_a_kind_that_is_declared_no_more_waits(tmp_path: Path) -> None:
    """Its jobs stay pending, cost no turn, and run when it is there again."""

    async def go() -> None:
        kinds = declared()
        noop = kinds.pop("noop")
        async with stage(tmp_path, kinds) as there:
            ids = there.submit("noop")
            await there.until(lambda: not there.runner._figures_wanted)
            assert await there.runner._rest() == runner.LOCAL_TURN
            there.runner.options = Options(**{**there.runner.options.__dict__, "kinds": {**kinds, "noop": noop}})
            there.runner.wake()
            await there.ended(ids)

    asyncio.run(go())


def test_an_idle_runner_rests(tmp_path: Path) -> None:
    """Also while all that may run runs, and more is pending."""

    async def go() -> None:
        async with stage(tmp_path, concurrency=2) as there:
            await there.until(lambda: there.published and not there.runner._figures_wanted)
            assert await there.runner._rest() == runner.LOCAL_TURN
            there.submit("nap", 5)
            await there.until(lambda: len(there.runner._running) == 2 and not there.runner._figures_wanted)
            assert await there.runner._rest() == runner.LOCAL_TURN

    asyncio.run(go())


def test_a_cancelled_job_is_ended(tmp_path: Path) -> None:
    """And its process."""

    async def go() -> None:
        async with stage(tmp_path) as there:
            (name,) = there.submit("nap")
            attempt = await there.until(lambda: there.runner._running.get(name))
            there.cancel(name)
            (job,) = await there.ended([name])
            assert (job.status, job.error) == ("cancelled", "cancelled")
            assert not is_alive(attempt.pid)

    asyncio.run(go())


def test_progress_goes_to_clients_and_to_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the database seldom, to clients as it comes, never back."""
    monkeypatch.setattr(runner, "PROGRESS_PAUSE", 0.05)
    monkeypatch.setattr(runner, "UPDATE_PAUSE", 0.01)

    async def go() -> None:
        async with stage(tmp_path) as there:
            (name,) = there.submit("steps")
            await there.until(lambda: 0 < there.job(name).progress < 100)
            await there.ended([name])
            told = [job["progress"] for job in there.told()]
            assert told == sorted(told)
            assert len(set(told)) >= 4
            assert told[-1] == 100.0

    asyncio.run(go())


def test_a_database_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends meanwhile is noted when it can be; nothing is started; the trouble is published, and told once."""
    monkeypatch.setattr(runner, "TROUBLE_PAUSES", (0.01,))

    async def go() -> None:
        async with stage(tmp_path) as there:
            (name,) = there.submit("alone")
            await there.until(lambda: name in there.runner._running)

            def fail(*args: object, **kwargs: object) -> None:
                raise StoreUnavailable("the disk is full")

            broken = ("finish", "claim", "renew", "progress", "figures", "next_due", "to_cancel")
            kept = {each: getattr(there.queue, each) for each in broken}
            for each in broken:
                setattr(there.queue, each, fail)
            await there.until(lambda: name in there.runner._ends)
            await there.until(lambda: there.published[-1]["trouble"] == "the disk is full")
            (later,) = there.submit("noop")
            turns = there.runner._failures
            await there.until(lambda: there.runner._failures > turns + 3)
            assert there.job(later).status == "pending"
            for each, method in kept.items():
                setattr(there.queue, each, method)
            jobs = await there.ended([name, later])
            assert [job.status for job in jobs] == ["completed", "completed"]
            await there.until(lambda: there.published[-1]["trouble"] == "")

    asyncio.run(go())


def test_a_stop_ends_what_runs_and_notes_it(tmp_path: Path) -> None:
    """Failed, or waiting for another attempt where the kind grants one; and the lease is given up."""
    kinds = declared(again={"command": ["sleep", "1000"], "retries": 1})

    async def go() -> tuple[list[str], list[int], Stage]:
        async with stage(tmp_path, kinds) as there:
            ids = [*there.submit("nap"), *there.submit("again")]
            await there.until(lambda: len(there.runner._running) == 2)
            return ids, [attempt.pid for attempt in there.runner._running.values()], there

    ids, pids, there = asyncio.run(go())
    assert not any(map(is_alive, pids))
    jobs = there.store.find(ids)
    assert [job.status for job in jobs] == ["failed", "pending"]
    assert jobs[0].error == "interrupted: hvd was stopped"
    assert queue_of(there.database).gone() == []
    there.database.close()


def test_a_lease_that_was_lost_ends_what_runs(tmp_path: Path) -> None:
    """Another has the jobs by then: what comes of these processes is nobody's."""

    async def go() -> None:
        async with stage(tmp_path) as there:
            (name,) = there.submit("nap")
            attempt = await there.until(lambda: there.runner._running.get(name))
            other = queue_of(there.database)
            there.queue.leave()
            assert [job.id for job in other.reclaim({})] == []
            there.runner._renewed = float("-inf")
            there.runner.wake()
            await there.until(lambda: not is_alive(attempt.pid))
            other.leave()

    asyncio.run(go())


def test_what_left_its_group_is_ended_with_its_job(tmp_path: Path) -> None:
    """It fell to the runner, its subreaper; what belongs to jobs that run is left alone."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    async def go() -> None:
        async with stage(tmp_path) as there:
            await there.ended(there.submit("daemon"))
            pid = int((tmp_path / "pid").read_text())
            await there.until(lambda: not is_alive(pid))

    try:
        asyncio.run(go())
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
