"""Attempts of commands and of shell's scripts, in the test's own loop."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hvd.jobs.database.ends import End
from hvd.jobs.job import Job
from hvd.jobs.run.attempt import Attempt
from hvd.jobs.run.pump import Pump
from hvd.jobs.transcript import Recorder
from hvd.settings.job_kinds import Kind
from tests.support.loop import eventually

ID = "019ab6b1-0000-7000-8000-000000000001"
PATIENT = 60.0  # s; an end that comes only because time ran out is a failure


def job(**params: Any) -> Job:
    """A job that was claimed for the third time."""
    return Job(
        *(ID, "work", "", params, "running", 0.0, 3, 2, 1.0, 1.0, 1.0, 1.0, None, None, "", [], "here", False, 5)
    )


PUMPS: list[Pump] = []
FOLDERS: list[Path] = []


@pytest.fixture(autouse=True)
def output(tmp_path: Path) -> Iterator[None]:
    """Where what is printed is kept; nothing goes on after a test."""
    FOLDERS[:] = [tmp_path / "output"]
    yield
    while PUMPS:
        PUMPS.pop().close()


def parts() -> dict[str, Any]:
    """What reads an attempt's output, in the test's loop, and what keeps it."""
    if not PUMPS:
        PUMPS.append(Pump(asyncio.get_running_loop()))
    return {"pump": PUMPS[0], "recorder": Recorder(FOLDERS[0], ID, 3, 2**20)}


class Stage:
    """An attempt of a command, or of a shell's script, with all that it told."""

    def __init__(self, script: str | tuple[str, ...], *args: str | Path, grace: float = PATIENT, **kind: Any) -> None:
        self.percents: list[float] = []
        self.ends: list[Attempt] = []
        command = ("sh", "-c", script, *map(str, args)) if isinstance(script, str) else script
        self.attempt = Attempt(
            job(),
            Kind("work", command, **kind),
            **parts(),
            grace=grace,
            changed=lambda attempt: self.percents.append(attempt.percent),
            ended=self.ends.append,
        )

    def start(self, environ: Mapping[str, str] | None = None) -> "Stage":
        self.attempt.start({"PATH": os.environ["PATH"]} if environ is None else environ)
        return self

    async def printed(self, text: str) -> list[str]:
        """What it has printed, once that has this line."""
        await eventually(lambda: text in self.attempt.as_end().output.split("\n"))
        return self.attempt.as_end().output.split("\n")

    async def end(self) -> End:
        """How it ended; it ends once."""
        await eventually(lambda: self.ends)
        await asyncio.sleep(0.05)
        assert self.ends == [self.attempt]
        return self.attempt.as_end()


async def on(script: str, *args: str | Path, **kind: Any) -> Stage:
    """An attempt that has said that it is on."""
    stage = Stage(script, *args, **kind).start()
    await stage.printed("on")
    return stage


async def run(script: str | tuple[str, ...], *args: str | Path, **kind: Any) -> End:
    return await Stage(script, *args, **kind).start().end()
