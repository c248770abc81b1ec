"""Notes: texts that belong to a cell, as an exemplar of what it counts. The last one written is kept.

A table of NOTES records of NOTE_BYTES; a cell's note is at its number modulo NOTES, so two cells that are that far
apart have one place, and the later note is kept. A record is CRC-32 and length of what follows, then JSON: the cell,
the value, the Unix time in s, the labels. Processes write without a lock; one that is half written has another
checksum, and is no note. A byte for each record says that it was written again: a reader looks at those only, for the
segment is sparse, and to read where nothing was written would take memory too.
"""

import json
import struct
import zlib
from collections.abc import Mapping

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.samples import Exemplar as Exemplar
from hvd.errors import BlockFull

_PREFIX = struct.Struct("<II")


class Notes:
    """The block's notes, as this process reads and writes them. One thread at a time uses it."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._reserved: set[int] = set()
        self._exemplars: dict[int, Exemplar] = {}
        self._marks = bytes(layout.NOTES)
        self._cells: dict[int, int] = {}  # of each note that was found, which cell's it is

    @property
    def written(self) -> int:
        """How many were ever written, more or less: it changes with each."""
        return self._block.cells[layout.H_NOTES]

    def write(self, cell: int, exemplar: Exemplar) -> None:
        """Keep an exemplar of what a cell of a row counts; nothing where it is too long, or memory lacks."""
        data = json.dumps([cell, exemplar.value, exemplar.time, exemplar.labels], ensure_ascii=False).encode(
            "utf-8", "replace"
        )
        if len(data) > layout.NOTE_BYTES - _PREFIX.size:
            return
        shape = self._block.layout
        number = cell % layout.NOTES
        start, mark = shape.notes + number * layout.NOTE_BYTES, shape.note_marks + number
        if not self._has_memory(start):
            return
        record = _PREFIX.pack(zlib.crc32(data), len(data)) + data
        raw = self._block.raw
        raw[start : start + len(record)] = record
        raw[mark] = raw[mark] % 255 + 1
        self._block.cells[layout.H_NOTES] += 1

    def _has_memory(self, start: int) -> bool:
        """Have memory for the marks and the page of a note; of each page the kernel is asked once."""
        page, block = start // layout.PAGE, self._block
        if page not in self._reserved:
            try:
                block.reserve(block.layout.note_marks // layout.CELL, layout.NOTES // layout.CELL)
                block.reserve(page * layout.PAGE_CELLS, layout.PAGE_CELLS)
            except BlockFull:
                return False
            self._reserved.add(page)
        return True

    def read(self) -> set[int]:
        """Take in what was written since. -> the cells whose note is another one now."""
        first = self._block.layout.note_marks
        before, self._marks = self._marks, bytes(self._block.raw[first : first + layout.NOTES])
        changed: set[int] = set()
        for number, (mark, earlier) in enumerate(zip(self._marks, before, strict=True)):
            if mark != earlier:
                changed |= self._take_in(number)
        return changed

    def _take_in(self, number: int) -> set[int]:
        start = self._block.layout.notes + number * layout.NOTE_BYTES
        record = bytes(self._block.raw[start : start + layout.NOTE_BYTES])
        checksum, length = _PREFIX.unpack_from(record)
        data = record[_PREFIX.size : _PREFIX.size + length]
        earlier = self._cells.pop(number, -1)
        self._exemplars.pop(earlier, None)
        if length and zlib.crc32(data) == checksum:
            cell, value, time, labels = json.loads(data)
            self._exemplars[cell], self._cells[number] = Exemplar(labels, value, time), cell
            return {earlier, cell} - {-1}
        return {earlier} - {-1}

    def of(self, first: int, end: int) -> Mapping[int, Exemplar]:
        """The notes of these cells, by their distance from the first."""
        return (
            {cell - first: self._exemplars[cell] for cell in range(first, end) if cell in self._exemplars}
            if self._exemplars
            else {}
        )
