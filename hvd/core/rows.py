"""Rows: which thread counts in which row.

hotrow.py has what a thread stores for a request; _hotrow.c is the same, compiled.
"""

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue, Families, Family
from hvd.core.hot import HotRow, fence
from hvd.core.locks import COUNT_WAIT
from hvd.core.slots import mark_used
from hvd.errors import BlockFull, BlockLocked


class Runs(dict[tuple[str, ...], int]):
    """Label values → first cell of their run, for one family. Looks up in the catalogue what it does not have yet.

    Label values that count in an overflow series, or are lost, are not kept here: their number has no bound.
    """

    def __init__(
        self, catalogue: Catalogue, family: Family, resolving: contextlib.AbstractContextManager[object]
    ) -> None:
        super().__init__()
        self._catalogue = catalogue
        self._family = family
        self._resolving = resolving

    def __missing__(self, labels: tuple[str, ...]) -> int:
        with self._resolving:
            series = self._catalogue.get_or_add(self._family, labels)
        if (series.family, series.labels) == (self._family.key, labels) and not series.is_overflow:
            self[labels] = series.offset
        return series.offset


class Rows:
    """The rows of one slot, for the threads of the process that has it.

    `mine()` gives the calling thread its row: one of its own, or, when the slot has no more, the last row, shared
    under a lock. A thread's row is free again when the thread has ended. Thread-safe; not to be used by two
    processes, so a forked child makes its own.
    """

    def __init__(self, block: Block, slot: int, families: Families) -> None:
        self.block = block
        self.slot = slot
        self.pid = os.getpid()
        catalogue, resolving = Catalogue(block, families.all), threading.RLock()  # re-entrant: a destructor may count
        self.runs = {family.key: Runs(catalogue, family, resolving) for family in families.all}
        self.entries, self.aborted = self.runs[families.entries.key], self.runs[families.aborted.key]
        self._free = list(range(block.layout.rows - 2, -1, -1))
        self._taking = threading.Lock()
        self.sharing = Sharing(block, slot)
        self.local = ThreadRow(self)

    def mine(self) -> "Row":
        """The calling thread's row."""
        return self.local.row

    def take(self) -> "Row":
        """A row that no other thread has, or the shared one."""
        block = self.block
        with self._taking, contextlib.suppress(BlockFull, BlockLocked):
            if self._free:
                with block.locked(COUNT_WAIT):  # a series that is appended now is in this row, or after it
                    block.reserve(block.layout.row_cell(self.slot, self._free[-1]), block.cells[layout.H_CELLS_USED])
                    return Row(self, self._free.pop())
        return self.shared()

    def shared(self) -> "Row":
        """The shared row, for a thread that seldom counts: so a row of their own is left to those that often do."""
        return SharedRow(self, self.block.layout.rows - 1)

    def give_back(self, row: int) -> None:
        """Let another thread have the row."""
        self._free.append(row)

    def count(self, family: Family, labels: tuple[str, ...] = (), by: int = 1) -> None:
        """Add to a one-cell counter in the calling thread's row."""
        self.mine().add(self.runs[family.key][labels], by)

    def count_response(self, labels: tuple[str, ...], is_error: bool) -> None:
        """Count, in the calling thread's row, a response to a request that another process passed on."""
        row = self.mine()
        row.add(self.entries[labels], 1)
        if is_error:
            row.add(layout.R_ERRORS, 1)

    def record(self, family: Family, labels: tuple[str, ...], ns: int) -> None:
        """Add a duration to a timed series in the calling thread's row."""
        self.mine().record(self.runs[family.key], labels, ns)


class ThreadRow(threading.local):
    """Gives each thread its row at first use; when the thread ends, its row's last reference goes with it."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.row = rows.take()

    def __getattr__(self, name: str) -> "Row":
        """The shared row, for a destructor that counts while its thread is about to get a row."""
        if name != "row":
            raise AttributeError(name)
        return SharedRow(self._rows, self._rows.block.layout.rows - 1)


class Row(HotRow):
    """One thread's row, for requests and all else that the thread counts. Only that thread may call it."""

    __slots__ = ("_counts", "_rows", "number")

    def __init__(self, rows: Rows, number: int) -> None:
        self.number = number
        self._rows = rows  # first: __del__ needs them even where the rest raises
        shape = rows.block.layout
        head = shape.row_cell(rows.slot, number)
        super().__init__(rows.block.raw, head, shape.row_cells, rows.entries)
        self._counts = rows.block.cells[head : head + shape.row_cells]
        self._counts[layout.R_THREAD] = threading.get_ident() if number < shape.rows - 1 else 0
        mark_used(rows.block, rows.slot, number)

    def __del__(self) -> None:
        self._rows.give_back(self.number)

    def abandon(self, cause: str) -> None:
        """The request in progress will not be finished: a BaseException took the thread out of it."""
        _count_aborted(self._counts, self._rows.aborted[cause,])
        self.interrupted = None

    @property
    def is_busy(self) -> bool:
        """True between begin and finish."""
        return self._counts[layout.R_BEGIN_NS] != 0

    def add(self, offset: int, by: int) -> None:
        """Add to a one-cell counter."""
        self._counts[offset] += by


