"""Adding up the rows of own metrics: only pages into which somebody has stored since the last time are read again.

A reader adds 1 to the block's epoch, then looks at the marks of each row. A writer stores into a cell first and then,
where the mark of its page isn't the epoch, the epoch into the mark. So of a page that has changed since, either the
mark has changed too, or it was fresh already when this reader looked: a store may have been on its way then. Both are
read again. That a writer has seen an epoch older than the last one at that moment is covered by SLACK.
"""

import math

from hvd.core import layout
from hvd.core.own.definition import FLOAT, INT

SLACK = 4
"""Readers that may come between a writer's look at the epoch and the moment when its store is seen."""


class Sums:
    """The sums of all rows, cell by cell, and which pages they changed in. One thread at a time uses it.

    `cells` are the sums as integers and `floats` the same memory as float64: which of them holds, says a cell's kind.
    """

    def __init__(self, raw: memoryview, row_cells: int) -> None:
        self._cells, self._floats = raw.cast("q"), raw.cast("d")
        sums = memoryview(bytearray(row_cells * layout.CELL))
        self.cells, self.floats = sums.cast("q"), sums.cast("d")
        self._seen: dict[int, list[int]] = {}
        self._epoch = 0

    def read(self, heads: list[int], pages: range, kinds: bytearray) -> list[int]:
        """Add up these pages of the rows with these heads. -> the pages that were added up anew.

        `kinds` has for each cell of a row what it is (definition.py); only INT and FLOAT are added up. A page of other
        kinds is told too where it has changed.
        """
        self._cells[layout.H_EPOCH] += 1
        fresh, self._epoch = self._epoch - SLACK, self._cells[layout.H_EPOCH]
        changed: set[int] = set()
        for head in heads:
            marks = self._cells[head + pages.start : head + pages.stop].tolist()
            seen = self._seen.get(head, [])
            changed.update(
                page
                for index, (page, mark) in enumerate(zip(pages, marks, strict=True))
                if index >= len(seen) or seen[index] != mark or (mark >= fresh and mark > 0)
            )
            self._seen[head] = marks
        for page in changed:
            self._add_up(page, heads, kinds)
        return sorted(changed)

    def _add_up(self, page: int, heads: list[int], kinds: bytearray) -> None:
        first = page * layout.PAGE_CELLS
        rows = [self._cells[head + first : head + first + layout.PAGE_CELLS].tolist() for head in heads]
        for index, values in enumerate(zip(*rows, strict=True)):
            if kinds[first + index] == INT:
                self.cells[first + index] = sum(values)
        for cell in range(first, first + layout.PAGE_CELLS):
            if kinds[cell] == FLOAT:
                self.floats[cell] = math.fsum(self._floats[head + cell] for head in heads)
