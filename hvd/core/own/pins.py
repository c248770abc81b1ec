"""Pins: keys of own metrics whose last fifteen minutes are kept, in the block, so that they outlive who writes them.

A table of PINS places of PIN_BYTES: a head of P_* cells; the key, in UTF-8, from byte KEY on; from byte RING on a ring
of HISTORY_POINTS points of three cells: Unix time in ns, and two float64, of which the second is NaN where there is
one value only. What a key stands for, and what its values are, is known to those who write and read it.

Places and points are written under the block's mutation lock: places by any process, points by the newest aggregator.
A place is in use, and has memory, once its bit of H_PINS is set. The time of a point is 0 while it is written. A reader
takes no lock: it passes over a key whose checksum doesn't agree, and over what a killed writer left half.
"""

import math
import time
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.history import SECONDS, TICK_LOCK_WAIT
from hvd.core.hot import fence
from hvd.core.locks import COUNT_WAIT
from hvd.errors import BlockFull, BlockLocked

P_LENGTH, P_CHECK, P_POINTS = range(3)
"""Bytes of the key, its CRC-32, and how many points were ever written."""

KEY, RING = 64, 1024
KEY_BYTES = RING - KEY
POINT_CELLS = 3


class PinPoint(NamedTuple):
    """Unix time in ns, and the values: the second is NaN where there is none."""

    time_ns: int
    first: float
    second: float


class Pins:
    """The pins of a block that has room for own metrics. Thread-safe as the block's lock is."""

    def __init__(self, block: Block) -> None:
        self._block = block

    def pinned(self) -> list[str]:
        """All that are pinned, by place."""
        return [key for key, _ in self._places()]

    def add(self, key: str) -> None:
        """Pin it, unless it is. Raises BlockFull where all places are taken, BlockLocked, ValueError for a long key."""
        data = key.encode("utf-8", "backslashreplace")
        if not 0 < len(data) <= KEY_BYTES:
            raise ValueError(f"a key of {len(data)} bytes can't be pinned: it may have 1 to {KEY_BYTES}")
        with self._block.locked(COUNT_WAIT):
            if data.decode() in self.pinned():
                return
            cells, mask = self._block.cells, self._block.cells[layout.H_PINS]
            number = next((number for number in range(self._most) if not mask >> number & 1), None)
            if number is None:
                raise BlockFull(f"{self._most} own metrics are pinned already: unpin one of them")
            place = self._place(number)
            start = place * layout.CELL
            self._block.reserve(place, layout.PIN_BYTES // layout.CELL)
            self._block.raw[start : start + layout.PIN_BYTES] = bytes(layout.PIN_BYTES)
            self._block.raw[start + KEY : start + KEY + len(data)] = data
            cells[place + P_LENGTH], cells[place + P_CHECK] = len(data), zlib.crc32(data)
            fence()
            cells[layout.H_PINS] = mask | 1 << number

    def remove(self, key: str) -> None:
        """Pin it no more. Raises BlockLocked."""
        with self._block.locked(COUNT_WAIT):
            for number in self._taken():
                if self._key(self._place(number)) == key:
                    self._block.cells[layout.H_PINS] &= ~(1 << number)

    def record(self, time_ns: int, values: Mapping[str, tuple[float, ...]]) -> None:
        """Write a point of these keys, those of them that are pinned; none where the lock can't be had in time."""
        try:
            with self._block.locked(TICK_LOCK_WAIT):
                for key, place in self._places():
                    if key in values:
                        first, second, *_ = (*values[key], math.nan)
                        self._store(place, PinPoint(time_ns, first, second))
        except BlockLocked:
            return

    def _store(self, place: int, point: PinPoint) -> None:
        cells, floats = self._block.cells, self._block.floats
        written = cells[place + P_POINTS]
        at = place + RING // layout.CELL + written % layout.HISTORY_POINTS * POINT_CELLS
        cells[at] = 0
        fence()
        floats[at + 1], floats[at + 2] = point.first, point.second
        fence()
        cells[at] = point.time_ns
        cells[place + P_POINTS] = written + 1

    def points(self, key: str, now_ns: int | None = None) -> list[PinPoint]:
        """Those of the fifteen minutes before now (Unix, ns), oldest first; none of what isn't pinned."""
        now = time.time_ns() if now_ns is None else now_ns
        place = dict(self._places()).get(key)
        if place is None:
            return []
        first = place + RING // layout.CELL
        ring = slice(first, first + layout.HISTORY_POINTS * POINT_CELLS)
        cells, floats = self._block.cells[ring].tolist(), self._block.floats[ring].tolist()
        points = (
            PinPoint(cells[at], floats[at + 1], floats[at + 2])
            for at in range(0, layout.HISTORY_POINTS * POINT_CELLS, POINT_CELLS)
        )
        return sorted(point for point in points if now - SECONDS * 10**9 <= point.time_ns <= now)

    @property
    def _most(self) -> int:
        return layout.PINS if self._block.layout.own_series else 0

    def _place(self, number: int) -> int:
        """The cell where it begins."""
        return (self._block.layout.pins + number * layout.PIN_BYTES) // layout.CELL

    def _taken(self) -> list[int]:
        mask = self._block.cells[layout.H_PINS]
        return [number for number in range(self._most) if mask >> number & 1]

    def _places(self) -> list[tuple[str, int]]:
        """Each key with the cell where its place begins."""
        places = map(self._place, self._taken())
        return [(key, place) for place in places if (key := self._key(place))]

    def _key(self, place: int) -> str:
        """ "" where it is damaged."""
        length, start = self._block.cells[place + P_LENGTH], place * layout.CELL + KEY
        data = bytes(self._block.raw[start : start + max(0, min(length, KEY_BYTES))])
        return data.decode("utf-8", "replace") if zlib.crc32(data) == self._block.cells[place + P_CHECK] else ""
