"""The history of a daemon."""

from hvd.core.block import Block
from hvd.core.history import Point
from hvd.metrics.bounds import COARSE
from hvd.metrics.columns import VALUES
from hvd.read.history import history_of


def test_a_point_has_a_value_for_each_column_and_a_count_for_each_bucket(block: Block) -> None:
    """As they were written."""
    point = Point(10**18, tuple(map(float, range(len(VALUES)))), tuple(range(len(COARSE) + 1)))
    assert history_of(block).add(point)
    assert history_of(block).read(10**18) == [point]
