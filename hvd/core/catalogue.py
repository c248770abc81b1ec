"""The catalogue: which series owns which cells. Append-only, in the block, the same for every process.

A record is 4 bytes of length, 4 of CRC-32 (zlib.crc32), then JSON, padded to a whole cell. The writer's last store
moves the header's count of bytes past it, which makes it visible: a writer that dies before leaves no record, at most a
run of cells that no series owns, and the next writer writes over it.

    {"family": key, "cells": n, "labels": [name, …], "merge": "sum"}    once for each family, before its first series
    [key, [value, …], offset]    a series: its cells begin at offset, counted from the head of any row
    [key, null, offset]          the family's overflow series
    [key, ["overflow", "5xx"], offset]    one more, of those whose last label has that summary

Processes of several versions may use one block. A reader passes over a family that it does not know, or knows in
another form, with its series; over an object that is no family's record; and over whatever else a record has.

To count never fails for want of room. Each family has cells from the start: its overflow series, or, where it has no
labels, its only one. Where there is no room for another series, in memory, in the catalogue or within the limit, counts
go to the overflow series; where a family has not even that, they go to the run of what is lost (layout.LOST).
"""

import contextlib
import json
import struct
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.hot import fence
from hvd.core.limits import OVERFLOW as OVERFLOW
from hvd.core.limits import RETRY as RETRY
from hvd.core.locks import COUNT_WAIT
from hvd.core.slots import used_heads
from hvd.errors import BlockError, BlockForeign, BlockFull

LABEL_CHARS = 120
"""Longer label values are cut: a label is for telling series apart, not for carrying data."""

_NO_OVERFLOW = f"{OVERFLOW}_"  # the last label's value where all are such, and the series is none

_PREFIX = struct.Struct("<II")


