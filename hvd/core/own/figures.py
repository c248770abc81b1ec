"""The own metrics of a daemon at one moment: what the processes' cells come to, by each family's kind and mode.

What has not changed since the last reading is the same object in the next one, family by family and series by series:
so a caller that makes text of it can keep the text of what is the same.
"""

import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.catalogue import LEAVING, REMOVED, OwnCatalogue, OwnFamily, OwnSeries, begin_of, state_of
from hvd.core.own.definition import COUNTER, HISTOGRAM, INFO, INT, SUMMARY, VALUE, Definition
from hvd.core.own.gauges import Gauges, family_is_by_process
from hvd.core.own.hot import Sums
from hvd.core.own.notes import Notes
from hvd.core.own.samples import NO_EXEMPLARS
from hvd.core.own.samples import Amounts as Amounts
from hvd.core.own.samples import FamilyFigures as FamilyFigures
from hvd.core.own.samples import Sample as Sample
from hvd.core.own.sums import FIRST, NOTHING, Plain, difference

PID = "pid"
"""The label that tells the processes of a gauge apart, whose mode is `all` or `liveall`; with `process_` before it
where the gauge has one of that name.
"""


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


class _Read(NamedTuple):
    """A series, how it is read, and where its samples are kept: at this place in the list of its family's."""

    series: OwnSeries
    read: Callable[[OwnSeries], tuple[Sample, ...]]
    samples: list[tuple[Sample, ...]]
    place: int


