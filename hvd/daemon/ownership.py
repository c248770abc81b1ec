"""A master and its block: how it comes by it, keeps its name, passes it on, and leaves it.

What it passes on to the master that an upgrade (USR2) starts are the block and its claim to it, as descriptors, as
gunicorn does with its listeners (GUNICORN_FD): by name the new master would find no block, or another one, where the
name was removed.
"""

import os
import time
from collections.abc import MutableMapping
from typing import Any

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from hvd.core.locks import Passed
from hvd.core.own.catalogue import OwnCatalogue
from hvd.core.own.store import own_store
from hvd.core.slots import Slots
from hvd.daemon.deaths import Settler, unreaped_cause
from hvd.daemon.kept.keeper import Keeper
from hvd.errors import BlockFull, BlockLocked, NoFreeSlot
from hvd.metrics import children
from hvd.metrics.events import clear_ends
from hvd.metrics.table import FAMILIES
from hvd.settings.table import THREADS_MAX, Settings

VARIABLE = "_HVD_PASSED"  # not HVD_, which would make it a setting
SPARE_ROWS = 4  # beside one for each thread: threads that an app starts itself, and the shared row


class Ownership:
    """One master's. Used in its main thread.

    `block` is made, taken over from a daemon that was killed, or shared with the master that an upgrade replaces;
    `was_made` says which, `follows_crash` that its daemon was killed.
    """

    follows_crash = False

    def __init__(self, server: Any, settings: Settings) -> None:
        """Raises BlockError where there can't be a block, or not this one."""
        slots, rows = settings.slots + layout.COMPANION_SLOTS, min(settings.threads, THREADS_MAX) + SPARE_ROWS
        shape = Layout(slots, rows, settings.max_series, TIMED_CELLS, settings.entries, settings.own_series)
        self._log = server.log
        self._pid = os.getpid()
        self._is_nameless = False
        self._slot: int | None = None
        self._is_upgrade = server.master_pid != 0
        self.keeper = Keeper(settings, server.log)
        self.block, existed = acquire(
            f"hvd-{settings.instance}",
            shape,
            upgrade=self._is_upgrade,
            passed=receive(server.cfg.env_orig),
            warn=lambda message: server.log.warning("hvd: %s", message),
            check=_check_catalogues,
            fill=self.keeper.fill,
        )
        self.was_made = not existed

    def begin(self, settler: Settler, slots: Slots, workers: int) -> None:
        """Make the block ready for that many workers; settle first what a daemon that was killed has left in it."""
        if not self.was_made and not self._is_upgrade:
            self._take_over(settler, slots)
        with self.block.locked():
            Catalogue(self.block, FAMILIES.all).add_families()
            slots.prepare(workers)
            self.block.add_master(self._pid)
        self._count_own_metrics(slots)

    def _count_own_metrics(self, slots: Slots) -> None:
        """Take a slot for what the app counts in this process, as at its import with preload_app."""
        try:
            self._slot = slots.claim(layout.KIND_MASTER, self._pid, self._pid)
            own_store.attach(self.block, self._slot)
        except (BlockFull, BlockLocked, NoFreeSlot) as error:
            self._log.warning("hvd: what the app counts in the master is not shown: %s", error)
        else:
            children.let_join(self.block)

    def _take_over(self, settler: Settler, slots: Slots) -> None:
        if self.block.masters():
            self.follows_crash = True
            self._log.warning("Taking over block %s of a daemon that was killed; totals go on", self.block.name)
        else:
            self._log.info("Going on with block %s, which the stop before left for its counts", self.block.name)
        joined = {slot.number for slot in slots.joined()}  # they live, and count on
        for slot in list(slots.taken()):
            if slot.number not in joined:
                settler.settle_slot(slot.number, slot.pid, unreaped_cause(slot))
        if not self.follows_crash:
            clear_ends(self.block)
        cells = self.block.cells
        cells[layout.H_STARTED_WALL], cells[layout.H_STARTED_MONO] = time.time_ns(), time.monotonic_ns()
        for index in range(layout.MASTERS):
            cells[layout.H_MASTERS + index] = 0

    def keep_name(self) -> None:
        """See that the block has its name: without it, a start after a crash would not find it, and begin at 0."""
        name, was_nameless = self.block.file_name, self._is_nameless
        if name.holds():
            self._is_nameless = False
            name.keep_spare()  # the workers of another master that was killed have dropped it
            return
        self._is_nameless = not name.restore()
        if not self._is_nameless:
            self._log.warning("hvd: the block's name %s had been removed, and is there again", name.path)
        elif not was_nameless:
            self._log.error(
                "hvd: the block's name %s was removed (rm, logind's RemoveIPC, a reader?) and can't be restored; "
                "hvd goes on, through upgrades (USR2) too, but should it be killed, its totals are lost: restart it",
                name.path,
            )

    def leave(self, *, has_served: bool) -> bool:
        """Remove the block, unless another master goes on with it. -> whether there is no other one.

        Its totals are written to a file first, see kept/keeper.py. It stays where that fails, and while joined
        processes count in it; the last of them removes it (hvd/instrument/joining.py). It also stays where a start
        failed that had taken it over: the next one goes on with its totals.
        """
        self.block.drop_master(self._pid)
        if self._slot is not None:  # the other master settles it, or the next
            Slots(self.block).say_ready(self._slot, children.ENDING)
        if self.was_made or has_served:
            return self.block.remove_if_last(
                lambda: any(Slots(self.block).joined()), lambda: not has_served or self.keeper.keep(self.block)
            )
        return not self._is_upgrade


def _check_catalogues(block: Block) -> None:
    """Raises BlockForeign where one of them is damaged."""
    Catalogue(block, FAMILIES.all).refresh()
    OwnCatalogue(block).refresh()


def pass_on(block: Block, environ: MutableMapping[str, str]) -> None:
    """Pass both on to the program that this process is about to execute with that environment.

    The block has a lock of its own then: the old master may stop before the new one runs, and must not remove it.
    """
    passed = Passed(block.share(), block.claim)
    for fd in passed:
        os.set_inheritable(fd, True)
    environ[VARIABLE] = f"{os.getpid()}:{passed.block}:{passed.claim}"


def receive(environ: MutableMapping[str, str]) -> Passed | None:
    """What another master has passed by the environment to the process with this pid; None: nothing."""
    pid, *fds = environ.pop(VARIABLE, "").split(":")
    return Passed(*map(int, fds)) if pid == str(os.getpid()) else None
