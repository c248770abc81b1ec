"""Which cells of a series are buckets, and how counts go over to buckets with other bounds. Pure."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from hvd.core import amounts
from hvd.core.durations import BOUNDS as DURATIONS
from hvd.core.durations import TIMED_CELLS

BOUNDS: Mapping[str, Sequence[int]] = {
    "durations": DURATIONS,
    "amounts": [2**power for power in range(amounts.POWERS + 1)],
}
"""Upper bounds, inclusive, of the buckets that a block of this version has; one more bucket is above."""

Buckets = list[tuple[int, str]]
"""For each run of buckets its first cell, and the key of its bounds."""


def buckets_of(cells: int) -> Buckets:
    """Those of a series that has so many cells: the number tells what kind it is of."""
    if cells == TIMED_CELLS:
        return [(2, "durations")]
    measured, rest = divmod(cells - 1, amounts.AMOUNT_CELLS)
    return [] if rest else [(2 + index * amounts.AMOUNT_CELLS, "amounts") for index in range(measured)]


def rebucket(counts: Sequence[int], bounds: Sequence[int], others: Sequence[int]) -> list[int]:
    """Counts by buckets with these bounds, as counts by `others`: each goes where its bucket's upper bound lies.

    That is exact where all of `others` are bounds already; else as exact as the wider of the buckets.
    """
    if list(bounds) == list(others):
        return list(counts)
    moved = [0] * (len(others) + 1)
    for count, bound in zip_longest(counts, bounds):
        moved[len(others) if bound is None else bisect_left(others, bound)] += count
    return moved


def is_own(length: int, buckets: Buckets, bounds: Mapping[str, Sequence[int]], cells: int) -> bool:
    """Whether series of that length, whose `buckets` have these `bounds`, are what series of so many cells are here."""
    ours = buckets_of(cells)
    return length == cells and buckets == ours and all(list(bounds[key]) == list(BOUNDS[key]) for _, key in ours)


def convert(run: Sequence[int], buckets: Buckets, bounds: Mapping[str, Sequence[int]], cells: int) -> list[int] | None:
    """A series' cells, whose `buckets` have these `bounds`, as a series of so many cells has them in this version.

    None where the two don't have the same figures.
    """
    ours = buckets_of(cells)
    plain, counts = _split(run, [(first, len(bounds[key]) + 1) for first, key in buckets])
    ends = [(first, len(BOUNDS[key]) + 1) for first, key in ours]
    if len(buckets) != len(ours) or len(plain) != cells - sum(length for _, length in ends):
        return None
    rest, converted = iter(plain), list[int]()
    for (first, key), (_, old), before in zip(ours, buckets, counts, strict=True):
        converted += [next(rest) for _ in range(first - len(converted))]
        converted += rebucket(before, bounds[old], BOUNDS[key])
    return [*converted, *rest]


def _split(run: Sequence[int], spans: Sequence[tuple[int, int]]) -> tuple[list[int], list[list[int]]]:
    """The cells outside of these spans (first cell, length), which are in order, and those in each."""
    plain, inside, place = list[int](), list[list[int]](), 0
    for first, length in spans:
        plain += run[place:first]
        inside.append(list(run[first : first + length]))
        place = first + length
    return [*plain, *run[place:]], inside
