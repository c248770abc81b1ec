"""The sparklines of the screen."""

import pytest
from rich.cells import cell_len

from hvd.cli.top.charts import binned, chart_lines, sparkline
from hvd.cli.top.frame import ASCII, UNICODE
from hvd.cli.top.keys import State
from hvd.cli.top.model import Model
from tests.unit.cli.top.data import history, model

BARS = UNICODE.bars


@pytest.mark.parametrize(("width", "left"), [(80, 18), (200, 44), (64, 20), (50, 30)])
def test_charts_fit(width: int, left: int) -> None:
    """And leave room for the lists."""
    lines = chart_lines(model(), State(), width, left, UNICODE)
    assert lines
    assert all(cell_len(line.plain) <= width for line in lines)
    assert len(lines) <= left - 6


def test_charts_tell_what_they_show() -> None:
    """Each its name and its value of now."""
    text = "\n".join(line.plain for line in chart_lines(model(), State(), 80, 18, UNICODE))
    for part in ("requests/s", "40.5", "errors", "0.4%", "p99", "9.8ms", "memory", "in flight"):
        assert part in text
    assert "last 15m" in text
    narrow = "\n".join(line.plain for line in chart_lines(model(), State(window=2), 80, 18, UNICODE))
    assert "last 1m" in narrow


@pytest.mark.parametrize(("points", "window"), [(1, "1m"), (30, "1m"), (100, "5m"), (200, "15m"), (450, "15m")])
def test_a_young_history_fills_the_chart(points: int, window: str) -> None:
    """A daemon's first minute isn't a bar at the edge; the shortest window that holds all is taken."""
    first, *_ = chart_lines(Model().with_history(history(points)), State(), 80, 18, UNICODE)
    assert f" last {window} " in first.plain
    first, *_ = chart_lines(Model().with_history(history(points)), State(window=2), 80, 18, UNICODE)
    assert " last 1m " in first.plain, "what the user chose is the most"


def test_where_there_is_no_room_there_are_none() -> None:
    """Numbers come first."""
    assert chart_lines(model(), State(), 80, 8, UNICODE) == []
    assert chart_lines(model(), State(), 20, 40, UNICODE) == []


def test_nothing_known_is_no_failure() -> None:
    """Just after the start."""
    lines = chart_lines(Model(), State(), 80, 18, ASCII)
    assert all(line.plain.isascii() for line in lines)


def test_columns_are_named_and_written_as_the_daemon_tells() -> None:
    """What has no place on the screen is left out; an unknown unit is a number."""
    columns = [{"name": "p50", "unit": "furlongs", "title": "half\x1b"}, {"name": "new", "unit": "ms", "title": "new"}]
    known = model().with_message({"type": "status", "data": {"columns": columns}}, 100.0)
    text = "\n".join(line.plain for line in chart_lines(known, State(), 80, 18, UNICODE))
    assert "half\\x1b" in text
    assert "ms" not in text
    assert "new" not in text
    assert (
        chart_lines(
            known.with_message({"type": "status", "data": {"columns": columns[1:]}}, 1.0), State(), 80, 18, UNICODE
        )
        == []
    )


def test_the_highest_value_of_each_time_is_shown() -> None:
    """A short peak isn't lost, and a time without points is a gap."""
    points = [(0.0, 1.0), (1.0, 9.0), (2.0, 1.0), (30.0, 4.0), (31.0, 4.0)]
    assert binned(points, 31.0, 4.0, 8, 1.0) == [9.0, None, None, None, None, None, None, 4.0]


def test_a_point_stands_until_the_next() -> None:
    """Where bins are finer than points; not across a gap."""
    assert binned([(0.0, 3.0), (2.0, 5.0)], 2.0, 1.0, 3, 2.0) == [3.0, 3.0, 5.0]


def test_nothing_known_is_nothing_shown() -> None:
    """No points, or points without that number."""
    assert binned([], 10.0, 1.0, 3, 1.0) == [None] * 3
    assert binned([(9.0, None)], 10.0, 1.0, 3, 1.0) == [None] * 3


def test_bars_rise_with_their_values() -> None:
    """A zero is the lowest bar, a value above it never is, nothing known is blank."""
    assert sparkline([None, 0.0, 0.001, 5.0, 10.0], 10.0) == [f" {BARS[0]}{BARS[1]}{BARS[4]}{BARS[7]}"]
    assert sparkline([0.0, 10.0], 10.0, bars=ASCII.bars) == [f"{ASCII.bars[0]}{ASCII.bars[7]}"]


def test_higher_charts_have_finer_steps() -> None:
    """Uppermost line first."""
    upper, lower = sparkline([0.0, 5.0, 10.0], 10.0, rows=2)
    assert (upper[0], upper[2]) == (" ", "█")
    assert lower == f"{BARS[0]}██"


def test_a_chart_without_height_is_flat() -> None:
    """All zero: nothing to divide by."""
    assert sparkline([0.0, 0.0], 0.0) == [BARS[0] * 2]
