"""By which bounds durations are shown. Each is a bound of the block's buckets, so counts by them are exact."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

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
