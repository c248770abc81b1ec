"""The admin server's process: hvd's app on the admin address.

A companion (hvd/companion). It inherits the socket at which it listens, so that connections wait there while it is
replaced, and both ends of the hand-off, so that upgrades to WebSocket reach the hub.
"""

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from hvd.companion.child import Child
from hvd.companion.succession import has_newer
from hvd.core.rows import Rows
from hvd.daemon.admin.late_jobs import LateJobs
from hvd.daemon.admin.options import EVENTS, HUB, LISTENER, WAKE, WORKERS, AdminOptions
from hvd.daemon.admin.watch import HealthWatch, SaturationWatch
from hvd.daemon.admin.worker import TURN, AdminWorker
from hvd.daemon.clients.pace import Limits
from hvd.metrics.table import FAMILIES
from hvd.read.reading import BlockReader
from hvd.web.app import create_app
from hvd.web.here import Parts, here

log = logging.getLogger("hvd.admin")

REMIND = 60.0  # s until the same failure of a watcher is logged again


class Failures:
    """Logs what fails each 0.25 s, but not as often."""

    def __init__(self) -> None:
        self._logged = float("-inf")

    def log(self, error: Exception) -> None:
        if time.monotonic() - self._logged > REMIND:
            self._logged = time.monotonic()
            log.error("watching the service failed", exc_info=error)


class AdminServer:
    """All of it runs in the main thread, but for the requests."""

    def __init__(self, child: Child[AdminOptions]) -> None:
        self._child = child
        self._jobs = LateJobs(child.options.settings, child.descriptor(WAKE), child.socket(EVENTS))
        here.fill(self._parts())
        app, limits = create_app(here, admin=True), Limits.of(child.options.settings)
        self._worker = AdminWorker(child.socket(LISTENER), app, limits, self._turn)
        self._has_news = True
        self._next_look = 0.0
        self._is_newest = True
        self._watchers: list[Callable[[], None]] = [
            SaturationWatch(BlockReader(child.block), child.publish),
            HealthWatch(child.block, lambda: here.parts.reader.vitals().health, lambda: self._is_newest),
        ]
        self._failures = Failures()

    def _parts(self) -> Parts:
        child, settings = self._child, self._child.options.settings
        rows, ends = Rows(child.block, child.slot, FAMILIES), (child.socket(WORKERS), child.socket(HUB))
        return Parts(settings, child.block, rows, self._reader(), *ends, child.options.since, self._jobs.service())

    def _reader(self) -> BlockReader:
        child = self._child
        return BlockReader(child.block, runs_jobs=bool(child.options.settings.job_kinds), stacks=child.stacks)

    def run(self) -> None:
        """Serve until SIGTERM."""
        signal.signal(signal.SIGHUP, self._note_news)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        self._worker.init_process()

    def _note_news(self, signum: int, frame: object) -> None:
        self._has_news = True

    def _turn(self) -> None:
        """At each turn of the loop, of which there are many while requests come."""
        if self._has_news:
            self._has_news = False
            self._reload()
        if (now := time.monotonic()) >= self._next_look:
            self._next_look = now + TURN
            self._look()

    def _look(self) -> None:
        self._child.beat()
        self._is_newest = not has_newer(self._child.block, self._child.slot)
        self._worker.stand_back(not self._is_newest)
        for watch in self._watchers:
            try:
                watch()
            except Exception as error:  # what it watches is not worth its end
                self._failures.log(error)

    def _reload(self) -> None:
        if self._child.reload():
            settings = self._child.options.settings
            self._jobs.take(settings)
            self._worker.take_limits(Limits.of(settings))
            here.parts = replace(here.parts, settings=settings, reader=self._reader(), jobs=self._jobs.service())


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM. Returns the exit status."""
    child = Child("hvd.daemon.admin", (LISTENER, HUB, WORKERS, EVENTS, WAKE), AdminOptions, arguments)
    server = AdminServer(child)
    gc.freeze()  # what is loaded by now stays: the collector need not look at it again
    server.run()
    # Not by the interpreter, which would wait for threads that serve a client who sends nothing more.
    os._exit(0)
