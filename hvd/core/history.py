"""The last fifteen minutes: a ring of points in the block, so that they outlive whoever wrote them.

A point is HISTORY_RECORD_CELLS cells: its sequence number, a CRC-32 of all the rest and of the sequence, its time
(Unix, ns), a float64 for each of VALUE_NAMES, and how many responses fell into each of the coarse latency buckets in
its span. The point of sequence n lies at place n modulo HISTORY_POINTS. Its sequence is 0 while it is written, and
stored last.

Aggregators write: of two that live during an upgrade the newer one, and whoever writes holds the mutation lock, which
ends with its holder; so no two ever write into one place. A reader takes no lock: what it copied of a point that is
being written, or that a killed writer left half, has the sequence 0 or a checksum that doesn't agree, and is passed
over.
"""

import math
import struct
import time
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.latency import BOUNDS, BUCKETS, SHOWN
from hvd.errors import BlockLocked

VALUE_NAMES = (
    *("requests_per_second", "error_rate", "p50", "p90", "p99", "cpu_usage", "memory_usage"),
    *("websocket_clients", "jobs_active", "jobs_pending", "in_flight"),
)

COARSE: tuple[int, ...] = (*SHOWN, 25 * 10**9, 50 * 10**9, 100 * 10**9)
"""Bounds of a point's latency buckets, in ns; a last bucket without bound follows. Exact unions of the fine ones."""

SECONDS = 900  # that are shown
POINT_SECONDS = SECONDS / layout.HISTORY_POINTS  # between two points at least: the ring holds all that is shown
LOCK_WAIT = 0.05  # s; a tick doesn't wait for a process that is stopped with the lock: the next one writes

_ENDS = (0, *(bisect_left(BOUNDS, bound) + 1 for bound in COARSE), BUCKETS)
_BODY = struct.Struct(f"=q{len(VALUE_NAMES)}d{len(COARSE) + 1}q")
_SEQUENCE, _CHECK, _TIME = 0, 1, 2
_RECORD = layout.HISTORY_RECORD_CELLS * layout.CELL
_LAST = 2**62  # what claims a higher sequence is damaged


@dataclass(frozen=True)
class Point:
    """One point: Unix time in ns, the values in the order of VALUE_NAMES, and counts by the buckets of COARSE."""

    time_ns: int
    values: tuple[float, ...]
    counts: tuple[int, ...]


def spacing(interval: float) -> float:
    """Seconds between two points where a tick comes every `interval` s: as many whole ticks as POINT_SECONDS need."""
    return round(interval * math.ceil(round(POINT_SECONDS / interval, 6)), 6)


def coarse(buckets: Sequence[int]) -> tuple[int, ...]:
    """Counts by the fine buckets (latency.BOUNDS) → by the coarse ones."""
    return tuple(sum(buckets[start:end]) for start, end in pairwise(_ENDS))


class History:
    """The ring of a block. Any process reads it; `add` is for the newest aggregator."""

    def __init__(self, block: Block) -> None:
        self._block = block
        start = block.layout.history
        end = start + layout.HISTORY_POINTS * _RECORD
        self._raw = block.raw[start:end]
        self._cells = block.cells[start // layout.CELL : end // layout.CELL]

    def add(self, point: Point) -> bool:
        """Write the next point. -> False if the lock could not be had in time: nothing was written."""
        try:
            with self._block.locked(LOCK_WAIT):
                self._store(self._newest() + 1, point)
        except BlockLocked:
            return False
        return True

    def _newest(self) -> int:
        return max((sequence for _, sequence in self._sequences()), default=0)

    def _sequences(self) -> list[tuple[int, int]]:
        """Place and sequence of what may be a point."""
        sequences = enumerate(self._cells[:: layout.HISTORY_RECORD_CELLS].tolist())
        return [(n, number) for n, number in sequences if 0 < number < _LAST and number % layout.HISTORY_POINTS == n]

    def _store(self, sequence: int, point: Point) -> None:
        first = sequence % layout.HISTORY_POINTS * layout.HISTORY_RECORD_CELLS
        body = _BODY.pack(point.time_ns, *point.values, *point.counts)
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
        newest_first = sorted(self._sequences(), key=lambda found: found[1], reverse=True)
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
        body = record[_TIME * layout.CELL : _TIME * layout.CELL + _BODY.size]
        if struct.unpack_from("=qq", record) != (sequence, _check(sequence, body)):
            return None
        time_ns, *numbers = _BODY.unpack(body)
        return Point(time_ns, tuple(numbers[: len(VALUE_NAMES)]), tuple(numbers[len(VALUE_NAMES) :]))


def _check(sequence: int, body: bytes) -> int:
    return zlib.crc32(body, sequence & 0xFFFFFFFF)
