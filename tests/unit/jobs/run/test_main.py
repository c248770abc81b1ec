"""The runner as the work of a companion; its turns have tests of their own."""

import asyncio
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hvd.core.block import Block
from hvd.jobs import events
from hvd.jobs.options import RunnerOptions
from hvd.jobs.run.main import ORPHANED_GRACE, JobRunner, Publisher
from tests.support.loop import in_loop
from tests.unit.jobs.support import kinds


class Child:
    """A companion's child side, without a process of its own."""

    def __init__(self, block: Block, folder: Path) -> None:
        self.block, self.is_orphan = block, False
        url = f"sqlite:///{folder}/jobs.sqlite3"
        self.options = RunnerOptions("info", url, str(folder), "a", 2, 30.0, 15.0, 7.0, kinds(), 2**20)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._writers, self._reader = events.socket_pair()
        self.pages: list[dict[str, Any]] = []

    def descriptor(self, name: str) -> int:
        assert name == "wake"
        return self._wake

    def socket(self, name: str) -> socket.socket:
        assert name == "events"
        return self._writers

    def publish(self, page: dict[str, Any]) -> None:
        self.pages.append(page)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._wake)
        self._writers.close()
        self._reader.close()
        os.close(self._wake)


@pytest.mark.parametrize("is_orphan", [False, True])
@in_loop
async def test_it_runs_until_it_is_stopped(block: Block, tmp_path: Path, is_orphan: bool) -> None:
    """With its counts published, woken by workers, and with less time for its jobs once the master is gone."""
    child = Child(block, tmp_path)
    work = JobRunner(child)  # type: ignore[arg-type]
    runner = work._turns
    running = asyncio.create_task(work.run())
    woken = asyncio.Event()
    runner.wake = woken.set  # type: ignore[method-assign]
    os.eventfd_write(child.descriptor("wake"), 3)
    await asyncio.wait_for(woken.wait(), 10)
    child.options = replace(child.options, lease=33.0)
    work.reload()
    assert runner.context.options.lease == 33.0
    child.is_orphan = is_orphan
    work.stop()
    await asyncio.wait_for(running, 10)
    assert runner.stop_grace == (ORPHANED_GRACE if is_orphan else None)
    assert child.pages[-1]["page"] == "jobs"
    child.close()


def test_figures_that_are_too_long_lose_recent_jobs(caplog: pytest.LogCaptureFixture) -> None:
    """As many as must be; where that is not enough, those of before stay, and it is said once."""
    room, pages = 4, []

    def publish(page: dict[str, Any]) -> None:
        if len(page["recent"]) + page["kinds"] > room:
            raise ValueError("too long")
        pages.append(page)

    publisher = Publisher(publish)
    publisher({"recent": [*range(10)], "kinds": 0})
    assert pages[0]["recent"] == [0, 1]
    for _ in range(2):
        publisher({"recent": [*range(10)], "kinds": 5})
    assert len(pages) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "use fewer kinds of job" in record.getMessage()
