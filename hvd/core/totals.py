"""Adding the rows up. What a reader gets is fresh: each call reads every row that was ever used.

A thread may store into its row while a reader copies it. So the reader reads the row's head, copies the row, reads the
head again, and copies once more while the two heads differ; then it adds the copy to the sums, so that there is never
more than one copy (hotrow.py, sum_rows). The heads agree too where a thread stands between two stores, because it lost
the processor there or its process is stopped. Then started - finished - aborted, of one head, is the number of requests
in progress, and `in_flight` is their sum over the rows. That number is never more than what the begin time, or R_BUSY,
shows; that the two agree is the proof, started = finished + in_flight + aborted.

Every cell of every row only grows, and a later read copies each row later. So no sum is ever below an earlier one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from operator import add, sub
from time import monotonic_ns, time_ns
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue, Family, Series
from hvd.core.hot import sum_rows
from hvd.core.hotrow import Head
from hvd.core.slots import Entry, Slot, Slots, entry_of, read_entries, used_heads

RETRIES = 40
"""Copies of a row whose thread keeps storing; a copy takes some microseconds, a request more than a hundred."""


class Heads(NamedTuple):
    """Sums of row heads. Server errors are counted apart for live processes only: the series have those of all."""

    started: int = 0
    finished: int = 0
    aborted: int = 0
    errors: int = 0
    in_flight: int = 0
    server_errors: int = 0


@dataclass(frozen=True)
class SlotTotals:
    """A taken slot, what its process has done since it took the slot, and what it is doing."""

    slot: Slot
    heads: Heads
    busy: tuple[Entry, ...]


@dataclass(frozen=True)
class Totals:
    """The sums at one moment. `cells[series.offset]` is the first cell of a series' run, summed over all rows."""

    time_ns: int
    monotonic_ns: int
    started_wall_ns: int
    started_monotonic_ns: int
    made_monotonic_ns: int
    cells: memoryview
    series: tuple[Series, ...]
    heads: Heads
    slots: tuple[SlotTotals, ...]
    made_wall_ns: int = 0

    @property
    def since_ns(self) -> int:
        """When the totals were 0, before all stops and starts: Unix time in ns."""
        return self.made_wall_ns or self.time_ns - (self.monotonic_ns - self.made_monotonic_ns)

    @property
    def lost(self) -> int:
        """How much was counted in the cells for what has no series, see catalogue.py."""
        return self.cells[layout.LOST]

    @property
    def uptime(self) -> float:
        """Seconds since the daemon started."""
        return (self.monotonic_ns - self.started_monotonic_ns) / 1e9

    @property
    def counted_for(self) -> float:
        """Seconds since the totals were 0: longer than `uptime` after a killed daemon's block was taken over."""
        return (self.monotonic_ns - self.made_monotonic_ns) / 1e9

    def run(self, series: Series) -> memoryview:
        """The summed cells of a series."""
        return self.cells[series.offset : series.offset + series.cells]

    def of(self, family: str) -> list[Series]:
        """The series of a family."""
        return [series for series in self.series if series.family == family]


class Reader:
    """Reads a block's totals, of these families only where some are named. One thread at a time uses one reader."""

    def __init__(self, block: Block, families: Iterable[Family] | None = None) -> None:
        self._block = block
        self._slots = Slots(block)
        self._catalogue = Catalogue(block, families)
        shape = block.layout
        self._shared = [shape.row_cell(slot, shape.rows - 1) for slot in range(shape.slots)]

    def read(self) -> Totals:
        """The sums now. Raises BlockForeign where the catalogue is damaged."""
        block = self._block
        self._catalogue.refresh()
        used = block.cells[layout.H_CELLS_USED]
        slots = [self._slots.get(number) for number in range(block.layout.slots)]
        starts = [used_heads(block, number) for number in range(block.layout.slots)]
        sums, read = sum_rows(block.raw, list(chain.from_iterable(starts)), used, RETRIES)
        heads, tenants, rows = Heads(), list[SlotTotals](), iter(read)
        for number, slot in enumerate(slots):
            if not (slot or starts[number]):
                continue  # as most slots are
            slot_heads, busy = Heads(), list[Entry]()
            for start in starts[number]:
                row = next(rows)
                row_heads = _heads(row)
                slot_heads = Heads(*map(add, slot_heads, row_heads))
                *_, begin, _, text = row
                if start == self._shared[number]:
                    busy += read_entries(block, number, row_heads.in_flight)
                elif row_heads.in_flight and (entry := entry_of(begin, text)):
                    busy.append(entry)
            heads = Heads(*map(add, heads, slot_heads))
            if slot and slot.pid:  # else its process is only about to begin
                tenants.append(SlotTotals(slot, _since_taken(slot_heads, slot), tuple(busy)))
        return Totals(
            time_ns(),
            monotonic_ns(),
            block.cells[layout.H_STARTED_WALL],
            block.cells[layout.H_STARTED_MONO],
            block.cells[layout.H_MADE_MONO],
            memoryview(sums).cast("q"),
            tuple(self._catalogue.series),
            heads,
            tuple(tenants),
            block.cells[layout.H_SINCE_WALL],
        )


def _heads(row: Head) -> Heads:
    started, finished, aborted, errors, server_errors, begin, busy, _ = row
    visible = max(busy, int(begin != 0))
    return Heads(started, finished, aborted, errors, min(visible, started - finished - aborted), server_errors)


def _since_taken(heads: Heads, slot: Slot) -> Heads:
    """Of the rows of a slot: what its process has done since it took the slot."""
    return Heads(*map(sub, heads, (*slot.base, 0, slot.base_server_errors)))
