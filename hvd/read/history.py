"""The history of a daemon: the block's ring, with points that have hvd's columns, and what clients see of it."""

import math
from collections.abc import Sequence
from typing import TypedDict

from hvd.core.block import Block
from hvd.core.history import History, Point, spacing
from hvd.metrics.bounds import COARSE
from hvd.metrics.columns import COLUMNS, DETAILS, VALUES


def history_of(block: Block) -> History:
    """The ring of a block: a point's values are those of columns.VALUES, its counts by the buckets of bounds.COARSE."""
    return History(block, len(VALUES), len(COARSE) + 1)


class Latency(TypedDict):
    """Upper bounds of the buckets in ms, one more follows them; and of each point the counts by bucket."""

    bounds_ms: list[float]
    counts: list[list[int]]


class HistoryAnswer(TypedDict):
    """The answer of /api/v1/history. Each of `points` is a row with a value for each of `columns`; null is what an
    earlier version, whose point it is, did not know.
    """

    interval_seconds: float
    columns: list[str]
    column_details: Sequence[dict[str, str]]
    points: list[list[float | None]]
    latency: Latency


def build_history(points: Sequence[Point], interval: float) -> HistoryAnswer:
    """`interval` is the daemon's, in s."""
    return {
        "interval_seconds": spacing(interval),
        "columns": [column.name for column in COLUMNS],
        "column_details": DETAILS,
        "points": [_row(point) for point in points],
        "latency": {"bounds_ms": [bound / 1e6 for bound in COARSE], "counts": [list(point.counts) for point in points]},
    }


def point_by_column(point: Point) -> dict[str, float | None]:
    """One point, its values by the names of the columns."""
    return dict(zip((column.name for column in COLUMNS), _row(point), strict=True))


def _row(point: Point) -> list[float | None]:
    """Unix time in s, then the values, to five digits where they aren't whole numbers."""
    return [round(point.time_ns / 1e9, 3), *map(_number, point.values)]


def _number(value: float) -> float | None:
    if value.is_integer():
        return int(value)
    return float(f"{value:.5g}") if math.isfinite(value) else None
