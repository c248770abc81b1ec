"""hvd in the gunicorn master (the arbiter): owns the block, hands out slots, looks after companions.

gunicorn has no hooks for "each turn of the main loop", "before a child is reaped" and "before the workers are
stopped", so the arbiter instance's `manage_workers`, `reap_workers` and `stop` are wrapped. They are not public API:
read in gunicorn 27.0.1, arbiter.py; tests/unit/test_master.py fails if they change.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from hvd.agg import handoff
from hvd.agg.main import Options
from hvd.companions import Companion, Companions
from hvd.core import layout as at
from hvd.core.block import acquire
from hvd.core.catalogue import Catalogue
from hvd.core.layout import Layout
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.deaths import TIMEOUT, UNKNOWN, Undertaker, cause_of
from hvd.errors import HvdError
from hvd.metrics import TIMED_CELLS
from hvd.runtime import Worker
from hvd.settings import Settings
from hvd.view import View

SPARE_ROWS = 4  # beside one for each thread: threads that an app starts itself, and the shared row
NO_SLOT_PAUSE = 1.0  # s that a worker without a slot waits before it ends and gunicorn tries again


class Master:
    """What hvd keeps in a master. All of it runs in the master's main thread."""

    def __init__(self, server: Any, settings: Settings) -> None:
        layout = Layout(
            settings.slots + at.COMPANION_SLOTS, settings.threads + SPARE_ROWS, settings.max_series, TIMED_CELLS
        )
        self._server = server
        self.settings = settings
        upgrade = server.master_pid != 0
        self.block, existed = acquire(
            f"hvd-{settings.instance}", layout, upgrade=upgrade, waiting=lambda message: server.log.warning(message)
        )
        Catalogue(self.block).refresh()  # a damaged one is refused before anything is changed
        self._slots = Slots(self.block)
        self._undertaker = Undertaker(self.block, server.log)
        self._statuses: dict[int, str] = {}
        self._worker_end, self._hub_end = handoff.channel()
        self._made = not existed
        if existed and not upgrade:
            self._take_over()
        with self.block.locked():
            Catalogue(self.block).reserve_overflow()
            self.block.add_master(os.getpid())
        self._companions = Companions(self.block, self._undertaker, server.log)
        self._companions.add(self._aggregator())

    def _take_over(self) -> None:
        """The block of a daemon that is gone: what it had in progress is aborted, its totals go on."""
        self._server.log.warning("Taking over block %s of a daemon that was killed; totals go on", self.block.name)
        for slot in list(self._slots.taken()):
            self._undertaker.bury(slot.number, slot.pid, UNKNOWN)
        cells = self.block.cells
        cells[at.H_STARTED_WALL], cells[at.H_STARTED_MONO] = time.time_ns(), time.monotonic_ns()
        for index in range(at.MASTERS):
            cells[at.H_MASTERS + index] = 0

    def _aggregator(self) -> Companion:
        return Companion(
            "aggregator", at.KIND_AGGREGATOR, self._aggregator_command, (self.block.fd, self._hub_end.fileno())
        )

    def _aggregator_command(self, slot: int) -> list[str]:
        numbers = {
            "--block-fd": self.block.fd,
            "--handoff-fd": self._hub_end.fileno(),
            "--slot": slot,
            "--master": os.getpid(),
        }
        command = [
            sys.executable,
            "-P",
            "-m",
            "hvd.agg",
            "--name",
            self.block.name,
            "--options",
            self._options().to_json(),
        ]
        return command + [text for name, number in numbers.items() for text in (name, str(number))]

    def _options(self) -> Options:
        settings = self.settings
        return Options(
            settings.interval, settings.ping_interval, settings.ping_timeout, settings.max_clients, settings.log_level
        )

    def watch(self) -> None:
        """Wrap the arbiter's methods, so that its loop looks after the companions and children are seen to die."""
        server = self._server
        manage, reap, stop = server.manage_workers, server.reap_workers, server.stop

        def manage_workers() -> None:
            manage()
            self._safely(self._look_after)

        def reap_workers() -> None:
            self._safely(self._companions.note_ends)
            self._reap(reap)
            self._safely(self._companions.look_after)

        def stop_workers(graceful: bool = True) -> None:
            self._companions.stopping = True
            stop(graceful)

        server.manage_workers, server.reap_workers, server.stop = manage_workers, reap_workers, stop_workers

    def _safely(self, work: Callable[[], None]) -> None:
        """An exception here would end gunicorn's main loop, and every worker with it."""
        try:
            work()
        except Exception:
            self._server.log.exception("hvd: looking after the processes failed")

    def _look_after(self) -> None:
        self._companions.look_after()
        self._undertaker.sweep({*self._server.WORKERS, *self._companions.pids})

    def _reap(self, reap: Callable[[], None]) -> None:
        """Note how workers ended: gunicorn does not tell its hooks what it has of waitpid(2).

        To ask the kernel before it does would miss a worker that ends in between. The master has no other thread.
        """
        wait = os.waitpid

        def noting(pid: int, options: int) -> tuple[int, int]:
            found, status = wait(pid, options)
            if found in self._server.WORKERS:
                self._statuses[found] = cause_of(os.waitstatus_to_exitcode(status))
            return found, status

        os.waitpid = noting
        try:
            reap()
        finally:
            os.waitpid = wait

    def reserve_slot(self, worker: Any) -> None:
        """Before the fork: the worker gets a slot, or, where there is none, is told so after it."""
        try:
            worker.hvd_slot = self._slots.claim(at.KIND_WORKER, os.getpid())
        except HvdError as error:
            worker.hvd_slot = None
            self._server.log.error("hvd: %s", error)

    def enter_worker(self, worker: Any) -> Worker:
        """After the fork, in the worker: its parts. A worker without a slot could not count, so it ends."""
        if worker.hvd_slot is None:
            time.sleep(NO_SLOT_PAUSE)
            sys.exit(1)
        self._slots.name_process(worker.hvd_slot, os.getpid())
        self._hub_end.close()
        return Worker(self.settings, self.block, Rows(self.block, worker.hvd_slot), View(self.block), self._worker_end)

    def bury(self, worker: Any) -> None:
        """A worker was reaped."""
        status = self._statuses.pop(worker.pid, UNKNOWN)
        if worker.hvd_slot is not None:
            cause = TIMEOUT if worker.aborted else status
            self._safely(lambda: self._undertaker.bury(worker.hvd_slot, worker.pid, cause, status))

    def reload(self, settings: Settings) -> None:
        """The settings after HUP. The aggregator, and its clients' connections, stay unless its options changed."""
        before, self.settings = self._options(), settings
        if self._options() != before:
            self._companions.replace()

    def give_up(self) -> None:
        """The start failed: a block made for it goes; one that was taken over keeps its totals for the next start."""
        if self._made:
            self.leave()
            return
        with self.block.locked():
            self.block.drop_master(os.getpid())

    def leave(self) -> None:
        """The workers are gone: end the companions, and remove the block unless another master goes on with it."""
        self._companions.stop()
        with self.block.locked():
            self.block.drop_master(os.getpid())
        self.block.remove_if_last()
