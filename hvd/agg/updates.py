"""`job_update` messages: events of jobs, which workers and the runner send, passed on to the hub's clients.

Only the newest state of a job matters, so states that come faster than they are sent replace each other: clients get
at most two messages a second of a job, the last state among them, and jobs that end by the hundred a second don't delay
the broadcast of the metrics.
"""

import asyncio
import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import cast

from hvd.jobs import events
from hvd.metrics.companion_pages import RecentJob

PAUSE = 0.05  # s between two bursts of messages
SHARE = 0.2  # of the time that sending them may take
BURST = 20  # messages
SPACING = 0.55  # s between two messages of one job: at most two a second, also where they arrive a little unevenly
WAITING = 1000  # jobs whose newest state waits; beyond, the oldest is left out
REMEMBERED = 10_000  # jobs whose last state is known, so that an older one that comes late isn't sent after it
PACKETS = 200  # taken at a time

log = logging.getLogger("hvd.aggregator")


class JobUpdates:
    """Reads events from `reader` and gives `send` each job's newest state. In the event loop's thread only."""

    def __init__(self, reader: socket.socket, send: Callable[[RecentJob], None]) -> None:
        self._reader = reader
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[str, RecentJob] = OrderedDict()
        self._last: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._sent: dict[str, float] = {}  # when (monotonic s) jobs were sent, in the last SPACING s
        self._timer: asyncio.Handle | None = None
        self._loop.add_reader(reader.fileno(), self._take)

    def take(self, jobs: Iterable[RecentJob]) -> None:
        """Note the jobs of another message: nothing older is sent after it, and jobs whose event was lost are sent."""
        for job in jobs:
            self._note(job)
        self._send_soon()

    def _take(self) -> None:
        try:
            for _ in range(PACKETS):
                job = events.receive(self._reader)
                if job is None:
                    break
                self._note(cast(RecentJob, job))
        except EOFError:
            self._loop.remove_reader(self._reader.fileno())
        self._send_soon()

    def _send_soon(self) -> None:
        if self._waiting and self._timer is None:
            self._timer = self._loop.call_soon(self._flush)

    def _note(self, job: RecentJob) -> None:
        """Keep it if it is newer than what is known: by revision, and by progress within one."""
        try:
            name, state = str(job["id"]), (int(job["revision"]), float(job["progress"]))
        except (KeyError, TypeError, ValueError, OverflowError):  # another version of hvd may write, at an upgrade
            return
        if state <= self._last.get(name, (0, -1.0)):
            return
        self._last[name] = state
        self._last.move_to_end(name)
        self._waiting[name] = job
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        while len(self._waiting) > WAITING:
            left_out, _ = self._waiting.popitem(last=False)
            self._last.pop(left_out, None)  # it was not sent: `take` may send it later

    def _flush(self) -> None:
        started = time.monotonic()
        self._sent = {name: sent for name, sent in self._sent.items() if started - sent < SPACING}
        for name in list(islice((name for name in self._waiting if name not in self._sent), BURST)):
            self._sent[name] = started
            try:
                self._send(self._waiting.pop(name))
            except Exception as error:  # whatever another version of hvd has written
                log.warning("an update of job %r can't be sent: %r", name[:40], error)
        pause = max(PAUSE, (time.monotonic() - started) * (1 - SHARE) / SHARE)
        self._timer = self._loop.call_later(pause, self._again)

    def _again(self) -> None:
        self._timer = None
        if self._waiting:
            self._flush()

    def close(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._reader.fileno())
        if self._timer:
            self._timer.cancel()
