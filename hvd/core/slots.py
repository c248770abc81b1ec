"""Slots: who may write which rows. Masters hand them out and take them back, under the mutation lock.

A slot's counter cells stay as they are when it changes hands. What belongs to the process (the request in progress)
is settled by the master once the process is dead: see `settle`.
"""

import contextlib
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.hot import fence
from hvd.core.locks import LOCK_WAIT
from hvd.core.proc import is_alive, start_ticks
from hvd.errors import BlockFull, NoFreeSlot

JOINED_SPARE = 4
"""One slot in so many is for workers only: enough to replace all of them, where there are eight slots a worker."""

_ENTRY = struct.Struct(f"=qq{layout.TEXT_BYTES}s")


class Entry(NamedTuple):
    """What a row says of a request in progress: a text, as far as the row keeps it (64 bytes), and its age in s; when
    it began (monotonic ns), and of a dead process its thread, see progress.py.
    """

    text: str
    age: float
    begin_ns: int = 0
    thread: int = 0


@dataclass
class Settled:
    """Requests that a dead process had begun and not finished: how many, and what is known of them."""

    aborted: int = 0
    entries: list[Entry] = field(default_factory=list)


class Slot(NamedTuple):
    """A slot's record as read at one moment: the cells S_KIND to S_HEARTBEAT_NS, the base, and those of S_OWN."""

    number: int
    kind: int
    pid: int
    pid_start: int
    master: int
    master_start: int
    taken_ns: int
    heartbeat_ns: int
    base: tuple[int, ...]
    threads: int = 0
    stack_taken_ns: int = 0
    clients: tuple[int, ...] = (0,) * layout.CLIENTS
    loop_ns: int = 0
    loop_lag_ns: int = 0
    base_server_errors: int = 0

    @property
    def kind_name(self) -> str:
        return layout.KIND_NAMES.get(self.kind, "unknown")

    def is_alive(self) -> bool:
        """True if the process that has the slot lives; a slot whose process isn't known yet lives with its master."""
        if self.pid:
            return is_alive(self.pid, self.pid_start)
        return is_alive(self.master, self.master_start)


