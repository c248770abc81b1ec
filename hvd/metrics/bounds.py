"""By which bounds durations and sizes are shown. All are bounds of the block's buckets, so counts are exact."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hvd.core import amounts
from hvd.core.durations import BOUNDS, BUCKETS


def _ends(bounds: Sequence[int]) -> tuple[int, ...]:
    """How many of the block's buckets are below each of the bounds, and how many there are."""
    return (*(bisect_left(BOUNDS, bound) + 1 for bound in bounds), BUCKETS)


_STEPS: tuple[int, ...] = (*(round(10**decade * step) for decade in range(5, 10) for step in (1, 2.5, 5)), 10**10)

APDEX = 300 * 10**6
"""0.3 s: the time within which a response satisfies, as apdex is usually asked for; 1.2 s, the time that is tolerated,
is near enough to the bound of 1 s.
"""

SHOWN: tuple[int, ...] = tuple(sorted((*_STEPS, APDEX)))
"""The bounds that Prometheus is shown, in ns: 100 µs to 10 s."""

SHOWN_ENDS = _ends(SHOWN)
"""Where cumulative counts by SHOWN are taken."""

COARSE: tuple[int, ...] = (*_STEPS, 25 * 10**9, 50 * 10**9, 100 * 10**9)
"""Bounds of the buckets of a point of the history, in ns; a last bucket without bound follows. Evenly spaced, as
rows of a heat map, so without APDEX.
"""

_COARSE_ENDS = (0, *_ends(COARSE))


def coarse(buckets: Sequence[int]) -> tuple[int, ...]:
    """Counts by the block's buckets → by those of COARSE."""
    return tuple(sum(buckets[start:end]) for start, end in pairwise(_COARSE_ENDS))


@dataclass(frozen=True)
class Shape:
    """Where a series has the sum and the buckets of a histogram, counted from its first cell, and how it is shown:
    where cumulative counts are taken, the bounds as texts, and how many of the cells' unit are one of the shown.
    """

    sum_at: int
    buckets_at: int
    ends: tuple[int, ...]
    bounds: tuple[str, ...]
    scale: float


DURATIONS = Shape(1, 2, SHOWN_ENDS, (*(repr(bound / 1e9) for bound in SHOWN), "+Inf"), 1e9)

_POWERS = range(6, 31, 2)  # 64 bytes to a gibibyte


def amount(index: int) -> Shape:
    """The shape of one of the amounts of a measured series."""
    start = 1 + index * amounts.AMOUNT_CELLS
    ends = (*(power + 1 for power in _POWERS), amounts.BUCKETS)
    return Shape(start, start + 1, ends, (*(str(2**power) for power in _POWERS), "+Inf"), 1)
