"""Rows: which thread counts in which row.

hotrow.py has what a thread stores for a request, hotentry.py what requests store that share a row; _hotrow.c and
_hotentry.c are the same, compiled.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import cast

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue, Families, Family
from hvd.core.hot import HotRow, Sharing, fence
from hvd.core.limits import SERVER_ERROR
from hvd.core.locks import COUNT_WAIT
from hvd.core.slots import mark_used
from hvd.errors import BlockForeign, BlockFull, BlockLocked


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

    @property
    def overflow(self) -> int:
        """The first cell of the family's overflow series."""
        with self._resolving, contextlib.suppress(BlockForeign):
            self._catalogue.refresh()
        return self._catalogue.instead(self._family).offset


class Rows:
    """The rows of one slot, for the threads of the process that has it.

    `mine()` gives the calling thread its row: one of its own, or, when the slot has no more, an entry of the last row.
    A thread's row is free again when the thread has ended. `entry()` gives a row object for one request (or for one
    after the other) of a thread that serves many at once: all of them count in the last row, see hotentry.py.
    Thread-safe; not to be used by two processes, so a forked child makes its own.
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
        shape = block.layout
        self._sharing = Sharing(
            block.raw,
            shape.slot_cell(slot),
            shape.row_cell(slot, shape.rows - 1),
            shape.row_cells,
            shape.entry_cell(slot, 0),
            shape.entries,
            self.entries,
            self.aborted,
        )
        self.entry = cast(Callable[[], Row], self._sharing.entry)
        self.local = ThreadRow(self)

    def tell_entries_apart(self) -> None:
        """From now on each entry stands for a thread, by its id(), where many requests are served in one."""
        self._sharing.by_entry = True

    def mine(self) -> "Row":
        """The calling thread's row."""
        return self.local.row

    def take(self) -> "Row":
        """A row that no other thread has, or an entry of the last one."""
        block = self.block
        with self._taking, contextlib.suppress(BlockFull, BlockLocked):
            if self._free:
                with block.locked(COUNT_WAIT):  # a series that is appended now is in this row, or after it
                    block.reserve(block.layout.row_cell(self.slot, self._free[-1]), block.cells[layout.H_CELLS_USED])
                    return Row(self, self._free.pop())
        return self.entry()

    def give_back(self, row: int) -> None:
        """Let another thread have the row."""
        self._free.append(row)

    def count(self, family: Family, labels: tuple[str, ...] = (), by: int = 1) -> None:
        """Add to a one-cell counter in the calling thread's row."""
        self.mine().add(self.runs[family.key][labels], by)

    def count_response(self, labels: tuple[str, ...], error: int) -> None:
        """Count, in the calling thread's row, a response to a request that another process passed on."""
        row = self.mine()
        row.add(self.entries[labels], 1)
        if error:
            row.add(layout.R_ERRORS, 1)
        if error == SERVER_ERROR:
            row.add(layout.R_SERVER_ERRORS, 1)

    def record(self, family: Family, labels: tuple[str, ...], ns: int) -> None:
        """Add a duration to a timed series in the calling thread's row."""
        self.mine().record(self.runs[family.key], labels, ns)


class _Meanwhile:
    """An entry, for a destructor that counts while its thread is about to get a row: the class's attribute is found
    where the thread has none yet. With `__getattr__` instead, each look at the row was twice as dear.
    """

    def __get__(self, local: "ThreadRow", owner: type) -> "Row":
        return local.rows.entry()


class ThreadRow(threading.local):
    """Gives each thread its row at first use; when the thread ends, its row's last reference goes with it."""

    row = cast("Row", _Meanwhile())

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.row = rows.take()


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
        self._counts[layout.R_THREAD] = threading.get_ident()
        mark_used(rows.block, rows.slot, number)

    def __del__(self) -> None:
        self._rows.give_back(self.number)

    def abandon(self, cause: str) -> None:
        """The request in progress, if any, will not be finished: a BaseException took the thread out of it."""
        if self.is_busy:
            _count_aborted(self._counts, self._rows.aborted[cause,])
        self.interrupted = None

    @property
    def is_busy(self) -> bool:
        """True between begin and finish."""
        return self._counts[layout.R_BEGIN_NS] != 0

    def add(self, offset: int, by: int) -> None:
        """Add to a one-cell counter."""
        self._counts[offset] += by


def _count_aborted(cells: memoryview, cause: int) -> None:
    """Of a row's cells: the request in progress will not be finished, and `cause` is the cell of why.

    The cause comes second: of a process killed before it, the settler finds one aborted request without a cause
    (deaths.py); the other way round it would find the request in progress still, and count it again.
    """
    cells[layout.R_ABORTED] += 1
    fence()
    cells[cause] += 1
    cells[layout.R_BEGIN_NS] = 0
