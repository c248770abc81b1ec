"""The own metrics of a daemon at one moment: what the processes' cells come to, by each family's kind and mode.

What has not changed since the last reading is the same object in the next one, family by family and series by series:
so whoever makes text of it keeps the text of what is the same.
"""

import json
import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.catalogue import LEAVING, REMOVED, OwnCatalogue, OwnFamily, OwnSeries, used_slots
from hvd.core.own.definition import COUNTER, GAUGE, INFO, INT, SUMMARY, VALUE, Definition
from hvd.core.own.hot import Sums
from hvd.core.own.notes import Exemplar, Notes
from hvd.core.slots import Slots

PID = "pid"
"""The label that tells the processes of a gauge apart, whose mode is `all` or `liveall`."""


class Amounts(NamedTuple):
    """Of a histogram: how many fell into each bucket, not cumulative; of a summary: how many there were; their sum."""

    counts: tuple[int, ...]
    sum: float

    @property
    def observed(self) -> int:
        """How many were observed."""
        return sum(self.counts)


class Sample(NamedTuple):
    """A series: label values, as `FamilyFigures.labels` names them, and its value: of an info what it says, of a
    stateset the number of the state. `created` is Unix time in s; `exemplars` are by bucket.
    """

    labels: tuple[str, ...]
    value: float | Amounts | Mapping[str, str]
    created: float
    exemplars: Mapping[int, Exemplar] = MappingProxyType({})


class FamilyFigures(NamedTuple):
    """A family and its series, in order of appearance."""

    definition: Definition
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class OwnFigures:
    """All families that are shown, in order of declaration; names that were declared in more ways than one, and how
    often beside the first; how many series each family with labels has, and what its overflow series has counted,
    where it is no gauge.
    """

    families: tuple[FamilyFigures, ...] = ()
    conflicts: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    overflowed: Mapping[str, float] = field(default_factory=dict)


NO_OWN = OwnFigures()
"""Those of a block without any, or where nobody asked for them."""


class _Tenant(NamedTuple):
    """A process that has a slot: where its row begins, its pid, since when, and whether it lives."""

    row: int
    pid: int
    tenancy: int
    is_alive: bool


