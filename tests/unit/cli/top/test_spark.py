"""Numbers over time as rows of characters."""

from hvd.cli.top.spark import ASCII_BARS, BARS, binned, sparkline


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
    assert sparkline([0.0, 10.0], 10.0, bars=ASCII_BARS) == [f"{ASCII_BARS[0]}{ASCII_BARS[7]}"]


def test_higher_charts_have_finer_steps() -> None:
    """Uppermost line first."""
    upper, lower = sparkline([0.0, 5.0, 10.0], 10.0, rows=2)
    assert (upper[0], upper[2]) == (" ", "█")
    assert lower == f"{BARS[0]}██"


def test_a_chart_without_height_is_flat() -> None:
    """All zero: nothing to divide by."""
    assert sparkline([0.0, 0.0], 0.0) == [BARS[0] * 2]
