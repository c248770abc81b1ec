"""What happens when a process of the daemon has died: its rows are settled, its end is counted, logged and kept.

Only masters do this, each for its own children, and for what a dead master has left.

A request is counted as aborted first, and under its cause second, by its process as by a master. So a death between
the two leaves requests aborted without a cause; the sums show how many. The next master that settles the slot counts
those, and none twice. The slot stays taken until then.
"""

import faulthandler
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from hvd.core import layout, postmortem
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue, Family
from hvd.core.locks import LOCK_WAIT
from hvd.core.own.store import own_store
from hvd.core.proc import is_alive
from hvd.core.slots import Entry, Settled, Slot, Slots, mark_used, settle, used_heads
from hvd.core.stacks import StackFile
from hvd.daemon.ends import End, Ends
from hvd.daemon.stacks.workers import Stacks
from hvd.errors import BlockLocked
from hvd.metrics.table import ABORTED, CONNECTIONS, ENDS, EXITS, FAMILIES
from hvd.read.frames import Frame, describe
from hvd.read.requests import request_of
from hvd.read.stacks import Crash, StacksOfDead
from hvd.settings.table import SLOTS_SPARE
from hvd.texts import escaped, rfc3339

UNKNOWN_CAUSE = "unknown"
EXIT = "exit"
"""Of a joined process or a master, which has said that it ends; its exit status is for its parent."""
TIMEOUT = "timeout"
STOPS = {signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL}
ASKED = {"exit 0", "SIGALRM", UNKNOWN_CAUSE}
"""How a worker ends beside that, once its master has asked for it: in time, or later than it had leave to."""
LOGGED = 16  # requests that the log's line of a death tells; the post-mortem has more


def exit_cause(info: os.waitid_result | None) -> str:
    """How a process ended, from waitid(2): a signal's name, or "exit N"; "unknown" without an answer."""
    if info is None:
        return UNKNOWN_CAUSE
    return cause_of(info.si_status if info.si_code == os.CLD_EXITED else -info.si_status)


