"""The slots of a master's workers: taken before the fork, settled after the end."""

import os
from typing import Any

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.daemon.deaths import TIMEOUT, UNKNOWN, Settler, cause_of
from hvd.settings.table import SLOTS_SPARE


class WorkerSlots:
    """Those of one master. Used in its main thread."""

    def __init__(self, block: Block, slots: Slots, settler: Settler) -> None:
        self._block, self._slots, self._settler = block, slots, settler
        self._forking: Any = None
        self._statuses: dict[int, str] = {}

    @property
    def most(self) -> int:
        """How many workers the block has room for, and for those that take their places at a reload."""
        return max(1, self._block.layout.slots - layout.COMPANION_SLOTS - SLOTS_SPARE)

    def before_fork(self, worker: Any) -> None:
        """Give the worker its slot. Raises NoFreeSlot, BlockError: then it is not forked."""
        if self._forking is worker:
            return
        worker.hvd_slot = self._slots.claim(layout.KIND_WORKER, os.getpid())
        self._forking = worker
        worker.hold_signals()

    def after_fork(self, has_failed: bool) -> None:
        """In the master, once `before_fork` was called, or not: a worker that could not be forked needs no slot."""
        worker, self._forking = self._forking, None
        if worker is None:
            return
        worker.let_signals()
        if has_failed:
            self._slots.free(worker.hvd_slot)

    def note_status(self, pid: int, status: int) -> None:
        """A worker was reaped, with this status of waitpid(2)."""
        self._statuses[pid] = cause_of(os.waitstatus_to_exitcode(status))

    def settle(self, worker: Any) -> None:
        """A worker was reaped: its slot is settled."""
        status = self._statuses.pop(worker.pid, UNKNOWN)
        cause = TIMEOUT if worker.aborted else status
        self._settler.settle_slot(worker.hvd_slot, worker.pid, cause, status)
