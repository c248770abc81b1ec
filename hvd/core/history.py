"""The last fifteen minutes: a ring of points in the block, so that they outlive the process that wrote them.

A point is HISTORY_RECORD_CELLS cells: its sequence number, a CRC-32 of all the rest and of the sequence, its time
(Unix, ns), a float64 for each of its values, and its counts. Whoever opens the ring says how many values and counts a
point has: another number of them needs another layout.FORMAT. The point of sequence n lies at place n modulo
HISTORY_POINTS. Its sequence is 0 while it is written, and stored last.

Aggregators write: of two that live during an upgrade the newer one. A writer holds the mutation lock, which ends with
its holder; so no two ever write into one place. A reader takes no lock. Of a point that is being written, or that a
killed writer left half, it copies the sequence 0 or a checksum that doesn't agree, and passes it over.
"""

import math
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from hvd.core import layout
from hvd.core.block import Block
from hvd.errors import BlockLocked

SECONDS = 900  # that a reader gets
POINT_SECONDS = SECONDS / layout.HISTORY_POINTS  # between two points at least: then the ring holds SECONDS of them
TICK_LOCK_WAIT = 0.05  # s; a tick doesn't wait for a process that is stopped with the lock: the next tick writes

_SEQUENCE, _CHECK, _TIME = 0, 1, 2
_RECORD = layout.HISTORY_RECORD_CELLS * layout.CELL
_LAST = 2**62  # what claims a higher sequence is damaged


@dataclass(frozen=True)
class Point:
    """One point: Unix time in ns, its values and its counts."""

    time_ns: int
    values: tuple[float, ...]
    counts: tuple[int, ...]


def spacing(interval: float) -> float:
    """Seconds between two points where a tick comes every `interval` s: as many whole ticks as POINT_SECONDS need."""
    return round(interval * math.ceil(round(POINT_SECONDS / interval, 6)), 6)


class History:
    """The ring of a block, with points of so many values and counts. Any process reads it; the newest aggregator adds.

    Raises ValueError where a point has no room for them.
    """

    def __init__(self, block: Block, values: int, counts: int) -> None:
        self._block = block
        self._values = values
        self._body = struct.Struct(f"=q{values}d{counts}q")
        if _TIME * layout.CELL + self._body.size > _RECORD:
            raise ValueError(f"{values} values and {counts} counts don't fit a point of {_RECORD} bytes")
        start = block.layout.history
        end = start + layout.HISTORY_POINTS * _RECORD
        self._raw = block.raw[start:end]
        self._cells = block.cells[start // layout.CELL : end // layout.CELL]

    def add(self, point: Point) -> bool:
        """Write the next point. -> False, with nothing written, if the lock was not free in time."""
        try:
            with self._block.locked(TICK_LOCK_WAIT):
                newest = max((sequence for _, sequence in self._sequences()), default=0)
                self._store(newest + 1, point)
        except BlockLocked:
            return False
        return True

    def fill(self, points: Sequence[Point]) -> None:
        """Write these points, at most HISTORY_POINTS and the oldest first, into a ring that nobody else uses yet.

        Raises struct.error where one has other than the ring's values and counts: then nothing is written.
        """
        for point in points:
            self._pack(point)
        for sequence, point in enumerate(points, 1):
            self._store(sequence, point)

    def _pack(self, point: Point) -> bytes:
        return self._body.pack(point.time_ns, *point.values, *point.counts)

    def _sequences(self) -> list[tuple[int, int]]:
        """Place and sequence of what may be a point."""
        sequences = enumerate(self._cells[:: layout.HISTORY_RECORD_CELLS].tolist())
        return [(n, number) for n, number in sequences if 0 < number < _LAST and number % layout.HISTORY_POINTS == n]

    def _store(self, sequence: int, point: Point) -> None:
        first = sequence % layout.HISTORY_POINTS * layout.HISTORY_RECORD_CELLS
        body = self._pack(point)
        start = (first + _TIME) * layout.CELL
        self._cells[first + _SEQUENCE] = 0
        self._raw[start : start + len(body)] = body
        self._cells[first + _CHECK] = _check(sequence, body)
        self._cells[first + _SEQUENCE] = sequence

    def read(self, now_ns: int | None = None) -> list[Point]:
        """The points of the fifteen minutes before now (Unix, ns), oldest first, each later than the one before.

        Where the clock was set back, the points that lie after newer ones, or after now, are left out.
        """
        now = time.time_ns() if now_ns is None else now_ns
        newest_first = sorted(self._sequences(), key=lambda place: place[1], reverse=True)
        points: list[Point] = []
        before = now + 1
        for place, sequence in newest_first:
            point = self._load(place, sequence)
            if point and now - SECONDS * 10**9 <= point.time_ns < before:
                before = point.time_ns
                points.append(point)
        return points[::-1]

    def _load(self, place: int, sequence: int) -> Point | None:
        record = bytes(self._raw[place * _RECORD : (place + 1) * _RECORD])
        body = record[_TIME * layout.CELL : _TIME * layout.CELL + self._body.size]
        if struct.unpack_from("=qq", record) != (sequence, _check(sequence, body)):
            return None
        time_ns, *numbers = self._body.unpack(body)
        return Point(time_ns, tuple(numbers[: self._values]), tuple(numbers[self._values :]))


def _check(sequence: int, body: bytes) -> int:
    return zlib.crc32(body, sequence & 0xFFFFFFFF)