class Sharing:
    """What a process has in progress in its slot's last row, which all threads share that got no row of their own.

    `requests` has the begin time and the text of every one, the newest last; the row shows the newest. A cell of the
    row is changed only while `held`. A destructor or a signal handler may run at any point, even in a thread that is
    just changing cells: so its own changes wait in `waiting`.
    """

    def __init__(self, block: Block, slot: int) -> None:
        head = block.layout.row_cell(slot, block.layout.rows - 1)
        self.cells = block.cells[head : head + layout.HEAD_CELLS]
        text = (head + layout.R_TEXT) * layout.CELL
        self.text = block.raw[text : text + layout.TEXT_BYTES]
        self.requests: dict[object, tuple[int, bytes]] = {}
        self.waiting: deque[Callable[[], None]] = deque()
        self._lock = threading.RLock()
        self._is_held = False  # read under the lock: true while this very thread changes cells
        self._shown: object = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Exclude the other threads."""
        try:
            with self._lock:
                self._is_held = True
                try:
                    yield
                finally:
                    self._is_held = False
        finally:
            self.do_waiting()

    def do(self, work: Callable[[], None]) -> None:
        """Do the work while `held`: now, or, where this very thread holds it already, afterwards."""
        with self._lock:
            if self._is_held:
                self.waiting.append(work)
                return
            with self.held():
                work()

    def do_waiting(self) -> None:
        """Do the work that waits; where another thread holds the row, that thread does it afterwards."""
        while self.waiting and self._lock.acquire(blocking=False):
            try:
                if self._is_held:
                    return
                self._is_held = True
                try:
                    if self.waiting:
                        self.waiting.popleft()()
                finally:
                    self._is_held = False
            finally:
                self._lock.release()

    def enter(self, key: object) -> None:
        """The request of this key has begun; the row shows it."""
        self.requests[key] = self.cells[layout.R_BEGIN_NS], self.text.tobytes()
        self._shown = key

    def show_others(self, key: object) -> None:
        """Before the request of this key ends: the row shows another one that is in progress, if there is any."""
        self.requests.pop(key, None)
        if self._shown is not key or not self.requests:
            return
        self._shown, (begin, text) = next(reversed(self.requests.items()))
        self.cells[layout.R_BEGIN_NS] = 0  # a process that is killed here leaves no text of them
        fence()
        self.text[:] = text
        fence()
        self.cells[layout.R_BEGIN_NS] = begin

    def leave(self) -> None:
        """A request has ended and cleared the row's begin time: put back that of the request which the row shows."""
        fence()
        self.cells[layout.R_BUSY] -= 1
        begin, _ = self.requests.get(self._shown, (0, b""))
        self.cells[layout.R_BEGIN_NS] = begin


class SharedRow(Row):
    """The slot's last row, for all threads that got none of their own. Each has an object of this class; see Sharing.

    The row's text and begin time are those of the newest request in progress; R_BUSY says how many are.
    """

    __slots__ = ("_exception", "_key", "_sharing")

    def __init__(self, rows: Rows, number: int) -> None:
        self._sharing = rows.sharing
        self._key = object()
        super().__init__(rows, number)
        self._exception = rows.aborted["exception",]  # now: a destructor must not wait for the catalogue

    def __del__(self) -> None:
        """The thread has ended. Other threads still have the row, so it is not given back; a request in it is aborted.

        Not so in a forked child, where the objects of its parent's threads are deleted too, nor at the end of the
        process, whose master counts why its requests are aborted.
        """
        if self.is_busy and self._rows.pid == os.getpid() and not sys.is_finalizing():
            self._sharing.waiting.append(partial(_abort, self._sharing, self._counts, self._key, self._exception))
            self._sharing.do_waiting()

    def begin(self, *words: str) -> None:
        if self.is_busy:
            self.abandon("exception")
        with self._sharing.held():
            cells = self._counts
            cells[layout.R_BEGIN_NS] = 0  # the others' request, else the base class would take it for ours
            cells[layout.R_BUSY] += 1
            super().begin(*words)
            self._sharing.enter(self._key)

    def respond(self, labels: tuple[str, ...], is_error: bool) -> None:
        with self._sharing.held():
            super().respond(labels, is_error)

    def pass_on(self, labels: tuple[str, ...]) -> None:
        with self._sharing.held():
            super().pass_on(labels)

    def finish(self) -> None:
        if not self.base:
            self.abandon("no_response")
            return
        with self._sharing.held():
            self._sharing.show_others(self._key)
            super().finish()
            self._sharing.leave()

    def abandon(self, cause: str) -> None:
        with self._sharing.held():
            self._sharing.show_others(self._key)
            super().abandon(cause)
            self._sharing.leave()

    def record(self, runs: Mapping[tuple[str, ...], int], labels: tuple[str, ...], ns: int) -> None:
        self._sharing.do(partial(super().record, runs, labels, ns))

    @property
    def is_busy(self) -> bool:
        return self._key in self._sharing.requests

    def add(self, offset: int, by: int) -> None:
        self._sharing.do(partial(super().add, offset, by))


def _abort(sharing: Sharing, cells: memoryview, key: object, cause: int) -> None:
    """Abort a request in the shared row whose row object is gone; `cause` is the first cell of its cause."""
    sharing.show_others(key)
    _count_aborted(cells, cause)
    sharing.leave()


def _count_aborted(cells: memoryview, cause: int) -> None:
    """Of a row's cells: the request in progress will not be finished, and `cause` is the cell of why.

    The cause comes second: of a process killed before it, the settler finds one aborted request without a cause
    (deaths.py); the other way round it would find the request in progress still, and count it again.
    """
    cells[layout.R_ABORTED] += 1
    fence()
    cells[cause] += 1
    cells[layout.R_BEGIN_NS] = 0
