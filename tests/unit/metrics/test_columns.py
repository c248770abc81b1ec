"""The columns of the history are those that the ring is written with, and say what clients need to draw them."""

from hvd.core.history import VALUE_NAMES
from hvd.metrics.columns import COLUMNS, DETAILS, VALUES

UNITS = {"unix_seconds", "1/s", "ratio", "ms", "percent", "bytes", "count"}
"""What page and terminal know how to write."""


def test_a_point_has_its_values_in_the_order_of_the_columns() -> None:
    """Whoever writes and whoever reads it agree."""
    assert tuple(column.name for column in VALUES) == VALUE_NAMES


def test_clients_can_draw_each_column() -> None:
    """By a name of its own, in a unit they know; columns of one chart have one unit."""
    assert len({column["name"] for column in DETAILS}) == len(COLUMNS)
    assert {column.unit for column in COLUMNS} == UNITS
    assert len({(column.chart, column.unit) for column in VALUES}) == len({column.chart for column in VALUES})