def cause_of(code: int) -> str:
    """The same, from what os.waitstatus_to_exitcode gives: the exit status, or minus the signal."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def unreaped_cause(slot: Slot) -> str:
    """How a process ended that no master has reaped."""
    has_said = slot.kind in (layout.KIND_JOINED, layout.KIND_MASTER) and slot.threads < 0
    return EXIT if has_said else UNKNOWN_CAUSE


class _How(NamedTuple):
    """How a process ended, see `Settler.settle_slot`."""

    cause: str
    status: str
    is_wanted: bool
    peak: int | None
    reported_cause: str


class Settler:
    """Settles, counts and frees the slots of dead processes. One thread of a master uses it."""

    def __init__(self, block: Block, log: logging.Logger, stacks: StackFile | None = None) -> None:
        """`stacks` is the file in which processes leave where their threads stand."""
        self._block = block
        self._stacks = StacksOfDead(block, stacks)
        self._slots = Slots(block)
        self._catalogue = Catalogue(block, FAMILIES.all)
        self._log = log
        self._unsettled: list[Callable[[], None]] = []
        self.ends = Ends(block, os.getpid())

    def settle_slot(
        self,
        number: int,
        pid: int,
        cause: str,
        exit_status: str = "",
        *,
        taken_ns: int = 0,
        is_wanted: bool = False,
        peak: int | None = None,
        reported_cause: str = "",
    ) -> None:
        """Settle the slot of a dead process, which ended of this cause.

        `exit_status` says how, where `cause` alone doesn't; `is_wanted`: its master wanted the end; `peak` is the most
        memory that it used, in bytes; `reported_cause` is for people, where it differs from the cause that is counted.

        Nothing happens if the slot is free, or another process's by now. That process may have no pid in the slot yet:
        a caller that did not hand the slot out itself says when it was taken, by `taken_ns` (monotonic).

        Put off to the next sweep where another process keeps the block locked.
        """
        how = _How(cause, exit_status or cause, is_wanted, peak, reported_cause or cause)
        self._unsettled.append(partial(self._settle_slot, number, pid, taken_ns, how))
        if len(self._unsettled) == 1:  # else this turn of the master's loop has waited for the lock already
            self._settle_all()

    def _settle_all(self) -> None:
        try:
            with self._block.locked(LOCK_WAIT):
                while self._unsettled:
                    self._unsettled.pop(0)()
        except BlockLocked as error:
            self._log.warning("hvd: settling ended processes is put off: %s", error)
        self.ends.tell()

    def _settle_slot(self, number: int, pid: int, taken_ns: int, how: _How) -> None:
        slot = self._slots.get(number)
        if slot is None or slot.pid not in (0, pid) or taken_ns not in (0, slot.taken_ns):
            return
        settled, cause = settle(self._block, number), how.cause
        end = End(slot, pid, how.reported_cause, how.status, settled.aborted, how.is_wanted or cause == EXIT, how.peak)
        self._count(number, EXITS, (slot.kind_name, cause), 1)
        self._count(number, ENDS, (slot.kind_name, end.how), 1)
        self.ends.count(end)
        if (causeless := self._causeless(number)) > 0:
            self._count(number, ABORTED, (cause,), causeless)
        self._close_connections(number)
        if cause != TIMEOUT and (crash := self._stacks.crash(number)):  # else the master has aborted it
            self._report_crash(slot, crash)
        if settled.aborted:
            self._report(slot, cause, how.status, settled)
        self._slots.free(number)

    def _report_crash(self, slot: Slot, crash: Crash) -> None:
        """Log the crash; its whole text where the user has enabled faulthandler, and looks for it in standard error."""
        where = escaped(describe(crash.frames) or "no Python code", "ascii")
        self._log.error("hvd: %s (pid:%d) crashed (%s) at %s", slot.kind_name, slot.pid, crash.reason, where)
        if faulthandler.is_enabled():
            self._log.error("hvd: the whole dump:\n%s", escaped(crash.text, "ascii", keep="\n"))

    def _close_connections(self, number: int) -> None:
        """What the process had open is closed with it: it counts as such, without a duration."""
        cells, heads = self._block.cells, used_heads(self._block, number)
        for series in [series for series in self._catalogue.series if series.family == CONNECTIONS.key]:
            opened, closed = (sum(cells[head + series.offset + cell] for head in heads) for cell in range(2))
            if opened > closed:
                cells[heads[0] + series.offset + 1] += opened - closed

    def _causeless(self, number: int) -> int:
        """How many requests the slot's rows count as aborted and not under any cause."""
        self._catalogue.refresh()
        offsets = [series.offset for series in self._catalogue.series if series.family == ABORTED.key]
        cells = self._block.cells
        return sum(
            cells[head + layout.R_ABORTED] - sum(cells[head + offset] for offset in offsets)
            for head in used_heads(self._block, number)
        )

    def _count(self, number: int, family: Family, labels: tuple[str, ...], by: int) -> None:
        head = self._block.layout.row_cell(number, 0)  # reserved when the slot was taken
        self._block.cells[head + self._catalogue.get_or_add(family, labels).offset] += by
        mark_used(self._block, number, 0)

    def _report(self, slot: Slot, cause: str, exit_status: str, settled: Settled) -> None:
        about: dict[str, Any] = {
            "time": rfc3339(time.time_ns()),
            "kind": slot.kind_name,
            "pid": slot.pid,
            "cause": cause,
            "signal": exit_status if exit_status.startswith("SIG") else None,
            "exit_status": int(exit_status.split()[1]) if exit_status.startswith("exit ") else None,
            "aborted": settled.aborted,
        }
        entries = sorted(settled.entries, key=lambda entry: entry.begin_ns)
        oldest = {entry.thread: entry for entry in reversed(entries)}  # of a thread with many, one gets its stack
        stacks = [self._stacks.frames(slot.number, entry) if oldest[entry.thread] is entry else () for entry in entries]
        requests = [
            {**request_of(entry.text, entry.age), "stack": list(frames)}
            for entry, frames in zip(entries, stacks, strict=True)
        ]
        postmortem.write(self._block, about, requests)
        loop = self._stacks.loop_frames(slot.number, slot.loop_ns)
        self._log.error(
            "hvd: %s (pid:%d) died (%s) with %d request%s in progress: %s%s",
            *(slot.kind_name, slot.pid, cause, settled.aborted, "" if settled.aborted == 1 else "s"),
            _describe_all(entries[:LOGGED], stacks, settled.aborted),
            escaped(f"; its event loop stood at {describe(loop)}", "ascii") if loop else "",
        )

    def sweep(self, own_children: set[int]) -> None:
        """Settle what nobody will report: processes of masters that are gone, and our own that were reaped unseen."""
        if self._unsettled:
            self._settle_all()
        else:
            self.ends.tell()
        if self._unsettled:
            return
        for slot in list(self._slots.taken()):
            if slot.master == os.getpid():
                unreported = slot.pid not in own_children and slot.pid
            else:  # another master, if it lives, knows better than we how its children ended
                unreported = not is_alive(slot.master, slot.master_start)
            if unreported and not slot.is_alive():
                self.settle_slot(slot.number, slot.pid, unreaped_cause(slot), taken_ns=slot.taken_ns)