class OwnReader:
    """Reads a block's own metrics. Thread-safe: one reading at a time. What it costs follows what has changed."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._catalogue = OwnCatalogue(block)
        self._gauges = Gauges(block)
        self._sums = Sums(block.raw, block.layout.own_row_cells)
        self._notes = Notes(block)
        self._kinds = bytearray()
        self._series: list[_Read] = []  # in the order of their cells
        self._offsets: list[int] = []  # of each of them
        self._numbers: dict[int, int] = {}  # of each, by its offset
        self._plain: list[Plain | None] = []  # of each that is read with many others at once
        self._samples: list[list[tuple[Sample, ...]]] = []  # of each family's each series
        self._families: list[FamilyFigures] = []
        self._run_kinds: list[bytes] = []  # of the cells of each family's series
        self._readers = {COUNTER: self._counter, SUMMARY: self._amounts, HISTOGRAM: self._amounts}
        self._names: set[tuple[str, str]] = set()
        self._removals = self._noted = 0
        self._lock = threading.Lock()

    def read(self) -> OwnFigures:
        """The figures now. Raises BlockForeign where the catalogue is damaged."""
        if not self._block.layout.own_series:
            return NO_OWN
        with self._lock:
            self._catalogue.refresh()
            stale = self._take_in_new() | self._all_changed()
            for number in self._update(stale):
                self._families[number] = self._figures_of(number)
            return self._all()

    def _take_in_new(self) -> set[int]:
        """The numbers of the series that the catalogue has since."""
        for family in self._catalogue.families[len(self._families) :]:
            self._samples.append([])
            first, *rest = family.definition.cells
            self._run_kinds.append(bytes((first | FIRST, *rest)))
            name = family.definition.name, family.definition.registry
            if VALUE in family.definition.cells or name in self._names:
                self._gauges.need_living = True
            self._names.add(name)
            self._families.append(FamilyFigures(family.definition, self._labels_of(family), ()))
        known = len(self._series)
        new = self._catalogue.series[known:]
        self._make_room(max((series.end for series in new), default=0))
        for number, series in enumerate(new, known):
            family, offset = series.family, series.offset
            self._kinds[offset : series.end] = self._run_kinds[family.number]
            samples = self._samples[family.number]
            read = self._readers.get(family.definition.kind, self._gauge)
            self._numbers[offset] = number
            self._plain.append(self._plain_of(series, samples, len(samples)))
            self._series.append(_Read(series, read, samples, len(samples)))
            self._offsets.append(offset)
            samples.append(())
        return set(range(known, len(self._series)))

    def _plain_of(self, series: OwnSeries, samples: list[tuple[Sample, ...]], place: int) -> Plain | None:
        kind, first, end = series.family.definition.kind, series.offset, series.end
        if kind not in self._readers or series.is_overflow or self._block.cells[series.state]:
            return None
        cells = (first + 1, end, first) if kind == HISTOGRAM else (first, first + 1, first + 1)
        return Plain(series.labels, series.created, *cells, Amounts if kind != COUNTER else None, samples, place)

    def _labels_of(self, family: OwnFamily) -> tuple[str, ...]:
        definition = family.definition
        if definition.kind == INFO:
            return definition.labels[:-1]
        if not family_is_by_process(definition):
            return definition.labels
        label = PID
        while label in definition.labels:
            label = f"process_{label}"
        return (*definition.labels, label)

    def _all_changed(self) -> set[int]:
        """The numbers of the series that may have changed since."""
        removals, noted = self._block.cells[layout.H_OWN_REMOVALS], self._notes.written
        have_changed = self._gauges.read_tenants()
        changed = set(map(self._numbers.__getitem__, self._add_up()))
        if have_changed:
            changed |= {number for number, one in enumerate(self._series) if one.read == self._gauge}
        if removals != self._removals:
            cells = self._block.cells
            removed = [number for number, one in enumerate(self._series) if cells[one.series.state]]
            changed.update(removed)
            for number in removed:
                self._plain[number] = None
        if noted != self._noted:
            with_notes = {number for cell in self._notes.read() if (number := self._series_at(cell)) >= 0}
            for number in with_notes:
                self._plain[number] = None
            changed |= with_notes
        self._removals, self._noted = removals, noted
        return changed

    def _make_room(self, cells: int) -> None:
        """Have a kind for each of so many cells, as far as whole pages go."""
        more = layout.round_up(cells, layout.PAGE_CELLS) - len(self._kinds)
        self._kinds.extend(bytes([NOTHING]) * max(0, more))

    def _series_at(self, cell: int) -> int:
        """The number of the series that has this cell."""
        return bisect_right(self._offsets, cell) - 1

    def _add_up(self) -> list[int]:
        used, shape = self._block.cells[layout.H_OWN_USED], self._block.layout
        first, end = shape.own_marks // layout.PAGE_CELLS, layout.round_up(used, layout.PAGE_CELLS) // layout.PAGE_CELLS
        self._make_room(used)
        return self._sums.read(self._gauges.rows, range(first, max(first, end)), self._kinds)

    def _update(self, stale: Iterable[int]) -> set[int]:
        """Read the samples of these series again. -> the numbers of the families that have other ones now."""
        families, all_series, plain = set[int](), self._series, list[Plain]()
        for number in stale:
            one = self._plain[number]
            if one is not None:
                plain.append(one)
                families.add(all_series[number].series.family.number)
                continue
            series, read, samples, place = all_series[number]
            now = read(series)
            if now != samples[place]:
                samples[place] = now
                families.add(series.family.number)
        self._sums.renew(plain, Sample, NO_EXEMPLARS)
        return families

    def _figures_of(self, number: int) -> FamilyFigures:
        before = self._families[number]
        samples = tuple(chain.from_iterable(self._samples[number]))
        if before.definition.kind == INFO:
            samples = _latest(samples, before.samples)
        return before._replace(samples=samples)

    def _gauge(self, series: OwnSeries) -> tuple[Sample, ...]:
        return self._gauges.samples(series)

    def _counter(self, series: OwnSeries) -> tuple[Sample, ...]:
        if self._block.cells[series.state]:
            return self._once_removed(series)
        first = series.offset
        count: int = self._sums.cells[first]
        more: float = self._sums.floats[first + 1]
        value = count + more if more else count
        if not value and series.is_overflow:
            return ()
        exemplars = self._notes.of(first, series.end) or NO_EXEMPLARS
        return (Sample(series.labels, value, series.created, exemplars),)

    def _amounts(self, series: OwnSeries) -> tuple[Sample, ...]:
        if series.is_overflow or self._block.cells[series.state]:
            return self._once_removed(series)
        exemplars = self._notes.of(series.offset, series.end) or NO_EXEMPLARS
        return (Sample(series.labels, self._value(series, 0), series.created, exemplars),)

    def _once_removed(self, series: OwnSeries) -> tuple[Sample, ...]:
        """The sample of a series that was removed once; none while it is hidden, or has not counted since."""
        state, begin = state_of(self._block, series), begin_of(self._block, series)
        value = self._value(series, state)
        if state == LEAVING or ((state == REMOVED or series.is_overflow) and not _has_counted(value)):
            return ()
        noted = self._notes.of(series.offset, series.end)
        exemplars = {index: exemplar for index, exemplar in noted.items() if exemplar.time >= begin} or NO_EXEMPLARS
        return (Sample(series.labels, value, begin, exemplars),)

    def _value(self, series: OwnSeries, state: int) -> float | Amounts:
        first, end, cells, floats = series.offset, series.end, self._sums.cells, self._sums.floats
        kind = series.family.definition.kind
        if kind == HISTOGRAM:
            sum: float = floats[first]
            counts = tuple(cells[first + 1 : end].tolist())
            if state:
                removed, *fewer = self._removed(series)
                sum, counts = difference(sum, removed), tuple(map(_grown, counts, fewer))
            return Amounts(counts, sum)
        count, more = cells[first], floats[first + 1]
        if state:
            fewer_count, fewer_more = self._removed(series)
            count, more = _grown(count, fewer_count), difference(more, fewer_more)
        if kind == SUMMARY:
            return Amounts((count,), more)
        return count + more if more else count

    def _removed(self, series: OwnSeries) -> list[float]:
        """What the series had when it was last removed. Its page has memory where something was removed."""
        row = self._block.layout.own_row_cell(self._block.layout.slots)
        return [
            self._block.cells[row + cell] if self._kinds[cell] & ~FIRST == INT else self._block.floats[row + cell]
            for cell in range(series.offset, series.end)
        ]

    def _all(self) -> OwnFigures:
        families = self._catalogue.families
        names: dict[tuple[str, str], OwnFamily] = {}
        conflicts: defaultdict[str, int] = defaultdict(int)
        for family in families:
            key = family.definition.name, family.definition.registry
            if key in names:
                conflicts[family.definition.name] += 1
                if self._gauges.is_declared(names[key]) or not self._gauges.is_declared(family):
                    continue
            names[key] = family
        visible = sorted(names.values(), key=lambda family: family.number)
        labelled = [family for family in visible if family.definition.labels]
        return OwnFigures(
            tuple(self._families[family.number] for family in visible),
            dict(conflicts),
            {family.definition.name: self._catalogue.count(family) for family in labelled},
            {family.definition.name: self._overflowed(family) for family in labelled if _counts(family.definition)},
        )

    def _overflowed(self, family: OwnFamily) -> float:
        rest = self._catalogue.rest(family)
        value = self._value(rest, self._block.cells[rest.state]) if rest else 0
        return value.observed if isinstance(value, Amounts) else value


def _counts(definition: Definition) -> bool:
    return VALUE not in definition.cells


def _grown(now: int, removed: float) -> int:
    """Never below 0: what was removed may have been added up later than what there is now."""
    return max(0, now - int(removed))


def _has_counted(value: float | Amounts) -> bool:
    return bool(value.observed or value.sum if isinstance(value, Amounts) else value)


def _latest(samples: Iterable[Sample], before: Iterable[Sample]) -> tuple[Sample, ...]:
    """Of an info's samples, whose last label is when they were said, the last one of each set of label values; the same
    object as before, where it is the same.
    """
    latest: dict[tuple[str, ...], Sample] = {}
    for sample in samples:
        *labels, time = sample.labels
        earlier = latest.get(tuple(labels))
        if earlier is None or float(earlier.labels[-1]) <= float(time):
            latest[tuple(labels)] = sample
    known = {sample.labels: sample for sample in before}
    now = (sample._replace(labels=labels) for labels, sample in latest.items())
    return tuple(known[sample.labels] if known.get(sample.labels) == sample else sample for sample in now)
