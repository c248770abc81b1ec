"""The catalogue: which series owns which cells. Append-only, in the block, the same for every process.

A record is 4 bytes of length, 4 of CRC-32 (zlib.crc32), then JSON [family, labels, offset], padded to a whole cell.
It becomes visible when the header's count of bytes is moved past it, the last store: a writer that dies before leaves
no record, at most a run of cells that nobody uses, and the next one writes over it. `offset` is the series' first
cell, counted from the head of any row.
"""

import json
import struct
import zlib
from dataclasses import dataclass

from hvd.core import layout as at
from hvd.core.block import Block
from hvd.core.slots import used_heads
from hvd.errors import BlockForeign, BlockFull
from hvd.metrics import FAMILIES, Family

OVERFLOW = "overflow"
"""The value of every label of a family's overflow series."""

LABEL_CHARS = 120
"""Longer label values are cut: a label is for telling series apart, not for carrying data."""

_PREFIX = struct.Struct("<II")


@dataclass(frozen=True)
class Series:
    """A family with its label values; owns cells offset to offset + cells of every row."""

    family: str
    labels: tuple[str, ...]
    offset: int
    cells: int


class Catalogue:
    """This process's view of the catalogue; `series` is in order of appearance. One thread at a time uses it."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._read = 0
        self._found: dict[tuple[str, tuple[str, ...]], Series] = {}
        self._sizes = dict.fromkeys(FAMILIES, 0)
        self.series: list[Series] = []

    def refresh(self) -> None:
        """Read what other processes appended since. Raises BlockForeign where a record is damaged."""
        end = self._block.cells[at.H_CATALOGUE_BYTES]
        while self._read < end:
            start = self._block.layout.catalogue + self._read
            length, checksum = _PREFIX.unpack_from(self._block.raw, start)
            payload = bytes(self._block.raw[start + _PREFIX.size : start + _PREFIX.size + length])
            if not length or zlib.crc32(payload) != checksum:
                raise BlockForeign(f"block {self._block.name}: catalogue record at byte {self._read} is damaged")
            family, labels, offset = json.loads(payload)
            end_of_run = offset + FAMILIES[family].cells if family in FAMILIES else 0
            if not at.HEAD_CELLS < end_of_run <= self._block.cells[at.H_CELLS_USED]:
                raise BlockForeign(f"block {self._block.name}: catalogue record at byte {self._read} makes no sense")
            self._keep(Series(family, tuple(labels), offset, FAMILIES[family].cells))
            self._read += at.round_up(_PREFIX.size + length, at.CELL)

    def _keep(self, series: Series) -> None:
        self._found[series.family, series.labels] = series
        self._sizes[series.family] += 1
        self.series.append(series)

    def get_or_add(self, family: Family, labels: tuple[str, ...]) -> Series:
        """The series of these label values, appended if nobody has seen it; the overflow series if there is no room."""
        labels = tuple(label[:LABEL_CHARS] for label in labels)
        self.refresh()
        found = self._found.get((family.key, labels))
        if found:
            return found
        overflow = family.key, (OVERFLOW,) * len(family.labels)
        if self.is_full(family) and overflow in self._found:
            return self._found[overflow]  # without the lock: what overflows may come often
        with self._block.locked():
            self.refresh()
            if self.is_full(family):
                labels = overflow[1]
            found = self._found.get((family.key, labels))
            return found or self._append(family, labels) or self._found[overflow]

    def is_full(self, family: Family) -> bool:
        """True if the family has as many series as it may, the overflow series not counted."""
        counted = self._sizes[family.key] - ((family.key, (OVERFLOW,) * len(family.labels)) in self._found)
        return counted >= self.limit(family)

    def limit(self, family: Family) -> int:
        """How many series the family may have."""
        return self._block.layout.series if family.limit is None else family.limit

    def size(self, family: Family) -> int:
        """How many series the family has, as far as this process has read."""
        return self._sizes[family.key]

    def reserve_overflow(self) -> None:
        """Append every family's overflow series, so that there is room for it when the rest is used up."""
        for family in FAMILIES.values():
            if family.labels:
                self.get_or_add(family, (OVERFLOW,) * len(family.labels))

    def _reserve(self, offset: int, count: int) -> None:
        """Memory for the run in the rows in use and in those that a process may always count in."""
        layout = self._block.layout
        for number in range(layout.slots):
            heads = {*used_heads(self._block, number)}
            if self._block.cells[layout.slot_cell(number) + at.S_TAKEN]:
                heads |= {layout.row_cell(number, 0), layout.row_cell(number, layout.rows - 1)}
            for head in heads:
                self._block.reserve(head + offset, count)

    def _append(self, family: Family, labels: tuple[str, ...]) -> Series | None:
        cells, layout = self._block.cells, self._block.layout
        offset, used = cells[at.H_CELLS_USED], cells[at.H_CATALOGUE_BYTES]
        payload = json.dumps([family.key, labels, offset], separators=(",", ":")).encode()
        size = at.round_up(_PREFIX.size + len(payload), at.CELL)
        if offset + family.cells > layout.row_cells or used + size > layout.catalogue_bytes:
            return None
        try:
            self._reserve(offset, family.cells)
        except BlockFull:
            return None
        start = layout.catalogue + used
        record = _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload
        self._block.raw[start : start + size] = record.ljust(size, b"\0")
        cells[at.H_CELLS_USED] = offset + family.cells
        cells[at.H_CATALOGUE_BYTES] = used + size
        self.refresh()
        return self._found[family.key, labels]
