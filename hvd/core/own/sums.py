"""Adding up the rows of own metrics: only pages into which somebody has stored since the last time are read again.

A reader adds 1 to the block's epoch, then looks at the marks of each row. A writer stores into a cell first and then,
where the mark of its page isn't the epoch, the epoch into the mark. So of a page that has changed since, either the
mark has changed too, or it was fresh already when this reader looked: a store may have been on its way then. Both are
read again. That a writer has seen an epoch older than the last one at that moment is covered by SLACK.

Readers in Python may set the epoch back, as each loads and stores it: a reader that finds it no higher than before
reads all pages. For cells that are not added up, the sums have a hash of all rows' cells, which shows a change.
"""

import math
import mmap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from hvd.core import layout
from hvd.core.own.definition import FLOAT, INT

Like = TypeVar("Like", bound=tuple[Any, ...])

SLACK = 4
"""Readers that may come between a writer's look at the epoch and the moment when its store is seen."""

FIRST, NOTHING = 0x80, 0x7F
"""Beside what definition.py says: this flag has the kind of a series' first cell; and a cell that is no series' own."""

LARGEST = 2**63 - 1


def zeros(size: int) -> mmap.mmap:
    """So many bytes, which take memory only where they are used: a row has room for many more series than most have."""
    return mmap.mmap(-1, max(size, layout.CELL))


class Plain(NamedTuple):
    """A series, but of a gauge, of which nothing was removed, and without exemplars: what its sample has, and where it
    belongs. `first` to `end` are the cells that count, `more` is that of the sum, or of a counter's amounts that are no
    integers; `amounts` makes a value of both, None: it is a counter.
    """

    labels: tuple[str, ...]
    created: float
    first: int
    end: int
    more: int
    amounts: type[tuple[Any, ...]] | None
    samples: list[Any]
    place: int


class Sums:
    """The sums of all rows, cell by cell, and which series changed. One thread at a time uses it.

    `cells` are the sums as integers and `floats` the same memory as float64: which of them holds, says a cell's kind.
    """

    def __init__(self, raw: memoryview, row_cells: int) -> None:
        self._cells = raw.cast("q")
        self._floats = raw.cast("d")
        sums = memoryview(zeros(row_cells * layout.CELL))
        self.cells = sums.cast("q")
        self.floats = sums.cast("d")
        self._seen: dict[int, list[int]] = {}
        self._epoch = 0

    def read(self, heads: list[int], pages: range, kinds: bytearray) -> list[int]:
        """Add up these pages of the rows with these heads. -> the first cells of the series that have changed since.

        `kinds` has for each cell of a row what it is: see FIRST.
        """
        self._cells[layout.H_EPOCH] += 1
        before, self._epoch = self._epoch, self._cells[layout.H_EPOCH]
        changed: set[int] = set()
        for head in heads:
            marks = self._cells[head + pages.start : head + pages.stop].tolist()
            seen = self._seen.get(head, [])
            changed.update(
                page
                for index, (page, mark) in enumerate(zip(pages, marks, strict=True))
                if index >= len(seen) or seen[index] != mark or mark >= max(before - SLACK, 1) or self._epoch <= before
            )
            self._seen[head] = marks
        return sorted({cell for page in changed for cell in self._add_up(page, heads, kinds)})

    def renew(self, plain: list[Plain], make: Callable[..., tuple[Any, ...]], exemplars: Any) -> None:
        """Put a new sample of each of these series where it belongs, as the only one there. `make`: the class."""
        for labels, created, first, end, more, amounts, samples, place in plain:
            value: Any
            if amounts:
                value = tuple.__new__(amounts, (tuple(self.cells[first:end].tolist()), self.floats[more]))
            else:
                count, rest = self.cells[first], self.floats[more]
                value = count + rest if rest else count
            samples[place] = (make(labels, value, created, exemplars),)

    def _add_up(self, page: int, heads: list[int], kinds: bytearray) -> Iterable[int]:
        first = page * layout.PAGE_CELLS
        cells = range(first, first + layout.PAGE_CELLS)
        rows = [self._cells[head + first : head + cells.stop].tolist() for head in heads]
        for cell, values in zip(cells, zip(*rows, strict=True), strict=False):
            kind = kinds[cell] & ~FIRST
            if kind == NOTHING:
                continue
            earlier = self.cells[cell]
            if kind == INT:
                self.cells[cell] = max(min(sum(values), LARGEST), -LARGEST)
            elif kind == FLOAT:
                self.floats[cell] = sum_of([self._floats[head + cell] for head in heads])
            else:
                self.cells[cell] = hash(values) if any(values) else 0
            if self.cells[cell] != earlier:
                yield _series_at(cell, kinds)


def _series_at(cell: int, kinds: bytearray) -> int:
    """The first cell of the series that has this one."""
    while cell and not kinds[cell] & FIRST:
        cell -= 1
    return cell


def difference(now: float, removed: float) -> float:
    """By how much it has grown; 0 where both are infinite, from which nothing leads back."""
    grown = now - removed
    return 0.0 if math.isnan(grown) else grown


def sum_of(values: Sequence[float]) -> float:
    """Their sum, as if it were rounded once; NaN of infinities of both signs."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return sum(values)


def gauge_values(raw: memoryview, rows: memoryview, cell: int) -> list[float]:
    """A gauge's value in each of these rows of a block, of those that count: `rows` has of each the first cell, and its
    tenancy, which the stamp must be; 0: whoever left it there.
    """
    cells, floats, values = raw.cast("q"), raw.cast("d"), []
    for head, tenancy in zip(rows[::2], rows[1::2], strict=True):
        stamp = cells[head + cell + 1]
        if stamp and stamp == (tenancy or stamp):
            values.append(floats[head + cell])
    return values


def gauge_samples(raw: memoryview, rows: memoryview, cell: int, pids: list[str], like: Like) -> tuple[Like, ...]:
    """Of a gauge that is shown by process, the sample of each of these rows that counts: as `like`, which has label
    values and value first, with the row's pid as the last label.
    """
    (labels, _, *more), samples = like, []
    for index, pid in enumerate(pids):
        values = gauge_values(raw, rows[2 * index : 2 * index + 2], cell)
        samples += [tuple.__new__(type(like), ((*labels, pid), value, *more)) for value in values]
    return tuple(samples)


def counts_text(pieces: tuple[str, ...], counts: tuple[int, ...]) -> str | None:
    """How many there are up to each bucket, then how many in all, each as a float, with these pieces of text before,
    between and behind them; None where that is not so simple: the compiled form takes ASCII only, and no form a million
    or more.
    """
    total, texts = 0, []
    for piece, count in zip(pieces, counts, strict=False):
        total += count
        texts.append(f"{piece}{total}.0")
    if len(pieces) != len(counts) + 2 or not 0 <= total < 1_000_000 or min(counts, default=0) < 0:
        return None
    return f"{''.join(texts)}{pieces[-2]}{total}.0{pieces[-1]}"
