"""The job runner's process, a companion (hvd/companion): takes options over, is woken by workers, publishes counts."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hvd.companion.child import Child, as_json
from hvd.core.proc import PR_SET_CHILD_SUBREAPER, prctl
from hvd.jobs.database.connection import Database
from hvd.jobs.database.leases import Runner
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.totals import daemon_name, short_name
from hvd.jobs.options import EVENTS, WAKE, RunnerOptions
from hvd.jobs.run.turns import TurnLoop
from hvd.metrics.companion_pages import JOBS_PAGE
from hvd.read.reading import BlockReader
from hvd.settings.variables import inherited

ORPHANED_GRACE = 2.0  # s that jobs get when the master was killed: the next start waits for us to be gone

log = logging.getLogger("hvd.jobs")


class Publisher:
    """Publishes the runner's figures, by `publish`, which raises ValueError where they are too long."""

    def __init__(self, publish: Callable[[Mapping[str, Any]], None]) -> None:
        self._publish = publish
        self._has_warned = False

    def __call__(self, figures: Mapping[str, object]) -> None:
        """Publish them, with fewer recent jobs where not all find room."""
        page: dict[str, Any] = {**figures, "page": JOBS_PAGE, "monotonic_ns": time.monotonic_ns()}
        while True:
            try:
                self._publish(page)
                return
            except ValueError:
                if not page.get("recent"):  # hundreds of kinds, each with all its durations
                    self._warn(len(as_json(page)))
                    return
                page["recent"] = page["recent"][: len(page["recent"]) // 2]

    def _warn(self, size: int) -> None:
        if not self._has_warned:
            log.error("%d bytes of counts don't fit: those of before stay; use fewer kinds of job", size)
        self._has_warned = True


class JobRunner:
    """A runner, as the work of a companion. All of it in one event loop."""

    def __init__(self, child: Child[RunnerOptions]) -> None:
        self._child, self._stopping = child, asyncio.Event()
        options = child.options
        queue = Queue(
            Database(options.database_url),
            Runner.here(),
            daemon_name(options.database_url, options.state_dir, options.instance),
            options.lease,
        )
        queue.leases.name_before = short_name(options.database_url, options.instance)
        self._turns = TurnLoop(
            queue,
            options,
            environ={**inherited(), "HVD_INSTANCE": options.instance},
            events=child.socket(EVENTS),
            publish=Publisher(child.publish),
            figures=BlockReader(child.block, runs_jobs=True).companions().jobs,
        )
        asyncio.get_running_loop().add_reader(child.descriptor(WAKE), self._wake)

    def _wake(self) -> None:
        os.eventfd_read(self._child.descriptor(WAKE))
        self._turns.wake()

    async def run(self) -> None:
        """Take and run jobs until told to stop; then end what runs."""
        await self._turns.run(self._stopping)

    def reload(self) -> None:
        """Go on with the child's options of now; jobs that run go on as they were started."""
        self._turns.take(self._child.options)

    def stop(self) -> None:
        """Let `run` return once the jobs that run are ended."""
        if self._child.is_orphan:
            self._turns.stop_grace = min(ORPHANED_GRACE, self._child.options.grace)
        self._stopping.set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Returns the exit status."""
    child = Child("hvd.jobs", (EVENTS, WAKE), RunnerOptions, arguments, at_masters_death=signal.SIGTERM)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    return child.run(JobRunner)
