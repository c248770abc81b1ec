"""The sparklines of the screen."""

import pytest
from rich.cells import cell_len

from hvd.cli.top.charts import binned, chart_lines, sparkline
from hvd.cli.top.frame import ASCII, UNICODE, Glyphs
from hvd.cli.top.keys import State
from hvd.cli.top.model import Model
from tests.unit.cli.top.data import history, model

BARS = UNICODE.bars


def charts(known: Model, width: int = 80, left: int = 18, window: int = 0, glyphs: Glyphs = UNICODE) -> list[str]:
    return [line.plain for line in chart_lines(known, State(window=window), width, left, glyphs)]


@pytest.mark.parametrize(("width", "left"), [(80, 18), (200, 44), (64, 20), (50, 30)])
def test_charts_fit(width: int, left: int) -> None:
    """And leave room for the lists."""
    lines = charts(model(), width, left)
    assert lines
    assert all(cell_len(line) <= width for line in lines)
    assert len(lines) <= left - 6


def test_charts_tell_what_they_show() -> None:
    """Each its name and its value of now."""
    text = "\n".join(charts(model()))
    for part in ("requests/s", "40.5", "errors", "0.4%", "p99", "9.8ms", "memory", "in flight", "last 15m"):
        assert part in text


@pytest.mark.parametrize(("points", "window"), [(1, "1m"), (30, "1m"), (100, "5m"), (200, "15m"), (450, "15m")])
def test_a_young_history_fills_the_chart(points: int, window: str) -> None:
    """A daemon's first minute isn't a bar at the edge; the shortest window that holds all is taken."""
    known = Model().with_history(history(points))
    assert f" last {window} " in charts(known)[0]
    assert " last 1m " in charts(known, window=2)[0], "what the user chose is the most"


def test_where_there_is_no_room_there_are_none() -> None:
    """Numbers come first."""
    assert charts(model(), left=8) == charts(model(), 20, 40) == []


def test_nothing_known_is_no_failure() -> None:
    """Just after the start."""
    assert all(line.isascii() for line in charts(Model(), glyphs=ASCII))


def test_columns_are_named_and_written_as_the_daemon_tells() -> None:
    """What has no place on the screen is left out; an unknown unit is a number."""
    columns = [{"name": "p50", "unit": "furlongs", "title": "half\x1b"}, {"name": "new", "unit": "ms", "title": "new"}]
    text = "\n".join(charts(model().with_message({"type": "status", "data": {"columns": columns}}, 100.0)))
    assert "half\\x1b" in text
    assert "ms" not in text
    assert "new" not in text
    assert charts(model().with_message({"type": "status", "data": {"columns": columns[1:]}}, 1.0)) == []


@pytest.mark.parametrize(
    ("points", "end", "step", "interval", "expected"),
    [
        # a short peak isn't lost, and a time without points is a gap
        ([(0, 1), (1, 9), (2, 1), (30, 4), (31, 4)], 31, 4, 1, [9, None, None, None, None, None, None, 4]),
        # where bins are finer than points, a point stands until the next
        ([(0, 3), (2, 5)], 2, 1, 2, [3, 3, 5]),
        # no points, or points without that number
        ([], 10, 1, 1, [None] * 3),
        ([(9, None)], 10, 1, 1, [None] * 3),
    ],
)
def test_the_highest_value_of_each_time_is_shown(
    points: list[tuple[float, float | None]], end: float, step: float, interval: float, expected: list[float | None]
) -> None:
    """In as many bins as there are."""
    assert binned(points, end, step, len(expected), interval) == expected


def test_bars_rise_with_their_values() -> None:
    """A zero is the lowest bar, a value above it never is, nothing known is blank; all zero is nothing to divide by."""
    assert sparkline([None, 0.0, 0.001, 5.0, 10.0], 10.0) == [f" {BARS[0]}{BARS[1]}{BARS[4]}{BARS[7]}"]
    assert sparkline([0.0, 10.0], 10.0, bars=ASCII.bars) == [f"{ASCII.bars[0]}{ASCII.bars[7]}"]
    assert sparkline([0.0, 0.0], 0.0) == [BARS[0] * 2]


def test_higher_charts_have_finer_steps() -> None:
    """Uppermost line first."""
    upper, lower = sparkline([0.0, 5.0, 10.0], 10.0, rows=2)
    assert (upper[0], upper[2]) == (" ", "█")
    assert lower == f"{BARS[0]}██"
