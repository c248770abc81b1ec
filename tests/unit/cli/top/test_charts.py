"""The charts of the screen: bars, a scale, the time, and what happened."""

import math

import pytest
from rich.cells import cell_len

from hvd.cli.top.charts import Axis, Chart, Unit, chart_lines, highest, service_charts, spans_of, sparkline, window_of
from hvd.cli.top.frame import ASCII, UNICODE, Glyphs
from hvd.cli.top.model import Model
from tests.unit.cli.top.data import event, history, model

BARS = UNICODE.bars
NOW = 1769200200.0


def charts(
    known: Model, width: int = 80, room: int = 12, events: tuple[object, ...] = (), glyphs: Glyphs = UNICODE
) -> list[str]:
    axis = Axis(NOW, 900.0, 2.0, events)  # type: ignore[arg-type]
    return [line.plain for line in chart_lines(service_charts(known), axis, width, room, glyphs)]


@pytest.mark.parametrize(("width", "room"), [(80, 5), (80, 24), (200, 20), (64, 7), (36, 30)])
def test_charts_fit(width: int, room: int) -> None:
    """And each has a scale and an axis of time, at any size."""
    lines = charts(model(), width, room)
    assert lines
    assert len(lines) <= room
    assert all(cell_len(line) <= width for line in lines)
    for below in (line for line in lines if "└" in line):
        assert below.count("now") == below.count("└")
    walls = [line for line in lines if "│" in line]
    assert [part for part in walls[0].split("│")[:-1] if part.split()[-1:]], "the end of the scale"


def test_a_chart_tells_what_it_shows() -> None:
    """Its name and its value of now; the scale ends at a round number; times before now."""
    lines = charts(model(), 40, 6)
    assert lines[0].rstrip() == "5xx  -", "there were no responses at the last point"
    lines = [
        line.plain
        for line in chart_lines(
            [Chart("p99", "9ms", [NOW], [43.0], Unit(lambda ms: f"{ms:.0f}ms"))], Axis(NOW, 60.0, 2.0), 40, 6, UNICODE
        )
    ]
    assert lines[0].rstrip() == "p99  9ms"
    assert lines[1].startswith("   50ms│")
    assert lines[3].startswith("      0│")
    assert "-1m" in lines[4]
    assert "-30s" in lines[4]
    assert lines[4].endswith("now")


def test_no_requests_are_a_gap() -> None:
    """Of what only requests have; the rate itself is a zero."""
    columns = ["time", "requests_per_second", "p99", "server_error_rate"]
    known = Model().with_history({"columns": columns, "points": [[NOW - 2, 0.0, 0.0, 0.0], [NOW, 5.0, 7.0, 0.5]]})
    points = {chart.title: chart.values for chart in service_charts(known)}
    assert points["p99"] == [None, 7.0]
    assert points["5xx"] == [None, 0.5]
    assert points["requests/s"] == [0.0, 5.0]


def test_what_happened_is_marked_on_the_axis_of_time() -> None:
    """A letter each at its place; one of another time, or of a kind that isn't known, is none."""
    events = (event(1, "death", time=NOW - 450), event(2, "reload", time=NOW - 5000), event(3, "new", time=NOW))
    (below,) = {line[:40] for line in charts(model(), 80, 6, events) if "└" in line}
    assert below.count("D") == 1
    assert 22 <= below.index("D") <= 24, "in the middle"
    assert "R" not in below


def test_a_death_is_not_hidden_by_what_follows() -> None:
    """At most a letter has room at a time."""
    events = (event(1, "death", time=NOW - 450), event(2, "alert_over", time=NOW - 449), event(3, "reload", time=NOW))
    (below,) = {line[:40] for line in charts(model(), 80, 6, events) if "└" in line}
    assert (below.count("D"), below.count("O"), below.count("R")) == (1, 0, 1)


def test_an_ascii_chart_is_ascii() -> None:
    """With the same scale."""
    lines = charts(model(), glyphs=ASCII)
    assert all(line.isascii() for line in lines)
    assert any("|" in line for line in lines)


@pytest.mark.parametrize(("points", "seconds"), [(1, 60), (30, 60), (100, 300), (200, 900), (450, 900)])
def test_a_young_history_fills_the_chart(points: int, seconds: float) -> None:
    """A daemon's first minute isn't a bar at the edge; the shortest window that holds all is taken."""
    known = Model().with_history(history(points))
    assert window_of(known, 0) == seconds
    assert window_of(known, 2) == 60.0, "what the user chose is the most"


def test_where_there_is_no_room_there_are_none() -> None:
    """Numbers come first."""
    assert charts(model(), room=4) == charts(model(), 12, 40) == []


def test_columns_are_written_as_the_daemon_tells() -> None:
    """What has no place on the screen is left out; an unknown unit is a number."""
    columns = [{"name": "p50", "unit": "furlongs", "title": "half"}, {"name": "new", "unit": "ms", "title": "new"}]
    text = "\n".join(charts(model().with_message({"type": "status", "data": {"columns": columns}}, 100.0)))
    assert "p50" in text
    assert "ms" not in text
    assert "new" not in text


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
        ([(8, True), (9, "9"), (10, math.nan), (10, -1)], 10, 1, 1, [None] * 3),
    ],
)
def test_the_highest_value_of_each_time_is_shown(
    points: list[tuple[float, float | None]], end: float, step: float, interval: float, expected: list[float | None]
) -> None:
    """In as many bins as there are."""
    spans = spans_of([time for time, _ in points], end, step, len(expected), interval)
    assert highest([value for _, value in points], spans, len(expected)) == expected


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
