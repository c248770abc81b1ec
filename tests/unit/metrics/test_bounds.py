"""The bounds by which durations are shown."""

import random
from array import array

from hvd.core.amounts import BUCKETS as BUCKETS_OF_AMOUNT
from hvd.core.amounts import bucket_of, measured_cells
from hvd.core.durations import BOUNDS, BUCKETS
from hvd.core.hot import cumulate
from hvd.metrics.bounds import COARSE, SHOWN, SHOWN_ENDS, amount, coarse
from tests.unit.figures import between, timed


def shown_cumulative(buckets: list[int]) -> list[int]:
    """As exposition.py takes them."""
    return list(cumulate(memoryview(array("q", buckets)), 0, SHOWN_ENDS))


def test_shown_bounds_are_bounds() -> None:
    """So what Prometheus is shown are unions of buckets."""
    assert set(SHOWN) <= set(BOUNDS)


def test_a_value_on_a_shown_bound_counts_below_it() -> None:
    """`le` is inclusive, and one ns more is above."""
    for at, bound in enumerate(SHOWN):
        assert shown_cumulative(timed(bound)[2:])[at] == 1
        assert shown_cumulative(timed(bound + 1)[2:])[at] == 0


def test_cumulative_counts_are_those_of_the_values() -> None:
    """Exact at every shown bound, all of them in the last element."""
    random_ = random.Random(5)
    values = [between(random_, 1, 10**12) for _ in range(5000)]
    expected = [sum(value <= bound for value in values) for bound in SHOWN]
    assert shown_cumulative(timed(*values)[2:]) == [*expected, len(values)]


def test_coarse_buckets_are_unions_of_the_fine_ones() -> None:
    """Nothing is lost, and every bound is met exactly."""
    assert set(COARSE) <= set(BOUNDS)
    fine = list(range(BUCKETS))
    assert sum(coarse(fine)) == sum(fine)
    assert len(coarse(fine)) == len(COARSE) + 1
    for index, bound in enumerate(COARSE):
        buckets = [0] * BUCKETS
        buckets[BOUNDS.index(bound)] = 1
        assert coarse(buckets).index(1) == index


def test_sizes_are_shown_by_powers_of_two() -> None:
    """What is on a shown bound counts below it, and all in the last; each amount has cells of its own."""
    shape = amount(1)
    for power in range(42):
        cells = array("q", [0] * measured_cells(2))
        cells[shape.buckets_at + bucket_of(2**power)] = 1
        shown = cumulate(memoryview(cells), shape.buckets_at, shape.ends)
        assert shown == (*(int(2**power <= int(bound)) for bound in shape.bounds[:-1]), 1)
    assert amount(0).buckets_at + BUCKETS_OF_AMOUNT == shape.sum_at
