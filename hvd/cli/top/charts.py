"""The history as sparklines: numbers over time as rows of characters. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.frame import UNICODE, Glyphs
from hvd.cli.top.keys import WINDOWS, State
from hvd.cli.top.model import Model
from hvd.texts import UNKNOWN, count, figure, milliseconds, number, percent, plain, rate, short_duration, short_size


@dataclass(frozen=True)
class Unit:
    """How values of a unit are drawn. `floor`: a value below doesn't fill the chart; `room`: over the highest value."""

    form: Callable[[float], str]
    floor: float = 1.0
    room: float = 1.0


_UNITS = {
    "1/s": Unit(rate),
    "ratio": Unit(lambda value: percent(100 * value), 0.01),
    "ms": Unit(milliseconds),
    "percent": Unit(percent, 10.0),
    "bytes": Unit(short_size, room=1.5),
}
_OTHER = Unit(count)
_STYLES = {
    "requests_per_second": "green",
    "p50": "cyan",
    "error_rate": "red",
    "p90": "cyan",
    "cpu_usage": "magenta",
    "p99": "cyan",
    "memory_usage": "blue",
    "in_flight": "yellow",
}
"""The columns of the history that have a sparkline, in the order of reading, with their colours."""

_LABEL, _VALUE = 10, 9  # cells
_CARRIED = 2.5  # intervals for which a point counts: ticks are not exact, and a bin may fall between two of them

Point = tuple[float, float | None]


def chart_lines(model: Model, state: State, width: int, left: int | None, glyphs: Glyphs) -> list[Text]:
    """Two charts beside each other, one where it is narrow; none where fewer than seven lines would be left."""
    columns = 2 if width >= 64 else 1
    charts = [column for name in _STYLES for column in model.columns if column.get("name") == name]
    lines_of = math.ceil(len(charts) / columns)
    if not charts or (left is not None and left < lines_of + 1 + 6) or width < _LABEL + _VALUE + 6:
        return []
    rows = 1 if left is None or glyphs.encoding == "ascii" else max(1, min(4, (left - 14) // (2 * lines_of)))
    cell = (width - 3 * (columns - 1)) // columns
    bins = cell - _LABEL - _VALUE - 2
    step = max(window_of(model, state) / bins, model.interval)
    lines = [rule(f"last {short_duration(step * bins).removesuffix(' 0s')}", width, glyphs)]
    for start in range(0, len(charts), columns):
        drawn = [_chart(column, model, step, bins, rows, glyphs) for column in charts[start : start + columns]]
        lines += [Text("   ").join(parts) for parts in zip(*drawn, strict=True)]
    return lines


def window_of(model: Model, state: State) -> float:
    """The chosen seconds; fewer while a daemon hasn't run that long, as its first minute would be a bar or two."""
    span = model.points[-1]["time"] - model.points[0]["time"] if model.points else 0.0
    return min(WINDOWS[state.window], *(window for window in WINDOWS if window >= span), WINDOWS[0])


def rule(title: str, width: int, glyphs: Glyphs) -> Text:
    """A line with a title."""
    return Text(f"{glyphs.rule * 2} {title} ".ljust(width, glyphs.rule)[:width], "dim")


def _chart(column: Json, model: Model, step: float, bins: int, rows: int, glyphs: Glyphs) -> list[Text]:
    name, unit = str(column["name"]), _UNITS.get(str(column.get("unit")), _OTHER)
    points = [(float(point["time"]), number(point.get(name))) for point in model.points]
    end = points[-1][0] if points else 0.0
    values = binned(points, end, step, bins, model.interval)
    highest = max((value for value in values if value is not None), default=0.0)
    lines = sparkline(values, max(highest * unit.room, unit.floor), rows, glyphs.bars)
    now = figure(model.in_flight if name == "in_flight" else model.raw.get(name), unit.form)
    beside = [(plain(column.get("title"), glyphs.encoding, _LABEL), now), *[("", "")] * (rows - 1)]
    if rows > 1:
        beside[1] = ("  highest", unit.form(highest) if points else UNKNOWN)
    drawn = []
    for (label, value), line in zip(beside, lines, strict=True):
        text = Text(f"{label:<{_LABEL}} ", "dim").append(
            f"{value:>{_VALUE}} ", "not dim bold" if label[:1] != " " else ""
        )
        drawn.append(text.append(line, f"not dim {_STYLES[name]}"))
    return drawn


def binned(points: Sequence[Point], end: float, step: float, bins: int, interval: float) -> list[float | None]:
    """The highest value in each of so many bins of `step` seconds, the last of which holds the time `end`.

    Bins begin at whole multiples of `step`, so a peak keeps its height while it moves to the left.
    """
    highest: list[float | None] = [None] * bins
    first = math.floor(end / step) - bins + 1
    # without points the second is the longer one: nothing is looked at then
    reach = max(step, _CARRIED * interval)
    for (time, value), (following, _) in zip(points, [*points[1:], (end, None)], strict=False):
        if value is None:
            continue
        place = math.floor(time / step) - first
        last = math.floor(following / step) - first if following - time <= reach else place
        for at in range(max(place, 0), min(max(last, place + 1), bins)):
            highest[at] = value if at > place else max(value, highest[at] or 0.0)
    return highest


def sparkline(values: Sequence[float | None], top: float, rows: int = 1, bars: str = UNICODE.bars) -> list[str]:
    """The values as `rows` lines of bars, uppermost first; a full bar is `top`, a blank where nothing is known."""
    heights = [_height(value, top, 8 * rows) for value in values]
    return [
        "".join(bars[min(height - base, 8) - 1] if height > base else " " for height in heights)
        for base in range(8 * (rows - 1), -1, -8)
    ]


def _height(value: float | None, top: float, steps: int) -> int:
    """From 1, for zero, to `steps`; 0 where nothing is known."""
    if value is None:
        return 0
    if value <= 0 or top <= 0:
        return 1
    return 1 + max(1, min(steps - 1, math.ceil(value / top * (steps - 1))))
