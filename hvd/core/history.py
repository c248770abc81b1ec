"""The last fifteen minutes: a ring of points in the block, so that they outlive whoever wrote them.

A point is HISTORY_RECORD_CELLS cells: its sequence number, its time (Unix, ns), a float64 for each of VALUE_NAMES, and how
many responses fell into each of the coarse latency buckets since the point before. The sequence is 0 while a point is written and stored
last; a reader takes a point only if it was the same before and after the copy. Aggregators write (two live during an
upgrade), one at a time under the mutation lock.
"""

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hvd.core import layout as at
from hvd.core.block import Block
from hvd.core.latency import BOUNDS, BUCKETS, SHOWN

VALUE_NAMES = (
    *("requests_per_second", "error_rate", "p50", "p90", "p99", "cpu_usage", "memory_usage"),
    *("websocket_clients", "jobs_active", "jobs_pending", "in_flight"),
)

COARSE: tuple[int, ...] = (*SHOWN, 25 * 10**9, 50 * 10**9, 100 * 10**9)
"""Bounds of a point's latency buckets, in ns; a last bucket without bound follows. Exact unions of the fine ones."""

SECONDS = 900  # that are shown
POINT_SECONDS = 2.0  # between two points at least
_ENDS = (0, *(bisect_left(BOUNDS, bound) + 1 for bound in COARSE), BUCKETS)
_SEQUENCE, _TIME, _VALUES, _COUNTS = 0, 1, 2, 16
_RECORD = at.HISTORY_RECORD_CELLS * at.CELL


@dataclass(frozen=True)
class Point:
    """One point: Unix time in ns, the values in the order of VALUE_NAMES, and counts by the buckets of COARSE."""

    time_ns: int
    values: tuple[float, ...]
    counts: tuple[int, ...]


def coarse(buckets: Sequence[int]) -> tuple[int, ...]:
    """Counts by the fine buckets (latency.BOUNDS) → by the coarse ones."""
    return tuple(sum(buckets[start:end]) for start, end in pairwise(_ENDS))


class History:
    """The ring of a block. Safe in any process."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._start = block.layout.history
        end = self._start + at.HISTORY_POINTS * _RECORD
        self._raw = block.raw[self._start : end]
        self._cells = block.cells[self._start // at.CELL : end // at.CELL]

    def add(self, point: Point, apart_ns: int = 0) -> bool:
        """Write the next point; not if the newest is nearer than `apart_ns` in the past: another aggregator's.

        -> whether it was written.
        """
        with self._block.locked():
            sequences = self._sequences()
            last = max(sequences)
            if last:
                newest = self._cells[sequences.index(last) * at.HISTORY_RECORD_CELLS + _TIME]
                if 0 <= point.time_ns - newest < apart_ns:
                    return False
            self._store(last + 1, point)
            return True

    def _store(self, sequence: int, point: Point) -> None:
        first = sequence % at.HISTORY_POINTS * at.HISTORY_RECORD_CELLS
        cells = self._cells
        cells[first + _SEQUENCE] = 0
        cells[first + _TIME] = point.time_ns
        for index, value in enumerate(point.values):
            cells[first + _VALUES + index] = struct.unpack("q", struct.pack("d", value))[0]
        for index, count in enumerate(point.counts):
            cells[first + _COUNTS + index] = count
        cells[first + _SEQUENCE] = sequence

    def _sequences(self) -> list[int]:
        return self._cells[:: at.HISTORY_RECORD_CELLS].tolist()

    def read(self) -> list[Point]:
        """The points of the last fifteen minutes, oldest first, each later than the one before.

        Where the clock was set back, the points from before that lie in the new future are left out.
        """
        before = self._sequences()
        copy = bytes(self._raw)
        after = self._sequences()
        whole = [(sequence, index) for index, sequence in enumerate(before) if sequence and sequence == after[index]]
        points: list[Point] = []
        for _, index in sorted(whole, reverse=True):
            point = _point(copy, index)
            if points and (point.time_ns >= points[-1].time_ns or point.time_ns < points[0].time_ns - SECONDS * 10**9):
                continue
            points.append(point)
        return points[::-1]


def _point(copy: bytes, index: int) -> Point:
    record = memoryview(copy)[index * _RECORD : (index + 1) * _RECORD]
    cells, floats = record.cast("q"), record.cast("d")
    return Point(
        cells[_TIME],
        tuple(floats[_VALUES : _VALUES + len(VALUE_NAMES)].tolist()),
        tuple(cells[_COUNTS : _COUNTS + len(COARSE) + 1].tolist()),
    )
