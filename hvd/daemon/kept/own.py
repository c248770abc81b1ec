"""What is kept of the app's own metrics: what only grows, and gauges of a mode that keeps what the dead left.

A series of a new block gets what processes before had in the row of the slot in which other totals go on (figures.py).
So a gauge is there as that of a process which has ended: the next one of that slot goes on from it.
"""

from collections.abc import Collection
from itertools import chain
from typing import Any, NamedTuple, TypedDict

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.catalogue import BACK, LEAVING, SHOWN, OwnCatalogue, OwnSeries, begin_of, state_of, used_slots
from hvd.core.own.definition import COUNTER, FLOAT, INT, KINDS, VALUE, Definition
from hvd.core.own.gauges import merged
from hvd.core.own.sums import LARGEST, difference, sum_of
from hvd.errors import BlockFull

Cells = list[float]
"""Cells of a series that are not 0: index, value, index, value, and so on."""

_STAMP = 1  # of no process that lives: when it took its slot, in ns since the machine started


class OwnPart(TypedDict):
    """A metric: what stands of its definition in the catalogue, and its series with their labels (null: the overflow
    series), when each was created (Unix time in s), and their cells.
    """

    definition: dict[str, Any]
    series: list[tuple[list[str] | None, float, Cells]]


class OwnKept(NamedTuple):
    """The same, once it is known to make sense."""

    definition: Definition
    series: list[tuple[tuple[str, ...] | None, float, dict[int, float]]]


def collect_own(block: Block, without: Collection[int] = ()) -> list[OwnPart]:
    """What is kept of a block now; without these slots. Raises BlockForeign where the catalogue is damaged."""
    if not block.layout.own_series:
        return []
    catalogue = OwnCatalogue(block)
    catalogue.refresh()
    rows = [block.layout.own_row_cell(slot) for slot in used_slots(block) if slot not in without]
    parts: dict[int, OwnPart] = {
        family.number: {"definition": family.definition.as_record(), "series": []}
        for family in catalogue.families
        if VALUE not in family.definition.cells or family.definition.keeps
    }
    for series in catalogue.series:
        part = parts.get(series.family.number)
        if part and ((cells := _cells(block, series, rows)) or _shows_0(block, series)):
            labels = None if series.is_overflow else list(series.labels)
            part["series"].append((labels, begin_of(block, series), cells))
    return list(parts.values())


def _shows_0(block: Block, series: OwnSeries) -> bool:
    """Whether it is shown though it has counted nothing."""
    is_gauge = VALUE in series.family.definition.cells
    return not (is_gauge or series.is_overflow) and state_of(block, series) in (SHOWN, BACK)


def _cells(block: Block, series: OwnSeries, rows: list[int]) -> Cells:
    kinds = series.family.definition.cells
    if VALUE in kinds:
        return _gauge(block, series, [row + series.offset for row in rows])
    state, removed = state_of(block, series), block.layout.own_row_cell(block.layout.slots)
    if state == LEAVING:
        return []
    values: list[float] = []
    for cell, kind in zip(range(series.offset, series.end), kinds, strict=True):
        if kind == INT:
            fewer = block.cells[removed + cell] if state else 0
            values.append(max(0, sum(block.cells[row + cell] for row in rows) - fewer))
        else:
            total = sum_of([block.floats[row + cell] for row in rows])
            values.append(difference(total, block.floats[removed + cell]) if state else total)
    if series.family.definition.kind == COUNTER and values[0] > LARGEST:  # two processes' together
        values = [LARGEST, values[1] + (values[0] - LARGEST)]
    return list(chain.from_iterable((index, value) for index, value in enumerate(values) if value and value == value))


def _gauge(block: Block, series: OwnSeries, places: list[int]) -> Cells:
    has_time, mode = series.end - series.offset > 2, series.family.definition.mode
    values = [
        (block.floats[cell], block.floats[cell + 2] if has_time else 0.0) for cell in places if block.cells[cell + 1]
    ]
    if not values:
        return []
    cells: Cells = [0, merged(mode, values), 1, _STAMP]
    return [*cells, 2, max(time for _, time in values)] if has_time else cells


def check_own(parts: list[OwnPart]) -> list[OwnKept]:
    """The checked content of these parts. Raises KeyError, TypeError, ValueError where it makes no sense."""
    return [_checked(part) for part in parts]


def _checked(part: OwnPart) -> OwnKept:
    definition = Definition.of_record(part["definition"])
    if definition.kind not in KINDS:
        raise ValueError(f"a metric of kind {definition.kind!r}")
    kinds, series = definition.cells, list[tuple[tuple[str, ...] | None, float, dict[int, float]]]()
    for labels, created, run in part["series"]:
        if labels is not None and len(labels) != len(definition.labels):
            raise ValueError(f"labels of {definition.name}")
        cells = dict(zip(map(int, run[::2]), run[1::2], strict=True))
        if not all(0 <= index < len(kinds) and _is_sound(kinds[index], value) for index, value in cells.items()):
            raise ValueError(f"a cell of {definition.name}")
        series.append((None if labels is None else tuple(map(str, labels)), float(created), cells))
    return OwnKept(definition, series)


def _is_sound(kind: int, value: object) -> bool:
    if kind == INT:
        return type(value) is int and 0 <= value <= LARGEST
    return type(value) in (int, float)


class Restoring:
    """Gives it to a block that has no process yet, in the row of a slot. `left_out` are metrics that find no room, and
    so many series go on in their overflow series.
    """

    def __init__(self, block: Block, slot: int) -> None:
        """Raises BlockFull: then nothing has changed."""
        self._block, self._catalogue = block, OwnCatalogue(block)
        self._row = block.layout.own_row_cell(slot)
        self.left_out: list[str] = []
        self.overflowed = 0
        block.reserve(self._row, max(1, block.cells[layout.H_OWN_RESERVED]))
        taken = block.layout.slot_cell(slot) + layout.S_TAKEN_NS  # from now on the row grows with the series
        block.cells[taken] = block.cells[taken] or 1

    def take(self, kept: OwnKept) -> None:
        """One metric's."""
        if not kept.series:
            return
        try:
            family = self._catalogue.declare(kept.definition)
        except BlockFull:
            self.left_out.append(kept.definition.name)
            return
        for labels, created, cells in kept.series:
            series = self._catalogue.rest(family)
            if labels is not None:
                series = self._catalogue.get_or_add(family, labels, created)
                self.overflowed += series is not None and series.is_overflow
            if series is not None:
                self._store(series, cells)

    def _store(self, series: OwnSeries, cells: dict[int, float]) -> None:
        """Add the cells to those of the series, as several may share an overflow series; a gauge's last value stays."""
        kinds, first = series.family.definition.cells, self._row + series.offset
        for index, value in cells.items():
            if kinds[index] == INT:
                self._block.cells[first + index] = min(LARGEST, self._block.cells[first + index] + int(value))
            elif kinds[index] == FLOAT:
                self._block.floats[first + index] += float(value)
            elif index == 1:
                self._block.cells[first + index] = int(value)
            else:
                self._block.floats[first + index] = float(value)
