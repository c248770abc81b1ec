"""Counts by buckets go over to other buckets, and none is lost or made."""

import pytest

from hvd.core import amounts
from hvd.core.durations import BUCKETS, TIMED_CELLS
from hvd.daemon.kept.buckets import BOUNDS, buckets_of, convert, rebucket
from hvd.metrics.table import FAMILIES, SIZES


def test_the_cells_of_each_family_tell_its_buckets() -> None:
    """Timed and measured ones have theirs, others have none: no number of cells stands for two kinds."""
    for family in FAMILIES.all:
        known = [(2, "durations")] if family.cells == TIMED_CELLS else []
        known = [(2, "amounts"), (2 + amounts.AMOUNT_CELLS, "amounts")] if family == SIZES else known
        assert buckets_of(family.cells) == known
        assert all(first + len(BOUNDS[key]) < family.cells for first, key in known)
    assert (TIMED_CELLS - 1) % amounts.AMOUNT_CELLS
    assert len(BOUNDS["durations"]) + 1 == BUCKETS
    assert [amounts.bucket_of(bound) for bound in BOUNDS["amounts"]] == list(range(amounts.BUCKETS - 1))


@pytest.mark.parametrize(
    ("counts", "bounds", "others", "moved"),
    [
        ([1, 2, 3], [10, 20], [10, 20], [1, 2, 3]),
        ([1, 2, 3, 4], [10, 20, 30], [20], [3, 7]),  # exact: all others are bounds already
        ([1, 2, 3], [10, 20], [5, 12, 15, 40], [0, 1, 0, 2, 3]),  # as their upper bounds lie
        ([1, 2, 3], [10, 20], [], [6]),
        ([6], [], [10], [0, 6]),
    ],
)
def test_counts_go_to_other_buckets(counts: list[int], bounds: list[int], others: list[int], moved: list[int]) -> None:
    """Each to where its bucket's upper bound lies."""
    assert rebucket(counts, bounds, others) == moved


def test_a_series_with_other_bounds_is_converted() -> None:
    """Count and sums stay what they are; a series of other figures is none of this version."""
    timed = convert([7, 900, 3, 4], [(2, "d")], {"d": [BOUNDS["durations"][5]]}, TIMED_CELLS)
    assert timed is not None
    assert (timed[:2], sum(timed[2:]), timed[2 + 5], timed[-1]) == ([7, 900], 7, 3, 4)
    sizes = convert([9, 50, 1, 8, 60, 9], [(2, "a"), (5, "b")], {"a": [64], "b": []}, SIZES.cells)
    assert sizes is not None
    second = 1 + amounts.AMOUNT_CELLS
    assert (sizes[0], sizes[1], sizes[2 + 6], sizes[second], sizes[-1]) == (9, 50, 1, 60, 9)
    assert sum(sizes[2:second]) == 9
    assert convert([7, 900, 3, 4], [(2, "d")], {"d": [10]}, SIZES.cells) is None
    assert convert([7, 1], [], {}, 1) is None