@dataclass(frozen=True)
class Family:
    """A metric as it lies in the block: `cells` cells for each set of label values, at most `limit` sets."""

    key: str
    labels: tuple[str, ...]
    cells: int = 1
    limit: int | None = 64  # None: the block's number of series
    summary: Callable[[str], str] | None = None  # of the last label's value: what an overflow series keeps of it

    def overflow_labels(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The labels of the overflow series in which these label values count."""
        last = self.summary(labels[-1]) if self.summary and labels else OVERFLOW
        return (*(OVERFLOW,) * (len(labels) - 1), last)

    def most(self, series: int) -> int:
        """How many sets of label values there may be in a block for so many series."""
        return series if self.limit is None else self.limit


@dataclass(frozen=True)
class Families:
    """The families of a block's users: all, and the two in which a row counts what it begins and finishes."""

    entries: Family  # timed: durations.TIMED_CELLS cells
    aborted: Family  # its only label is the cause
    others: tuple[Family, ...] = ()

    @property
    def all(self) -> tuple[Family, ...]:
        return (self.entries, self.aborted, *self.others)


@dataclass(frozen=True)
class Series:
    """A family with its label values; owns cells offset to offset + cells of every row."""

    family: str
    labels: tuple[str, ...]
    offset: int
    cells: int
    is_overflow: bool = False


class Catalogue:
    """This process's view of the catalogue; `series` is in order of appearance. One thread at a time uses it.

    `families` are those that it knows. None: whatever the records tell, for a process that only reads.
    """

    def __init__(self, block: Block, families: Iterable[Family] | None) -> None:
        self._block = block
        self._read = 0
        self._known = None if families is None else {family.key: family for family in families}
        self._in_block: dict[str, Family | None] = {}  # None: in a form that isn't ours
        self._series: dict[tuple[str, tuple[str, ...] | None], Series] = {}  # None: the overflow series
        self._sizes: defaultdict[str, int] = defaultdict(int)
        self._retry_at: defaultdict[str, float] = defaultdict(float)
        self._is_busy = False
        self._lost = Series("", (), layout.LOST, block.layout.run_cells)
        self.series: list[Series] = []

    def refresh(self) -> None:
        """Read what other processes appended since. Raises BlockForeign where a record is damaged."""
        end = self._block.cells[layout.H_CATALOGUE_BYTES]
        fence()
        while self._read < end:
            start = self._block.layout.catalogue + self._read
            length, checksum = _PREFIX.unpack_from(self._block.raw, start)
            payload = bytes(self._block.raw[start + _PREFIX.size : start + _PREFIX.size + length])
            if not length or zlib.crc32(payload) != checksum:
                raise BlockForeign(f"block {self._block.name}: catalogue record at byte {self._read} is damaged")
            self._take_in(json.loads(payload))
            self._read += layout.round_up(_PREFIX.size + length, layout.CELL)

    def _take_in(self, record: Any) -> None:
        if isinstance(record, dict):
            key = record.get("family", "")
            family = _family(record) if self._known is None else self._known.get(key)
            if family:
                self._in_block.setdefault(key, family if _form(family).items() <= record.items() else None)
        elif isinstance(record, list) and (family := self._in_block.get(record[0])):
            self._keep(family, *record[1:3])

    def _keep(self, family: Family, labels: list[str] | None, offset: int) -> None:
        if not self._block.layout.first_run <= offset <= self._block.cells[layout.H_CELLS_USED] - family.cells:
            raise BlockForeign(f"block {self._block.name}: catalogue record at byte {self._read} makes no sense")
        if labels is None:
            series = Series(family.key, (OVERFLOW,) * len(family.labels), offset, family.cells, is_overflow=True)
            self._series[family.key, None] = series
        else:
            series = Series(family.key, tuple(labels), offset, family.cells, _is_overflow(labels))
            self._series[family.key, series.labels] = series
            self._sizes[family.key] += not series.is_overflow
        self.series.append(series)

    def get_or_add(self, family: Family, labels: tuple[str, ...]) -> Series:
        """The series of these label values, appended if the block has none; the overflow series where there is no room.

        Raises nothing, and waits for the lock no longer than COUNT_WAIT. A destructor or a signal handler that calls it
        while the same thread is in another call gets the overflow series.
        """
        labels = _bounded_labels(labels)
        series = None
        if self._is_busy:
            return self.instead(family)
        self._is_busy = True
        try:
            self.refresh()
            series = self._series.get((family.key, labels))
            if not series and time.monotonic() >= self._retry_at[family.key]:
                series = None if self.is_full(family) else self._add(family, labels)
                if not series and family.summary and self.is_full(family):
                    series = self._overflow_of(family, labels)
        except BlockError:
            self._retry_at[family.key] = time.monotonic() + RETRY
        finally:
            self._is_busy = False
        return series or self.instead(family, labels)

    def _overflow_of(self, family: Family, labels: tuple[str, ...]) -> Series | None:
        """The overflow series of these label values, appended if there is none. Raises BlockError where it can't be."""
        shared = family.overflow_labels(labels)
        if set(shared) == {OVERFLOW}:
            return None
        return self._series.get((family.key, shared)) or self._add(family, shared)

    def instead(self, family: Family, labels: tuple[str, ...] = ()) -> Series:
        """What counts for a series that can't be had: an overflow series, else what is lost."""
        shared = self._series.get((family.key, family.overflow_labels(labels))) if labels else None
        return shared or self._series.get((family.key, None)) or self._lost

    def _add(self, family: Family, labels: tuple[str, ...] | None) -> Series | None:
        """The series, appended if there is none; None if there may be none. Raises BlockError where it can't be."""
        with self._block.locked(COUNT_WAIT):
            self.refresh()
            is_ours = self._in_block.get(family.key, family) is not None
            may_be = labels is None or _is_overflow(labels) or not self.is_full(family)
            if is_ours and may_be and (family.key, labels) not in self._series:
                self._append(family, labels)
            return self._series.get((family.key, labels))

    def is_full(self, family: Family) -> bool:
        """True if the family has as many series as it may, the overflow series not counted."""
        return self._sizes[family.key] >= family.most(self._block.layout.series)

    @property
    def families(self) -> list[Family]:
        """Those in the block, as far as they are known here."""
        return [family for family in self._in_block.values() if family]

    def add_families(self) -> None:
        """Give each family its first cells. For masters, at their start. Raises BlockError."""
        self.refresh()
        for family in (self._known or {}).values():
            with contextlib.suppress(BlockFull):  # of a block that was taken over: counts of this family are lost
                self._add(family, None if family.labels else ())

    def fill(self, family: Family, sets: Iterable[tuple[str, ...]]) -> list[Series]:
        """The series of each of these label values, in a block that no process counts in yet; else as `get_or_add`.

        It reserves no memory: the caller does so, once, of the row that it writes. One by one, two thousand series took
        half a second.
        """
        with self._block.locked(COUNT_WAIT):
            self.refresh()
            wanted = [_bounded_labels(labels) for labels in sets]
            room = max(0, family.most(self._block.layout.series) - self._sizes[family.key])
            new = [labels for labels in dict.fromkeys(wanted) if (family.key, labels) not in self._series]
            new = _with_overflow(family, new, room)
            cells, shape = self._block.cells, self._block.layout
            offset, data = cells[layout.H_CELLS_USED], bytearray()
            left = shape.catalogue_bytes - cells[layout.H_CATALOGUE_BYTES]
            for labels in new:
                record = _encode([family.key, labels, offset])
                if offset + family.cells > shape.row_cells or len(data) + len(record) > left:
                    break
                data += record
                offset += family.cells
            self._publish(bytes(data), offset)
        return [self._series.get((family.key, labels)) or self.instead(family, labels) for labels in wanted]

    def _append(self, family: Family, labels: tuple[str, ...] | None) -> None:
        cells, shape = self._block.cells, self._block.layout
        offset, used = cells[layout.H_CELLS_USED], cells[layout.H_CATALOGUE_BYTES]
        records: list[Any] = [[family.key, labels, offset]]
        if family.key not in self._in_block:
            records.insert(0, _form(family))
        data = b"".join(map(_encode, records))
        if offset + family.cells > shape.row_cells or used + len(data) > shape.catalogue_bytes:
            raise BlockFull(f"block {self._block.name} has no room for another series: set max_series higher")
        self._reserve(offset, family.cells)
        self._publish(data, offset + family.cells)

    def _publish(self, records: bytes, cells_used: int) -> None:
        """Store these records after the others; the last store makes them visible. The caller holds the lock."""
        cells = self._block.cells
        used = cells[layout.H_CATALOGUE_BYTES]
        start = self._block.layout.catalogue + used
        self._block.raw[start : start + len(records)] = records
        cells[layout.H_CELLS_USED] = cells_used
        fence()
        cells[layout.H_CATALOGUE_BYTES] = used + len(records)
        self.refresh()

    def _reserve(self, offset: int, count: int) -> None:
        """Memory for the run in the rows in use, and in the two of each slot that Slots reserves.

        Slots that are free get theirs too: a process that takes one of them needs no more memory.
        """
        shape = self._block.layout
        for number in range(shape.slots):
            heads = {*used_heads(self._block, number)}
            if self._block.cells[shape.slot_cell(number) + layout.S_TAKEN_NS]:
                heads |= {shape.row_cell(number, 0), shape.row_cell(number, shape.rows - 1)}
            for head in heads:
                self._block.reserve(head + offset, count)


def _is_overflow(labels: Sequence[str]) -> bool:
    """Whether these are the labels of an overflow series that keeps something of the last one."""
    return len(labels) > 1 and set(labels[:-1]) == {OVERFLOW} and labels[-1] != _NO_OVERFLOW


def _with_overflow(family: Family, sets: Sequence[tuple[str, ...]], room: int) -> list[tuple[str, ...]]:
    """The first ones of these label values, for which there is room; and those of overflow series, for the others."""
    own = [labels for labels in sets if not _is_overflow(labels)]
    shared = {family.overflow_labels(labels) for labels in own[room:]}.union(filter(_is_overflow, sets))
    return [*own[:room], *sorted(labels for labels in shared if set(labels) != {OVERFLOW})]


def _form(family: Family) -> dict[str, Any]:
    """A family's record: what processes that add up the same cells must agree on."""
    return {"family": family.key, "cells": family.cells, "labels": list(family.labels), "merge": "sum"}


def _family(record: dict[str, Any]) -> Family:
    """The family of a record; one of another form where the record is no family's."""
    return Family(record.get("family", ""), tuple(record.get("labels", ())), record.get("cells", 0))


def _bounded_labels(labels: Iterable[object]) -> tuple[str, ...]:
    """Label values as the catalogue has them: texts, cut, and never the same as those of an overflow series."""
    texts = tuple(str(label)[:LABEL_CHARS] for label in labels)
    return (*texts[:-1], _NO_OVERFLOW) if texts and set(texts) == {OVERFLOW} else texts


def _encode(record: Any) -> bytes:
    payload = json.dumps(record, separators=(",", ":")).encode()
    data = _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload
    return data.ljust(layout.round_up(len(data), layout.CELL), b"\0")
