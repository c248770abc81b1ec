"""Pages: bytes that one companion publishes and every process reads, one page for each companion slot.

A page is three cells (sequence, length, CRC-32), then the bytes. The sequence is odd while the companion writes; a
reader takes what it copied only if the sequence was even and the same before and after, and the checksum agrees.
(A sequence lock; Lameter, "Effective synchronization on Linux/NUMA systems", 2005, section on seqlocks.)
"""

import time
import zlib

from hvd.core import layout
from hvd.core.block import Block

_DATA = 3 * layout.CELL
CAPACITY = layout.PAGE_BYTES - _DATA
"""Bytes that a page holds."""

RETRIES = 20
PAUSE = 0.0005  # s; a page is written in some microseconds, unless its writer was stopped there


class Page:
    """The page of a companion slot. One process writes it; any process reads it."""

    def __init__(self, block: Block, slot: int) -> None:
        self._start = block.layout.pages + slot * layout.PAGE_BYTES
        self._raw = block.raw
        self._cells = block.cells[self._start // layout.CELL : self._start // layout.CELL + 3]

    def write(self, data: bytes) -> None:
        """Publish these bytes. Raises ValueError above CAPACITY."""
        if len(data) > CAPACITY:
            raise ValueError(f"{len(data)} bytes don't fit a page of {CAPACITY}")
        sequence = self._cells[0] | 1  # odd already if the writer before us was killed here
        self._cells[0] = sequence
        self._cells[1], self._cells[2] = len(data), zlib.crc32(data)
        self._raw[self._start + _DATA : self._start + _DATA + len(data)] = data
        self._cells[0] = sequence + 1

    def read(self) -> bytes:
        """The bytes published last; none where nothing was published, or the writer is stopped while it writes."""
        if not self._cells[0]:
            return b""  # as most pages: quicker than what a page takes
        for attempt in range(RETRIES):
            before, length, checksum = self._cells.tolist()
            data = bytes(self._raw[self._start + _DATA : self._start + _DATA + min(length, CAPACITY)])
            if before % 2 == 0 and self._cells[0] == before and zlib.crc32(data) == checksum:
                return data
            time.sleep(PAUSE if attempt > 2 else 0)
        return b""
