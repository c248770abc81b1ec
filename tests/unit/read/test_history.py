"""The history of a daemon, in the block and as JSON."""

import json

from hvd.core.block import Block
from hvd.core.history import Point
from hvd.metrics.bounds import COARSE
from hvd.metrics.columns import VALUES
from hvd.read.history import build_history, history_of, point_by_column
from tests.unit.figures import NOW, SECOND

POINT = Point(NOW + 123_456_789, (1.0, 0.123456, 1234.567, *[2.5] * (len(VALUES) - 3)), (4, 5))


def test_a_point_has_a_value_for_each_column_and_a_count_for_each_bucket(block: Block) -> None:
    """As they were written."""
    point = Point(10**18, tuple(map(float, range(len(VALUES)))), tuple(range(len(COARSE) + 1)))
    assert history_of(block).add(point)
    assert history_of(block).read(10**18) == [point]


def test_the_history_is_json_with_its_columns_named() -> None:
    """Unix seconds first; whole numbers without a fraction, others to five digits."""
    answer = build_history([POINT], 0.3)
    assert answer["interval_seconds"] == 2.1
    assert answer["columns"] == [column["name"] for column in answer["column_details"]]
    assert answer["columns"] == ["time", *(column.name for column in VALUES)]
    assert json.dumps(answer["points"][0][:4]) == f"[{NOW // SECOND}.123, 1, 0.12346, 1234.6]"
    assert answer["latency"]["counts"] == [[4, 5]]
    assert answer["latency"]["bounds_ms"] == [bound / 1e6 for bound in COARSE]
    assert point_by_column(POINT) == dict(zip(answer["columns"], answer["points"][0], strict=True))


def test_a_full_history_is_below_100_kb() -> None:
    """Of a daemon that answers some 5,000 requests a second, before compression."""
    values = (
        5123.4567,
        0.0123456,
        12.345678,
        23.456789,
        345.67891,
        387.65,
        987_654_321.0,
        1234.0,
        12.0,
        3456.0,
        17.0,
        0.8123,
    )
    counts = tuple(4321 // (abs(index - 6) ** 3 + 1) for index in range(len(COARSE) + 1))
    points = [Point(NOW + number * 2 * SECOND + 3_141_592, values, counts) for number in range(450)]
    assert len(json.dumps(build_history(points, 2.0), separators=(",", ":"))) < 100_000