class OwnReader:
    """Reads a block's own metrics. Thread-safe: one reading at a time."""

    def __init__(self, block: Block) -> None:
        self._block, self._slots = block, Slots(block)
        self._catalogue = OwnCatalogue(block)
        self._sums = Sums(block.raw, block.layout.own_row_cells)
        self._notes = Notes(block)
        self._kinds = bytearray(block.layout.own_row_cells)
        self._known = 0
        self._series: defaultdict[int, list[OwnSeries]] = defaultdict(list)  # by number of the family
        self._pages: defaultdict[int, set[int]] = defaultdict(set)  # of each page, the families that have cells in it
        self._samples: dict[OwnSeries, tuple[Sample, ...]] = {}
        self._families: dict[int, FamilyFigures] = {}
        self._tenants: tuple[_Tenant, ...] = ()
        self._removals = self._noted = 0
        self._lock = threading.Lock()

    def read(self) -> OwnFigures:
        """The figures now. Raises BlockForeign where the catalogue is damaged."""
        if not self._block.layout.own_series:
            return NO_OWN
        with self._lock:
            return self._read()

    def _read(self) -> OwnFigures:
        self._catalogue.refresh()
        changed = self._take_in_new()
        tenants = tuple(self._all_tenants())
        pages = self._add_up(tenants)
        stale = {number for page in pages for number in self._pages[page]} | changed
        if tenants != self._tenants:
            stale |= {family.number for family in self._catalogue.families if VALUE in family.definition.cells}
        removals = self._block.cells[layout.H_OWN_REMOVALS]
        if removals != self._removals:
            stale |= {family.number for family in self._catalogue.families}
            self._samples.clear()
        if (noted := self._notes.written) != self._noted:
            self._notes.read()
            stale |= {
                series.family.number for series in self._catalogue.series if self._notes.of(series.offset, series.end)
            }
        self._tenants, self._removals, self._noted = tenants, removals, noted
        for number in stale:
            self._families[number] = self._figures_of(self._catalogue.families[number], pages)
        return self._all()

    def _take_in_new(self) -> set[int]:
        new = self._catalogue.series[self._known :]
        self._known += len(new)
        for series in new:
            kinds = series.family.definition.cells
            self._kinds[series.offset : series.end] = bytes(kinds)
            self._series[series.family.number].append(series)
            for page in range(series.offset // layout.PAGE_CELLS, (series.end - 1) // layout.PAGE_CELLS + 1):
                self._pages[page].add(series.family.number)
        return {series.family.number for series in new} | {
            family.number for family in self._catalogue.families if family.number not in self._families
        }

    def _all_tenants(self) -> Iterator[_Tenant]:
        taken = {slot.number: slot for slot in self._slots.taken()}
        for number in used_slots(self._block):
            row, slot = self._block.layout.own_row_cell(number), taken.get(number)
            if slot and slot.pid:
                yield _Tenant(row, slot.pid, slot.taken_ns, slot.is_alive())
            else:
                yield _Tenant(row, 0, 0, is_alive=False)

    def _add_up(self, tenants: Iterable[_Tenant]) -> set[int]:
        used, shape = self._block.cells[layout.H_OWN_USED], self._block.layout
        pages = range(
            shape.own_marks // layout.PAGE_CELLS, layout.round_up(used, layout.PAGE_CELLS) // layout.PAGE_CELLS
        )
        return set(self._sums.read([tenant.row for tenant in tenants], pages, self._kinds))

    def _figures_of(self, family: OwnFamily, pages: set[int]) -> FamilyFigures:
        definition = family.definition
        samples: list[Sample] = []
        for series in self._series[family.number]:
            before = self._samples.get(series)
            is_same = (
                before is not None
                and VALUE not in definition.cells
                and not any(
                    page in pages
                    for page in range(series.offset // layout.PAGE_CELLS, (series.end - 1) // layout.PAGE_CELLS + 1)
                )
                and not self._notes.of(series.offset, series.end)
            )
            if before is None or not is_same:
                now = tuple(self._samples_of(series))
                before = self._samples[series] = before if before == now else now
            samples += before
        if definition.kind == INFO:
            samples = _latest(samples)
        elif family_is_by_process(definition):
            return FamilyFigures(definition, (*definition.labels, PID), tuple(samples))
        return FamilyFigures(definition, definition.labels, tuple(samples))

    def _samples_of(self, series: OwnSeries) -> Iterator[Sample]:
        definition = series.family.definition
        if VALUE in definition.cells:
            yield from self._gauge(series)
            return
        state = self._block.cells[series.state]
        value = self._value(series)
        grown = value.observed or value.sum if isinstance(value, Amounts) else value
        if state == LEAVING or (not grown and (state == REMOVED or series.is_overflow)):
            return
        yield Sample(series.labels, value, series.created, self._exemplars(series))

    def _value(self, series: OwnSeries) -> float | Amounts:
        first, end = series.offset, series.end
        values: list[float] = [
            self._sums.cells[cell] if self._kinds[cell] == INT else self._sums.floats[cell]
            for cell in range(first, end)
        ]
        if self._block.cells[layout.H_OWN_REMOVALS]:
            values = [value - removed for value, removed in zip(values, self._removed(series), strict=True)]
        if series.family.definition.kind == COUNTER:
            return values[0] + values[1] if values[1] else values[0]
        if series.family.definition.kind == SUMMARY:
            return Amounts((int(values[0]),), values[1])
        return Amounts(tuple(map(int, values[1:])), values[0])

    def _removed(self, series: OwnSeries) -> list[float]:
        """What the series had when it was last removed. Its page has no memory where nothing was removed."""
        if not self._catalogue.was_removed(series):
            return [0] * len(series.family.definition.cells)
        row = self._block.layout.own_row_cell(self._block.layout.slots)
        return [
            self._block.cells[row + cell] if self._kinds[cell] == INT else self._block.floats[row + cell]
            for cell in range(series.offset, series.end)
        ]

    def _exemplars(self, series: OwnSeries) -> Mapping[int, Exemplar]:
        return self._notes.of(series.offset, series.end)

    def _gauge(self, series: OwnSeries) -> Iterator[Sample]:
        definition, block = series.family.definition, self._block
        values: list[tuple[int, float, float]] = []  # pid, value, time
        for tenant in self._tenants:
            cell = tenant.row + series.offset
            stamp = block.cells[cell + 1]
            is_own = stamp == tenant.tenancy and tenant.is_alive
            if stamp and (is_own or definition.keeps):
                time = block.floats[cell + 2] if len(definition.cells) > 2 else 0.0
                values.append((tenant.pid, block.floats[cell], time))
        if not values:
            return
        if family_is_by_process(definition):
            for pid, value, _ in values:
                yield Sample((*series.labels, str(pid)), value, series.created)
        elif definition.kind == INFO:
            said = json.loads(series.labels[-1])
            latest = max(time for *_, time in values)
            yield Sample((*series.labels[:-1], repr(latest)), said, series.created)
        else:
            yield Sample(series.labels, merged(definition.mode, [value[1:] for value in values]), series.created)

    def _all(self) -> OwnFigures:
        families = self._catalogue.families
        names: dict[tuple[str, str], OwnFamily] = {}
        conflicts: defaultdict[str, int] = defaultdict(int)
        for family in families:
            key = family.definition.name, family.definition.registry
            if key in names:
                conflicts[family.definition.name] += 1
                if self._lives(names[key]) or not self._lives(family):
                    continue
            names[key] = family
        shown = sorted(names.values(), key=lambda family: family.number)
        labelled = [family for family in shown if family.definition.labels]
        return OwnFigures(
            tuple(self._families[family.number] for family in shown),
            dict(conflicts),
            {family.definition.name: self._catalogue.count(family) for family in labelled},
            {family.definition.name: self._overflowed(family) for family in labelled if _counts(family.definition)},
        )

    def _overflowed(self, family: OwnFamily) -> float:
        rest = self._catalogue.rest(family)
        value = self._value(rest) if rest else 0
        return value.observed if isinstance(value, Amounts) else value

    def _lives(self, family: OwnFamily) -> bool:
        """Whether a process that lives has declared it."""
        cells = self._block.cells
        return any(tenant.is_alive and cells[tenant.row + family.present] == tenant.tenancy for tenant in self._tenants)


def _counts(definition: Definition) -> bool:
    return VALUE not in definition.cells


def family_is_by_process(definition: Definition) -> bool:
    """Whether each process's value is shown for itself, with its pid."""
    return definition.kind == GAUGE and definition.mode.removeprefix("live") == "all"


def merged(mode: str, values: list[tuple[float, float]]) -> float:
    """What several processes' values, each with its time, come to; those that are no number are left out."""
    numbers = [value for value, _ in values if not math.isnan(value)]
    kind = mode.removeprefix("live")
    if kind == "mostrecent":
        return max(values, key=lambda pair: pair[1])[0]
    if not numbers:
        return math.nan
    return math.fsum(numbers) if kind == "sum" else (min if kind == "min" else max)(numbers)


def _latest(samples: Iterable[Sample]) -> list[Sample]:
    """Of an info's samples, whose last label is when they were said, the last one of each set of label values."""
    found: dict[tuple[str, ...], Sample] = {}
    for sample in samples:
        *labels, time = sample.labels
        before = found.get(tuple(labels))
        if before is None or float(before.labels[-1]) <= float(time):
            found[tuple(labels)] = sample
    return [sample._replace(labels=labels) for labels, sample in found.items()]