class Slots:
    """The slot table of a block. Safe in any process; slots are handed out under the mutation lock."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._cells = block.cells
        self._layout = block.layout

    def prepare(self, workers: int) -> None:
        """Reserve memory for so many workers and for companions, and for those that follow them in a reload or upgrade.

        So they can start when memory is full by then. Where it is full now, this does nothing.
        """
        first, companions = layout.COMPANION_SLOTS, layout.COMPANION_SLOTS // 2
        masters = range(first - layout.MASTERS, first)
        numbers = (*range(companions), *masters, *range(first, min(first + 2 * workers, self._layout.slots)))
        with self._block.locked(), contextlib.suppress(BlockFull):
            for number in numbers:
                self._reserve(number)
                taken_ns = self._layout.slot_cell(number) + layout.S_TAKEN_NS  # from now on it grows with the series
                self._cells[taken_ns] = self._cells[taken_ns] or 1

    def claim(self, kind: int, master: int, pid: int = 0) -> int:
        """Hand out the lowest free slot of the kind's range, first of those that had the kind before.

        Raises NoFreeSlot, BlockFull, BlockLocked.
        """
        numbers = self._numbers(kind)
        with self._block.locked(LOCK_WAIT):
            number = self._take_first(numbers, kind, master, pid)
        if number is None:
            raise NoFreeSlot(self._complaint(kind, numbers))
        return number

    def _numbers(self, kind: int) -> range:
        first, slots = layout.COMPANION_SLOTS, self._layout.slots
        if kind == layout.KIND_MASTER:  # from the end on: it has no page
            return range(first - 1, -1, -1)
        if kind == layout.KIND_JOINED:
            return range(first + (slots - first) // JOINED_SPARE, slots)
        return range(first, slots) if kind == layout.KIND_WORKER else range(first)

    def _complaint(self, kind: int, numbers: range) -> str:
        shared = {layout.KIND_WORKER: "worker slots", layout.KIND_JOINED: "slots for joined processes"}
        all_taken = f"all {len(numbers)} {shared.get(kind, 'companion slots')} of block {self._block.name} are taken"
        if kind in shared:
            return f"{all_taken}; set HVD_SLOTS higher and restart the daemon"
        pids = ", ".join(str(slot.pid) for number in numbers if (slot := self.get(number)))
        return f"{all_taken}, by the processes {pids}: end those that are not this daemon's, and it goes on"

    def _take_first(self, numbers: range, kind: int, master: int, pid: int) -> int | None:
        full = None
        for number in sorted(numbers, key=partial(self._preference, kind=kind)):
            if not self._cells[self._layout.slot_cell(number) + layout.S_TAKEN]:
                try:
                    self._take(number, kind, master, pid)
                except BlockFull as error:
                    full = error  # another slot, which was taken before, needs no more memory
                else:
                    return number
        if full:
            raise full
        return None

    def _preference(self, number: int, kind: int) -> int:
        """Lowest for a slot that the same kind had last: so the pages of other kinds stay readable."""
        before = self._cells[self._layout.slot_cell(number) + layout.S_KIND]
        return {kind: 0, 0: 1}.get(before, 2)

    def _take(self, number: int, kind: int, master: int, pid: int) -> None:
        self._reserve(number)
        cells, cell = self._cells, self._layout.slot_cell(number)
        *totals, server_errors = self._head_sums(number)
        for index, total in enumerate(totals):
            cells[cell + layout.S_BASE + index] = total
        cells[cell + layout.S_BASE_SERVER_ERRORS] = server_errors
        cells[cell + layout.S_KIND] = kind
        cells[cell + layout.S_PID], cells[cell + layout.S_PID_START] = pid, start_ticks(pid) if pid else 0
        cells[cell + layout.S_MASTER], cells[cell + layout.S_MASTER_START] = master, start_ticks(master)
        cells[cell + layout.S_TAKEN_NS], cells[cell + layout.S_HEARTBEAT_NS] = time.monotonic_ns(), 0
        clear_entries(self._block, number)
        for own in range(*layout.S_OWN):
            cells[cell + own] = 0
        cells[cell + layout.S_TAKEN] = 1

    def _reserve(self, number: int) -> None:
        """Memory for what a process always has: its first thread's row, the shared one, and the entries."""
        shape = self._layout
        for row in (0, shape.rows - 1):
            self._block.reserve(shape.row_cell(number, row), self._cells[layout.H_CELLS_USED])
        self._block.reserve(shape.entry_cell(number, 0), shape.entries * layout.ENTRY_CELLS)
        if shape.own_series:
            self._block.reserve(shape.own_row_cell(number), self._cells[layout.H_OWN_RESERVED])

    def _head_sums(self, number: int) -> list[int]:
        heads = used_heads(self._block, number)
        return [
            sum(self._cells[head + index] for head in heads)
            for index in (*range(layout.R_STARTED, layout.R_ERRORS + 1), layout.R_SERVER_ERRORS)
        ]

    def name_process(self, number: int, pid: int) -> None:
        """Write into the slot which process has it, once its pid is known."""
        cell = self._layout.slot_cell(number)
        self._cells[cell + layout.S_PID_START] = start_ticks(pid)
        fence()
        self._cells[cell + layout.S_PID] = pid

    def say_ready(self, number: int, threads: int) -> None:
        """Note that the slot's process serves from now on, so many requests at once."""
        self._cells[self._layout.slot_cell(number) + layout.S_THREADS] = threads

    def say_ending(self, number: int) -> None:
        """Note that the slot's process ends what it has in progress, and takes nothing new."""
        cell = self._layout.slot_cell(number) + layout.S_THREADS
        self._cells[cell] = -abs(self._cells[cell])

    def say_clients(self, number: int, counts: Sequence[int]) -> None:
        """Note for how many clients the slot's process waits, by what it waits for."""
        cell = self._layout.slot_cell(number) + layout.S_CLIENTS
        for index, count in enumerate(counts):
            self._cells[cell + index] = count

    def want_stacks(self, number: int) -> int:
        """Ask for the stacks of the slot's process; its master takes them once it is woken. -> when (monotonic ns)."""
        now = time.monotonic_ns()
        self._cells[self._layout.slot_cell(number) + layout.S_STACK_WANTED_NS] = now
        return now

    def beat(self, number: int) -> None:
        """A companion's sign of life, now."""
        self._cells[self._layout.slot_cell(number) + layout.S_HEARTBEAT_NS] = time.monotonic_ns()

    def get(self, number: int) -> Slot | None:
        """The slot's record, None while it is free."""
        cell = self._layout.slot_cell(number)
        if not self._cells[cell + layout.S_TAKEN]:
            return None
        record: list[int] = self._cells[cell : cell + layout.SLOT_CELLS].tolist()
        kind, pid, pid_start, master, master_start, taken_ns, heartbeat_ns, *base = record[1 : layout.S_BASE + 4]
        clients = tuple(record[layout.S_CLIENTS : layout.S_CLIENTS + layout.CLIENTS])
        return Slot(
            *(number, kind, pid, pid_start, master, master_start, taken_ns, heartbeat_ns, tuple(base)),
            *(record[layout.S_THREADS], record[layout.S_STACK_TAKEN_NS], clients),
            *(record[layout.S_LOOP_NS], record[layout.S_LOOP_LAG_NS], record[layout.S_BASE_SERVER_ERRORS]),
        )

    def taken(self) -> Iterator[Slot]:
        """The records of all slots that are taken, in order."""
        return filter(None, map(self.get, range(self._layout.slots)))

    def joined(self) -> Iterator[Slot]:
        """Those of joined processes that live."""
        return (slot for slot in self.taken() if slot.kind == layout.KIND_JOINED and slot.is_alive())

    def free(self, number: int) -> None:
        """Let the slot be handed out again. Its process is dead, its rows are settled. One store, so no lock."""
        fence()
        self._cells[self._layout.slot_cell(number) + layout.S_TAKEN] = 0


