"""Charts of characters: numbers over time, with a scale at their left, and the time and what happened below. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.choice import WINDOWS
from hvd.cli.top.events import MARKS, RED, style_of
from hvd.cli.top.forms import compact, compact_rate, cut_middle, nice_top, padded, share, time_ms
from hvd.cli.top.frame import UNICODE, Glyphs
from hvd.cli.top.model import Model
from hvd.texts import figure, number, short_size, whole_percent

_SCALE = 7  # cells of the numbers at the left
_APART = 2  # cells between two charts
_LEAST, _MOST = 3, 6  # lines of bars
_CARRIED = 2.5  # intervals for which a point counts: ticks are not exact, and a bin may fall between two of them
_TICKS = (10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)  # s between two of the axis of time

_NUMBERS = (int, float)
_SANE = 1e18  # what is above is no measurement


@dataclass(frozen=True)
class Unit:
    """How values are written, and the least that a whole axis stands for."""

    form: Callable[[float], str]
    floor: float = 1.0
    base: float = 1000.0  # of its larger units


@dataclass(frozen=True)
class Chart:
    """One figure over time: what it is, its value now, its values at those Unix times in s."""

    title: str
    now: str
    times: Sequence[float]
    values: Sequence[object]
    unit: Unit
    style: str = "green"


_UNITS = {
    "1/s": Unit(compact_rate),
    "ratio": Unit(share, 0.01),
    "ms": Unit(time_ms),
    "percent": Unit(whole_percent, 10.0),
    "bytes": Unit(short_size, 1024.0, 1024.0),
}
_OTHER = Unit(compact)
_SHOWN = {
    "server_error_rate": ("5xx", "red"),
    "p99": ("p99", "cyan"),
    "requests_per_second": ("requests/s", "green"),
    "busy_ratio": ("busy of capacity", "yellow"),
    "cpu_usage": ("CPU", "magenta"),
    "memory_usage": ("memory", "blue"),
    "client_error_rate": ("4xx", "yellow"),
    "p50": ("p50", "cyan"),
}
"""The columns of the history that have a chart, in the order of an operator's questions, with title and colour."""

_OF_REQUESTS = ("server_error_rate", "client_error_rate", "error_rate", "p50", "p90", "p99")
"""What there is none of while there are no requests: a gap, and no zero."""


def service_charts(model: Model) -> list[Chart]:
    """Those of the whole service that the daemon has columns for."""
    columns = {str(column.get("name")): column for column in model.columns}
    times = [point["time"] for point in model.points]
    charts = []
    for name, (title, style) in _SHOWN.items():
        if name in columns:
            unit = _UNITS.get(str(columns[name].get("unit")), _OTHER)
            values = [point.get(name) for point in model.points]
            if name in _OF_REQUESTS:
                served = (point.get("requests_per_second") != 0 for point in model.points)
                values = list(map(_if_served, values, served))
            now = figure(values[-1] if values else None, unit.form)
            charts.append(Chart(title, now, times, values, unit, style))
    return charts


def _if_served(value: object, is_served: bool) -> object:
    return value if is_served else None


def window_of(model: Model, window: int) -> float:
    """The chosen seconds; fewer while a daemon hasn't run that long, as its first minute would be a bar or two."""
    span = model.points[-1]["time"] - model.points[0]["time"] if model.points else 0.0
    return min(WINDOWS[window], *(one for one in WINDOWS if one >= span), WINDOWS[0])


@dataclass(frozen=True)
class Axis:
    """The time that all charts share: it ends at the Unix time `end`; points come every `interval` s."""

    end: float
    seconds: float
    interval: float
    events: Sequence[Json] = ()


