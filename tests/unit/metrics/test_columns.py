"""The columns of the history are those that the ring is written with, and say what clients need to draw them."""

from hvd.core import layout
from hvd.metrics.columns import COLUMNS, DETAILS, VALUES

UNITS = {"unix_seconds", "1/s", "ratio", "ms", "percent", "bytes", "count"}
"""What page and terminal know how to write."""


def test_a_point_has_the_values_that_its_format_says() -> None:
    """In this order: blocks of this format have such points by now."""
    assert layout.FORMAT == 7
    assert [column.name for column in VALUES] == [
        *("requests_per_second", "error_rate", "p50", "p90", "p99", "cpu_usage", "memory_usage"),
        *("websocket_clients", "jobs_active", "jobs_pending", "in_flight", "busy_ratio"),
        *("server_error_rate", "client_error_rate"),
    ]


def test_clients_can_draw_each_column() -> None:
    """By a name of its own, in a unit they know; columns of one chart have one unit."""
    assert len({column["name"] for column in DETAILS}) == len(COLUMNS)
    assert {column.unit for column in COLUMNS} == UNITS
    assert (
        len({(column.chart, column.unit) for column in VALUES}) == len({column.chart for column in VALUES}) + 1
    )  # error_rate stands alone
