"""Moving what a process has counted in one slot into a slot of another block: each count once, while it goes on.

The process reads the rows of the one slot again and again, and adds to a row of the other what has come since. The row
shows in R_BUSY how many of the requests that it has as started have not ended yet. The cells are stored in the order in
which a request stores them, so started = finished + in flight + aborted at every read. A process that is killed between
two of these stores leaves moved requests as in progress, which are settled as any others.
"""

import sys
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest

from hvd.core import layout
from hvd.core.catalogue import Catalogue, Families, Series
from hvd.core.hot import fence, sum_rows
from hvd.core.limits import OVERFLOW
from hvd.core.rows import Row, Rows
from hvd.core.slots import used_heads
from hvd.core.totals import RETRIES
from hvd.errors import BlockFull

_COUNTS = 5  # of a Head, the first ones


class Source:
    """What this process counts in these rows, as far as it has not been moved yet. One thread at a time uses it."""

    def __init__(self, rows: Rows, families: Families, *, is_whole: bool = False) -> None:
        """Unless it `is_whole`, what is there by now is not moved: processes that had the slot before counted it."""
        self._block, self._slot = rows.block, rows.slot
        self._rows = weakref.ref(rows)
        self._shared = rows.block.layout.row_cell(rows.slot, rows.block.layout.rows - 1)
        self._catalogue = Catalogue(rows.block, families.all)
        self._moved = b"" if is_whole else self._read()

    @property
    def is_in_use(self) -> bool:
        """True while a thread has one of the rows, or may get one, or the last one has a request in progress."""
        return self._rows() is not None or self._block.cells[self._shared + layout.R_BUSY] > 0

    def take(self) -> Iterator[tuple[Series | None, int, int]]:
        """What has come since the last call: for each cell its series (None: the row's head, or what is lost), its
        place from the series' first cell on, and by how much it grew.
        """
        cells, moved = self._read(), self._moved
        if cells == moved:
            return
        self._catalogue.refresh()
        self._moved = cells
        runs = [(series, series.offset, series.cells) for series in self._catalogue.series]
        for series, first, count in [(None, 0, self._block.layout.first_run), *runs]:
            place = slice(first * layout.CELL, (first + count) * layout.CELL)
            if cells[place] != (before := moved[place]):
                numbers = memoryview(cells[place]).cast("q"), memoryview(before).cast("q")
                for index, (now, then) in enumerate(zip_longest(*numbers, fillvalue=0)):
                    if now != then:
                        yield series, index, now - then

    def _read(self) -> bytes:
        """The sums of all rows, and of their heads."""
        used = self._block.cells[layout.H_CELLS_USED]
        sums, heads = sum_rows(self._block.raw, used_heads(self._block, self._slot), used, RETRIES)
        columns = zip(*((0,) * _COUNTS, *(head[:_COUNTS] for head in heads)), strict=True)
        *counts, server_errors = map(sum, columns)
        cells = [*counts, *(0,) * (layout.R_SERVER_ERRORS - len(counts)), server_errors]
        head = b"".join(value.to_bytes(layout.CELL, sys.byteorder) for value in cells)
        return head + sums[len(head) :]


class Carrier:
    """A row of a slot, to which is moved what its process has counted elsewhere. One thread at a time uses it."""

    def __init__(self, rows: Rows) -> None:
        """Raises BlockFull where there is no row for it, as where the block is locked."""
        row = rows.take()
        if type(row) is not Row:
            raise BlockFull(f"block {rows.block.name} has no row to move counts to")
        if row.is_busy:  # its last thread has ended within a request
            row.abandon("exception")
        self._row, self._rows = row, rows
        head = rows.block.layout.row_cell(rows.slot, row.number)
        self._cells = rows.block.cells[head : head + rows.block.layout.row_cells]

    def move(self, sources: Iterable[Source]) -> list[Source]:
        """Add what has come in these. -> those in which more may come."""
        sources = list(sources)
        in_use = [source for source in sources if source.is_in_use]  # first: unused rows count no more
        grown: Counter[int] = Counter()
        for series, place, by in chain.from_iterable(source.take() for source in sources):
            grown[self._cell_of(series) + place] += by
        self._store(grown)
        if not in_use:
            self._abort_rest()
        return in_use

    def _cell_of(self, series: Series | None) -> int:
        if series is None:
            return 0
        runs = self._rows.runs[series.family]
        return runs.overflow if set(series.labels) == {OVERFLOW} else runs[series.labels]

    def _store(self, grown: Counter[int]) -> None:
        cells, started = self._cells, grown.pop(layout.R_STARTED, 0)
        ends = [(cell, grown.pop(cell, 0)) for cell in (layout.R_FINISHED, layout.R_ABORTED)]
        cells[layout.R_BUSY] += started
        fence()
        cells[layout.R_STARTED] += started
        fence()
        for cell, by in chain(grown.items(), ends):
            cells[cell] += by
        fence()
        cells[layout.R_BUSY] = self._in_progress

    @property
    def _in_progress(self) -> int:
        cells = self._cells
        return cells[layout.R_STARTED] - cells[layout.R_FINISHED] - cells[layout.R_ABORTED]

    def _abort_rest(self) -> None:
        """The threads of these requests have ended within them, and nobody else has their rows."""
        rest = self._in_progress
        self._cells[layout.R_ABORTED] += rest
        fence()
        self._cells[self._rows.aborted["exception",]] += rest
        self._cells[layout.R_BUSY] = 0