class WorkerSlots:
    """The slots of one master's workers: taken before the fork, settled after the end. Used in its main thread."""

    def __init__(self, block: Block, slots: Slots, settler: Settler, stacks: Stacks) -> None:
        self._block, self._slots, self._settler, self._stacks = block, slots, settler, stacks
        self._forking: Any = None
        self._first = own_store.first
        self._reaped: dict[int, tuple[str, int | None]] = {}  # how, and with how much memory at most
        self._signals: dict[int, set[str]] = {}  # by which the master wanted a worker's end

    @property
    def most(self) -> int:
        """How many workers the block has room for, and for those that take their places at a reload."""
        return max(1, self._block.layout.slots - layout.COMPANION_SLOTS - SLOTS_SPARE)

    def before_fork(self, worker: Any) -> None:
        """Give the worker its slot. Raises NoFreeSlot, BlockError: then it is not forked."""
        if self._forking is worker:
            return
        worker.hvd_slot = self._slots.claim(layout.KIND_WORKER, os.getpid())
        self._stacks.before_fork(worker)
        self._forking = worker
        self._first, own_store.first = own_store.first, _wait
        worker.hold_signals()

    def after_fork(self, has_failed: bool) -> None:
        """In the master, once `before_fork` was called, or not: a worker that could not be forked needs no slot."""
        worker, self._forking = self._forking, None
        if worker is None:
            return
        worker.let_signals()
        own_store.first = self._first
        if has_failed:
            self._stacks.forget(worker)
            self._slots.free(worker.hvd_slot)

    def note_status(self, pid: int, status: int, peak: int | None = None) -> None:
        """A worker was reaped, with this status of waitpid(2); it used `peak` bytes of memory at most."""
        self._reaped[pid] = cause_of(os.waitstatus_to_exitcode(status)), peak

    def note_signal(self, worker: Any, signum: int) -> None:
        """The master sends this to a worker."""
        if signum in STOPS and not worker.aborted:
            self._signals.setdefault(worker.pid, {*ASKED}).add(signal.Signals(signum).name)

    def settle(self, worker: Any) -> None:
        """A worker was reaped: its slot is settled."""
        status, peak = self._reaped.pop(worker.pid, (UNKNOWN_CAUSE, None))
        cause = TIMEOUT if worker.aborted else status
        is_wanted = cause in self._signals.pop(worker.pid, ())
        self._stacks.forget(worker)
        if worker.hvd_slot is not None:
            self._settler.settle_slot(worker.hvd_slot, worker.pid, cause, status, is_wanted=is_wanted, peak=peak)


def _wait() -> bool:
    """The app counts in a worker that is just forked: what it counts waits for the worker's slot, and no other one."""
    return True


def _describe_all(entries: Sequence[Entry], stacks: Sequence[Sequence[Frame]], number: int) -> str:
    more = [f"and {number - len(entries)} more"] if entries and number > len(entries) else []
    return ", ".join([*map(_describe, entries, stacks), *more]) or "nothing known of them"


def _describe(entry: Entry, frames: Sequence[Frame]) -> str:
    where = f" at {describe(frames)}" if frames else ""
    return escaped(f"{entry.text} ({entry.age:.1f} s){where}", "ascii")