def chart_lines(charts: Sequence[Chart], axis: Axis, width: int, room: int, glyphs: Glyphs) -> list[Text]:
    """As many charts beside and below each other as have room in so many lines; each has its scale."""
    columns = max(1, min(4, len(charts), (width + _APART) // 38))
    high = max(1, min(math.ceil(len(charts) / columns), room // (_LEAST + 3)))
    bars = min(_MOST, max(_LEAST, room // 3), room // high - 2)
    cell = (width - _APART * (columns - 1)) // columns
    if not charts or bars < _LEAST or cell - _SCALE - 1 < 8:
        return []
    bins = cell - _SCALE - 1
    step = max(axis.seconds / bins, axis.interval)
    below = _time_axis(axis, step, bins, glyphs)
    spans: dict[int, Spans] = {}  # by the identity of the times that charts share
    lines = []
    for start in range(0, min(len(charts), high * columns), columns):
        drawn = []
        for chart in charts[start : start + columns]:
            if id(chart.times) not in spans:
                spans[id(chart.times)] = spans_of(chart.times, axis.end, step, bins, axis.interval)
            values = highest(chart.values, spans[id(chart.times)], bins)
            drawn.append([*_chart(chart, values, cell, bars, glyphs), below])
        lines += [Text(" " * _APART, end="").join(parts) for parts in zip(*drawn, strict=True)]
    return lines


def _chart(chart: Chart, values: Sequence[float | None], width: int, rows: int, glyphs: Glyphs) -> list[Text]:
    most = max((value for value in values if value is not None), default=0.0)
    top = nice_top(max(most, chart.unit.floor), chart.unit.base)
    title = cut_middle(chart.title, width - len(chart.now) - 2, glyphs.more)
    head = Text(end="").append(title).append(f"  {chart.now}", "bold")
    head.append(" " * (width - head.cell_len))
    lines = [head]
    scale = {0: chart.unit.form(top), rows - 1: "0"}
    for row, bar in enumerate(sparkline(values, top, rows, glyphs.bars)):
        label = padded(scale.get(row, ""), _SCALE)
        lines.append(Text(end="").append(label + glyphs.wall, "dim").append(bar, f"not dim {chart.style}"))
    return lines


def _time_axis(axis: Axis, step: float, bins: int, glyphs: Glyphs) -> Text:
    """The line below the bars: times before now, and a letter where something happened: what nobody planned first."""
    first = math.floor(axis.end / step) - bins + 1
    marks: dict[int, Json] = {}
    for event in axis.events:
        place = math.floor((number(event.get("time")) or 0.0) / step) - first
        is_hidden = place in marks and marks[place]["kind"] in RED and event.get("kind") not in RED
        if 0 <= place < bins and event.get("kind") in MARKS and not is_hidden:
            marks[place] = event
    cells = list(glyphs.rule * bins)
    for place, text in _labels(step, bins):
        if all(at not in marks for at in range(place - 1, place + len(text) + 1)):
            cells[place : place + len(text)] = text
    for place, event in marks.items():
        cells[place] = MARKS[str(event["kind"])]
    line = Text(" " * _SCALE + glyphs.corner + "".join(cells), "dim", end="")
    for place, event in marks.items():
        line.stylize(f"not dim {style_of(event)}", _SCALE + 1 + place, _SCALE + 2 + place)
    return line


def _labels(step: float, bins: int) -> list[tuple[int, str]]:
    """Places and texts: `now` at the right end, then every so many s, where they don't touch each other."""
    every = next((tick for tick in _TICKS if tick / step >= 9), _TICKS[-1])
    labels = [(bins - 3, "now")]
    before = every
    while (place := bins - round(before / step)) >= 0:
        text = f"-{before / 60:g}m" if before >= 60 else f"-{before:g}s"
        if place + len(text) < labels[-1][0]:
            labels.append((place, text))
        before += every
    return labels


Spans = list[tuple[int, int]]


def spans_of(times: Sequence[float], end: float, step: float, bins: int, interval: float) -> Spans:
    """For each time its bin of `step` seconds, the last of which holds the time `end`, and the one after the last bin
    for which its value stands. Bins begin at whole multiples of `step`: a peak keeps its height while it moves left.
    """
    first = math.floor(end / step) - bins + 1
    places = [math.floor(time / step) - first for time in (*times, end)]
    # without points the second is the longer one: nothing is looked at then
    reach = max(step, _CARRIED * interval)
    ends = [
        min(after if following - time <= reach else place, bins)
        for (time, following), (place, after) in zip(pairwise((*times, end)), pairwise(places), strict=True)
    ]
    return list(zip(places[:-1], ends, strict=True))


def highest(values: Sequence[object], spans: Spans, bins: int) -> list[float | None]:
    """The highest value in each of so many bins; None where there is none. What is no measurement isn't one."""
    heights: list[float | None] = [None] * bins
    for value, (place, end) in zip(values, spans, strict=True):
        if value.__class__ not in _NUMBERS or not 0 <= value < _SANE:
            continue
        if 0 <= place < bins:
            known = heights[place]
            if known is None or value > known:
                heights[place] = value
        if end > place + 1:
            for at in range(max(place + 1, 0), end):
                heights[at] = value
    return heights


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
