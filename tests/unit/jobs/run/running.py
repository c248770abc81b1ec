"""A runner in the test's own loop, with a real queue and real processes."""

import asyncio
import contextlib
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hvd.jobs import events
from hvd.jobs.database.connection import Database
from hvd.jobs.database.store import Store
from hvd.jobs.job import Job, NewJob
from hvd.jobs.options import RunnerOptions
from hvd.jobs.run.turns import TurnLoop
from hvd.jobs.submission import Submission
from hvd.settings.job_declarations import read_kinds
from tests.support.loop import eventually
from tests.unit.jobs.support import queue_of

PATIENT = 60.0  # s; what comes only because time ran out comes too late
Kinds = dict[str, dict[str, Any]]
Scenes = Callable[..., contextlib.AbstractAsyncContextManager["Scene"]]


class Scene:
    """A runner with its queue, and what it tells."""

    def __init__(self, database: Database, folder: Path, kinds: Kinds, **options: Any) -> None:
        self.folder = folder
        declared, faults = read_kinds(kinds)
        assert not faults
        self.store = Store(database, "here/a")
        self.queue = queue_of(database)
        state = str(folder / "state")
        plain = RunnerOptions("info", "", state, "a", 8, PATIENT, PATIENT, 7.0, declared, 2**20)
        self.writers, self._reader = events.socket_pair()
        self.published: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.turns, self.pause, self.resting = 0, 0.0, False
        self.stopping = asyncio.Event()
        self.runner = TurnLoop(
            self.queue,
            replace(plain, **options),
            environ={"PATH": os.environ["PATH"], "FOLDER": str(folder)},
            events=self.writers,
            publish=lambda figures: self.published.append(json.loads(json.dumps(figures))),
        )
        turn, rest = self.runner._turn, self.runner._rest

        async def counted() -> None:
            self.turns, self.resting = self.turns + 1, False
            await turn()

        async def measured() -> float:
            self.pause = await rest()
            self.resting = True
            return self.pause

        self.runner._turn, self.runner._rest = counted, measured  # type: ignore[method-assign]
        asyncio.get_running_loop().add_reader(self._reader.fileno(), self._hear)
        self._task = asyncio.create_task(self.runner.run(self.stopping))

    def _hear(self) -> None:
        while (job := events.receive(self._reader)) is not None:
            self.events.append(job)

    def submit(self, kind: str = "work", count: int = 1) -> list[str]:
        """Ids of new jobs; their kind need not be declared."""
        granted = self.runner.context.options.kinds.get(kind) or next(iter(self.runner.context.options.kinds.values()))
        new = [NewJob(replace(granted, name=kind), {}, "")] * count
        ids: list[str] = self.store.submit(Submission(new), 10_000).answer["job_ids"]
        self.runner.wake()
        return ids

    def job(self, job_id: str) -> Job:
        (job,) = self.store.find([job_id])
        return job

    def book(self) -> dict[str, int]:
        return dict(Counter(job.status for job in self.store.newest([], [], 1000, None)))

    def cancel(self, *ids: str) -> None:
        self.store.cancel(ids)
        self.runner.wake()

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    async def rest(self, least: float = 1.0) -> None:
        """Wait until the runner rests, for so many seconds at least: nothing is going on, and all has been noted."""
        running = self.runner

        def rests() -> bool:
            busy = running.context.reason.is_set() or running.reporter.is_due or running.pool.moved or running.pool.ends
            return not busy and bool(self.published) and self.resting and self.pause >= least

        await eventually(rests)

    async def wait(self, job_id: str, status: str) -> Job:
        await eventually(lambda: self.job(job_id).status == status)
        return self.job(job_id)

    async def stop(self) -> None:
        self.stopping.set()
        await self._task

    async def close(self) -> None:
        (self.folder / "go").touch()
        await self.stop()
        asyncio.get_running_loop().remove_reader(self._reader.fileno())
        self.writers.close()
        self._reader.close()


@contextlib.asynccontextmanager
async def scene(database: Database, folder: Path, kinds: Kinds | str, **options: Any) -> AsyncIterator[Scene]:
    """A scene that is stopped in the end; a text is the script of the one kind, `work`."""
    made = Scene(database, folder, {"work": shell(kinds)} if isinstance(kinds, str) else kinds, **options)
    try:
        yield made
    finally:
        await made.close()


def shell(script: str, **kind: Any) -> dict[str, Any]:
    return {"command": ["sh", "-c", script.replace("{", "{{").replace("}", "}}")], **kind}


WAIT = 'echo "$HVD_JOB" >>"$FOLDER/starts"; until [ -e "$FOLDER/go" ]; do sleep .01; done'
"""Says that it runs, and ends when it may."""
