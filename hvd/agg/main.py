"""The aggregator process: adds the rows up, observes the processes, publishes, broadcasts.

A companion (hvd/companion) that inherits the hub's end of the hand-off and the reader's end of the job events.
"""

import asyncio
import contextlib
import gc
import logging
import os
import time
from collections.abc import Sequence
from typing import cast

from hvd.agg.client import Limits
from hvd.agg.hub import Hub
from hvd.agg.options import EVENTS, HANDOFF, AggregatorOptions
from hvd.agg.tick import Ticker, message
from hvd.agg.updates import JobUpdates
from hvd.companion.child import Child
from hvd.core.rows import Rows
from hvd.metrics.companion_pages import RecentJob
from hvd.metrics.table import FAMILIES
from hvd.read.jobs import job_for_clients
from hvd.read.snapshot import Raw
from hvd.texts import rfc3339

log = logging.getLogger("hvd.aggregator")

LEAD = 0.1  # s before a tick at which sizes of processes begin to be read, so that those of new ones are there in time
WARM_UP = 0.2  # s between the first sample and the first tick: CPU use is a difference of two samples


class Aggregator:
    """Runs the ticks. All of it runs in one asyncio loop."""

    def __init__(self, child: Child[AggregatorOptions]) -> None:
        self._child = child
        options, rows = child.options, Rows(child.block, child.slot, FAMILIES)
        self._ticker = Ticker(
            child.block,
            child.slot,
            rows,
            child.publish,
            interval=options.interval,
            runs_jobs=options.runs_jobs,
            clients=lambda: self.hub.clients,
            tasks=lambda: len(asyncio.all_tasks()),
            watchers=lambda: self.hub.detailed_clients,
            stacks=child.stacks,
            name=options.name,
        )
        self._updates: JobUpdates | None = None
        self._is_stopping = False
        self._news = asyncio.Event()  # there are other options, or it is to stop
        self.hub = Hub(
            rows=rows,
            greeting=self._greeting,
            limits=Limits(options.ping_interval, options.ping_timeout),
            max_clients=options.max_clients,
        )
        self.hub.set_access(options.access)

    async def run(self) -> None:
        """Tick until told to stop, then close the clients' connections."""
        log.debug("aggregator %d ready", os.getpid())
        hub_end, event_reader = self._child.socket(HANDOFF), self._child.socket(EVENTS)
        with contextlib.closing(self._ticker):
            self._ticker.observe()
            self._ticker.measure()
            self._ticker.own.pin(self._child.options.pinned.splitlines())
            await asyncio.sleep(min(WARM_UP, self._child.options.interval))
            self.tick()
            self.hub.listen(hub_end)
            self._updates = JobUpdates(event_reader, self._send_update)
            await self._tick_until_stopped()
            self._ticker.tick(is_last=True)
            self._updates.close()
            await self.hub.close()

    def stop(self) -> None:
        """Let `run` return soon."""
        self._is_stopping = True
        self._news.set()

    def reload(self) -> None:
        """Apply the child's new options; clients stay connected, even if fewer are allowed."""
        options = self._child.options
        self._ticker.configure(options.interval, runs_jobs=options.runs_jobs)
        self._ticker.own.pin(options.pinned.splitlines())
        self.hub.set_limits(options.max_clients, options.ping_interval, options.ping_timeout)
        self.hub.set_access(options.access)
        self._news.set()

    async def _tick_until_stopped(self) -> None:
        due = float("inf")
        while not self._is_stopping:
            self._news.clear()
            interval = self._child.options.interval
            due = min(due, time.monotonic() + interval)
            if await self._is_interrupted(due - min(LEAD, interval / 4)):
                continue
            self._ticker.measure()
            if await self._is_interrupted(due):
                continue
            self.tick()
            late = time.monotonic() - due
            due += interval * (1 + int(late // interval))  # beats that were missed are skipped, the rhythm stays

    async def _is_interrupted(self, deadline: float) -> bool:
        """Wait until `due` (monotonic) -> whether news came before."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), max(0.0, deadline - time.monotonic()))
        return self._news.is_set()

    def tick(self) -> None:
        """Make a tick's figures, and send them."""
        self._take_jobs(self._ticker.tick())
        self._ticker.timed("broadcast", lambda: self.hub.broadcast(self._ticker.first_messages[0]))
        if self.hub.detailed_clients:
            self.hub.broadcast(self._ticker.detail, detailed=True)

    def _greeting(self, detailed: bool) -> tuple[str, ...]:
        """A new client's first messages, with the counts of now; clients that come together share them."""
        self._take_jobs(self._ticker.refresh())
        messages = self._ticker.first_messages
        return (*messages, self._ticker.detail) if detailed else messages

    def _take_jobs(self, raw: Raw | None) -> None:
        if raw and self._updates:
            self._updates.take(cast(list[RecentJob], raw["recent_jobs"]))  # each has the fields of one, and more

    def _send_update(self, job: RecentJob) -> None:
        self.hub.broadcast(message("job_update", rfc3339(time.time_ns()), job_for_clients(job)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Returns the exit status."""
    child = Child("hvd.agg", (HANDOFF, EVENTS), AggregatorOptions, arguments)
    gc.freeze()  # what is loaded by now stays: the collector need not look at it again
    return child.run(Aggregator)