def mark_used(block: Block, number: int, row: int) -> None:
    """Have readers read this row from now on. Only one process at a time calls this for a slot."""
    cell = block.layout.slot_cell(number)
    if row == block.layout.rows - 1:
        block.cells[cell + layout.S_SHARED] = 1
    elif row >= block.cells[cell + layout.S_ROWS]:
        block.cells[cell + layout.S_ROWS] = row + 1


def used_heads(block: Block, number: int) -> list[int]:
    """Cells of the heads of the rows that were ever used.

    The slot table has them: looking at the rows would touch a page of memory for each row that is not used.
    """
    cell, shape = block.layout.slot_cell(number), block.layout
    used, is_shared = block.cells[cell + layout.S_ROWS], block.cells[cell + layout.S_SHARED]
    if not (used or is_shared):
        return []
    first = shape.row_cell(number, 0)
    heads = list(range(first, first + used * shape.row_cells, shape.row_cells))
    if is_shared:
        heads.append(shape.row_cell(number, shape.rows - 1))
    return heads


def read_entries(block: Block, number: int, in_progress: int) -> list[Entry]:
    """The slot's entries, as many as requests are in progress in its shared row at most, the oldest first."""
    cells, shape = block.cells, block.layout
    first, used = shape.entry_cell(number, 0), cells[shape.slot_cell(number) + layout.S_ENTRIES]
    if not (used and in_progress > 0):
        return []
    begins = cells[first : first + used * layout.ENTRY_CELLS : layout.ENTRY_CELLS]
    before = begins.tolist()
    copied = bytes(block.raw[first * layout.CELL : (first + used * layout.ENTRY_CELLS) * layout.CELL])
    now, records, after = time.monotonic_ns(), _ENTRY.iter_unpack(copied), begins.tolist()
    pairs = [
        (begin < 0, _entry(abs(begin), text, thread, now))  # negative: about to begin, or over already (hotentry.py)
        for begin, still, (_, thread, text) in zip(before, after, records, strict=True)
        if begin and abs(begin) == abs(still)  # else it is another request's by now
    ]
    pairs.sort(key=lambda pair: pair[0])
    return sorted((entry for _, entry in pairs[:in_progress]), key=lambda entry: entry.begin_ns)


def clear_entries(block: Block, number: int) -> None:
    """Clear the slot's entries: no request is in progress there any more."""
    first = block.layout.entry_cell(number, 0)
    for index in range(block.cells[block.layout.slot_cell(number) + layout.S_ENTRIES]):
        block.cells[first + index * layout.ENTRY_CELLS + layout.E_BEGIN_NS] = 0


def settle(block: Block, number: int) -> Settled:
    """Count what a dead process had in progress as aborted, and clear it. No other process writes these rows now.

    A process that was killed between the stores of one request leaves a row with a begin time whose request is not
    started yet, or is finished by now: what decides is started - finished - aborted, as for a reader (totals.py).
    """
    settled, cells, shape = Settled(), block.cells, block.layout
    for head in used_heads(block, number):
        lost = cells[head + layout.R_STARTED] - cells[head + layout.R_FINISHED] - cells[head + layout.R_ABORTED]
        if lost > 0:
            if head == shape.row_cell(number, shape.rows - 1):
                settled.entries += read_entries(block, number, lost)
            else:
                start = (head + layout.R_TEXT) * layout.CELL
                text = bytes(block.raw[start : start + layout.TEXT_BYTES])
                if entry := entry_of(cells[head + layout.R_BEGIN_NS], text, cells[head + layout.R_THREAD]):
                    settled.entries.append(entry)
            settled.aborted += lost
            cells[head + layout.R_ABORTED] += lost
            fence()
        cells[head + layout.R_BEGIN_NS] = cells[head + layout.R_BUSY] = 0
    clear_entries(block, number)
    return settled


def entry_of(begin: int, text: bytes, thread: int = 0) -> Entry | None:
    """The entry of a row with this begin time (monotonic, ns) and text; None where the begin time is 0: it is idle."""
    return _entry(begin, text, thread, time.monotonic_ns()) if begin else None


def _entry(begin: int, text: bytes, thread: int, now: int) -> Entry:
    return Entry(text.rstrip(b"\0").decode("utf-8", "replace"), max(0, now - begin) / 1e9, begin, thread)
