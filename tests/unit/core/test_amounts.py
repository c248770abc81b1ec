"""Buckets of amounts."""

import pytest

from hvd.core.amounts import AMOUNT_CELLS, BUCKETS, POWERS, bucket_of, measured_cells


def test_a_power_of_two_belongs_to_the_bucket_that_it_ends() -> None:
    """And one more to the next; nothing is above the last."""
    assert [bucket_of(amount) for amount in (0, 1, 2, 3, 4, 5)] == [0, 0, 1, 2, 2, 3]
    for power in range(2, POWERS + 1):
        assert (bucket_of(2**power), bucket_of(2**power + 1)) == (power, power + 1)
    assert bucket_of(2**62) == BUCKETS - 1


@pytest.mark.parametrize("amounts", [1, 2])
def test_a_series_has_a_count_and_each_amount_its_sum_and_buckets(amounts: int) -> None:
    """One run of cells."""
    assert measured_cells(amounts) == 1 + amounts * (1 + BUCKETS) == 1 + amounts * AMOUNT_CELLS
