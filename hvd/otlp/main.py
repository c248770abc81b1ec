"""The exporter's process, a companion (hvd/companion): it sends the figures by OTLP, each interval.

One a machine, whatever the number of workers. While the receiver is away it tries again, with pauses that become
longer; it sends the figures of then, and keeps nothing.
"""

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Sequence

from hvd.companion.child import Child
from hvd.companion.succession import has_newer
from hvd.core.rows import Rows
from hvd.metrics.table import FAMILIES, OTLP
from hvd.otlp.options import ExporterOptions
from hvd.otlp.push import Push
from hvd.otlp.report import ACCEPTED, FAILED, Report
from hvd.read.reading import BlockReader

log = logging.getLogger("hvd.otlp")

FIRST = 2.0  # s after the start: by then the aggregator has published
PAUSE = 5.0  # s after a failure; doubled after each further one, up to the interval
LONGEST_WAIT = 600.0  # s of silence that a receiver can ask for: more would be its mistake
JITTER = 0.2  # by so much of itself a pause varies, so that machines don't come at once to a receiver that is back
LAST = 3.0  # s for the last push at a stop: after 5 s the master kills a companion
TURN = 0.5  # s between two looks at a push
STUCK = 15.0  # s beyond three times the timeout after which this process is replaced: no library ends such a push


class ReceiverStuck(Exception):  # noqa: N818
    """A push neither succeeds nor fails, as where the receiver sends a byte of its answer now and then."""


class Exporter:
    """Makes one push after the other. All of it runs in one asyncio loop; a push has a thread."""

    def __init__(self, child: Child[ExporterOptions]) -> None:
        self._child, self._rows = child, Rows(child.block, child.slot, FAMILIES)
        self._reader = self._make_reader()
        self._report = Report(child.publish, log)
        self._push: Push | None = None
        self._done, self._news = asyncio.Event(), asyncio.Event()
        self._is_stopping = False
        self._failures = 0
        self._wait = 0.0  # s for which the receiver wants nothing

    def _make_reader(self) -> BlockReader:
        child = self._child
        return BlockReader(child.block, runs_jobs=bool(child.options.kinds), stacks=child.stacks)

    async def run(self) -> None:
        """Push until told to stop; then once more, with what has come since."""
        due = time.monotonic() + min(FIRST, self._child.options.interval)
        self._report.begin(self._child.options)
        while not self._is_stopping:
            if await self._has_news(due):
                due = min(due, time.monotonic() + min(FIRST, self._child.options.interval))
                continue
            if self._is_wanted():
                await self._push_once()
            due = self._next(due)
        if self._failures == 0 and self._is_wanted():
            await self._push_once(LAST)

    def stop(self) -> None:
        """Let `run` return soon."""
        self._is_stopping = True
        self._news.set()

    def reload(self) -> None:
        """Go on with the child's options of now; a push on its way is given up."""
        self._reader = self._make_reader()
        if self._push and self._push.receiver:
            self._push.receiver.close()
        self._push, self._failures = None, 0
        self._report.begin(self._child.options)
        self._news.set()

    def _is_wanted(self) -> bool:
        return bool(self._child.options.endpoint) and not has_newer(self._child.block, self._child.slot)

    def _next(self, due: float) -> float:
        """When the next push is due. The rhythm stays; beats that were missed are skipped."""
        interval, now = self._child.options.interval, time.monotonic()
        if self._failures:
            pause: float = min(interval, PAUSE * 2 ** min(self._failures - 1, 10))
            return now + max(pause * random.uniform(1 - JITTER, 1 + JITTER), min(self._wait, LONGEST_WAIT))
        return due + interval * (1 + int(max(0.0, now - due) / interval))

    async def _has_news(self, deadline: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), max(0.0, deadline - time.monotonic()))
        has_news = self._news.is_set()
        self._news.clear()
        return has_news

    async def _push_once(self, patience: float = float("inf")) -> None:
        """A push; other options, and the end of patience, give it up."""
        loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        done = self._done

        def ended() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(done.set)

        receiver = self._push.receiver if self._push else None
        push = self._push = Push(self._reader, self._child.options, receiver, ended)
        push.start()
        limit = STUCK + 3 * self._child.options.timeout
        while not done.is_set() and self._push is push and time.monotonic() - push.began < patience:
            if push.stands_for > limit:
                raise ReceiverStuck(f"{self._child.options.endpoint} neither answers nor fails: starting anew")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), TURN)
            if self._is_stopping and patience == float("inf"):
                patience = time.monotonic() - push.began + LAST
        if done.is_set() and self._push is push:
            self._take(push)

    def _take(self, push: Push) -> None:
        """Count how it ended, and tell it."""
        result = FAILED if push.trouble else ACCEPTED
        self._rows.record(OTLP, (result,), round((time.monotonic() - push.began) * 1e9))
        self._failures = self._failures + 1 if push.trouble else 0
        self._wait = push.wait
        self._report.take(push.trouble, push.refused)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Returns the exit status."""
    status = 0
    try:
        Child("hvd.otlp", (), ExporterOptions, arguments).run(Exporter)
    except ReceiverStuck as error:
        log.error("%s", error)
        status = 1
    # Not by the interpreter, which would wait for threads of gRPC.
    os._exit(status)
