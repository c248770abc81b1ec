"""Logarithmic latency buckets and what is read from them. Pure.

Twenty-four buckets a decade, from 10 µs to 100 s. The bounds of a decade are 1, 2.5, 5 and geometric steps between
them, so that Prometheus' usual bounds are bounds here too and its buckets are exact unions of these. The widest
bucket spans a factor of 2^(1/7) = 1.104; the harmonic mean of its ends is then at most
(r - 1) / (r + 1) = 4.95 % from any value in it. (DDSketch, Masson, Rim and Lee, VLDB 2019, section 2.2, has the proof.)
"""

from bisect import bisect_left
from collections.abc import Sequence


def _bounds() -> tuple[int, ...]:
    bounds = []
    for decade in range(4, 11):  # 10^4 ns to 10^11 ns
        for start, end, steps in ((1.0, 2.5, 10), (2.5, 5.0, 7), (5.0, 10.0, 7)):
            bounds += [round(10**decade * start * (end / start) ** (i / steps)) for i in range(steps)]
    return (*bounds, 10**11)


BOUNDS: tuple[int, ...] = _bounds()
"""Upper bounds in ns, inclusive as Prometheus' `le`; a last bucket without bound follows them."""

BUCKETS = len(BOUNDS) + 1

TIMED_CELLS = 2 + BUCKETS
"""Cells of a timed series: how many were counted, the sum of their durations in ns, and buckets of the durations."""

SHOWN: tuple[int, ...] = (*(round(10**decade * step) for decade in range(5, 10) for step in (1, 2.5, 5)), 10**10)
"""The bounds that Prometheus is shown, in ns: 100 µs to 10 s."""

SHOWN_ENDS: tuple[int, ...] = (*(bisect_left(BOUNDS, bound) + 1 for bound in SHOWN), BUCKETS)
"""How many buckets are below each bound of SHOWN, and how many there are: where cumulative counts are taken."""


def percentile(buckets: Sequence[int], share: float) -> float:
    """The latency in ns that `share` (0 to 1) of the counted values don't exceed; 0.0 where nothing is counted.

    Within 5 % of the value of that rank, for values from 10 µs to 100 s; shorter ones give 10 µs, longer ones 100 s.
    """
    total = sum(buckets)
    if not total:
        return 0.0
    rank = max(1, -(-total * share // 1))  # nearest rank, from above
    seen = 0
    for index, count in enumerate(buckets):
        seen += count
        if seen >= rank:
            return _middle(index)
    return float(BOUNDS[-1])


def _middle(index: int) -> float:
    if index == 0:
        return float(BOUNDS[0])
    if index == len(BOUNDS):
        return float(BOUNDS[-1])
    low, high = BOUNDS[index - 1], BOUNDS[index]
    return 2 * low * high / (low + high)
