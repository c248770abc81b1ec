"""The database asked from the runner's loop."""

import asyncio
import threading

import pytest

from hvd.errors import JobsError, StoreUnavailable
from hvd.jobs.run import context
from tests.support.loop import in_loop
from tests.unit.jobs.run.running import Scenes


@in_loop
async def test_the_loop_goes_on_while_the_database_works(scene: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the result, or the error; and an error where there is no answer in time."""
    async with scene("true") as stage:
        await stage.stop()
        shared = context.Context(stage.queue, stage.runner.context.options)
        going_on = threading.Event()
        asyncio.get_running_loop().call_later(0.05, going_on.set)
        assert await shared.ask(lambda: going_on.wait(10))

        def fail() -> None:
            raise StoreUnavailable("disk full")

        with pytest.raises(StoreUnavailable, match="disk full"):
            await shared.ask(fail)
        going_on.clear()
        monkeypatch.setattr(context, "RUNNER_ANSWER", 0.05)
        with pytest.raises(JobsError, match=r"has not answered for 0\.05 s"):
            await shared.ask(lambda: going_on.wait(10))
        going_on.set()
        shared.close()
