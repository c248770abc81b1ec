"""The sparklines: history -> lines. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from hvd.cli.top.frame import Glyphs
from hvd.cli.top.keys import WINDOWS, State
from hvd.cli.top.model import Model
from hvd.cli.top.spark import binned, sparkline
from hvd.texts import UNKNOWN, count, figure, milliseconds, number, percent, rate, short_duration, short_size

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """One column of the history. `floor`: a value below doesn't fill the chart; `room`: over the highest value."""

    label: str
    column: str
    form: Callable[[float], str]
    floor: float
    style: str
    room: float = 1.0


_CHARTS = (
    Chart("requests/s", "requests_per_second", rate, 1.0, "green"),
    Chart("p50", "p50", milliseconds, 1.0, "cyan"),
    Chart("errors", "error_rate", lambda value: percent(100 * value), 0.01, "red"),
    Chart("p90", "p90", milliseconds, 1.0, "cyan"),
    Chart("CPU", "cpu_usage", percent, 10.0, "magenta"),
    Chart("p99", "p99", milliseconds, 1.0, "cyan"),
    Chart("memory", "memory_usage", short_size, 1.0, "blue", 1.5),
    Chart("in flight", "in_flight", count, 1.0, "yellow"),
)
_LABEL, _VALUE = 10, 9  # cells


def chart_lines(model: Model, state: State, width: int, left: int | None, glyphs: Glyphs) -> list[Text]:
    """Two charts beside each other, one where it is narrow; none where fewer than seven lines would be left."""
    columns = 2 if width >= 64 else 1
    lines_of = math.ceil(len(_CHARTS) / columns)
    if (left is not None and left < lines_of + 1 + 6) or width < _LABEL + _VALUE + 6:
        return []
    rows = 1 if left is None or glyphs.encoding == "ascii" else max(1, min(4, (left - 14) // (2 * lines_of)))
    cell = (width - 3 * (columns - 1)) // columns
    bins = cell - _LABEL - _VALUE - 2
    step = max(_window(model, state) / bins, model.interval)
    lines = [_rule(f"last {short_duration(step * bins).removesuffix(' 0s')}", width, glyphs)]
    for start in range(0, len(_CHARTS), columns):
        charts = [_chart(chart, model, step, bins, rows, glyphs) for chart in _CHARTS[start : start + columns]]
        lines += [Text("   ").join(parts) for parts in zip(*charts, strict=True)]
    return lines


def _window(model: Model, state: State) -> float:
    """What was chosen; less while a daemon hasn't run that long: its first minute would be a bar or two."""
    span = model.points[-1]["time"] - model.points[0]["time"] if model.points else 0.0
    return min(WINDOWS[state.window], *(window for window in WINDOWS if window >= span), WINDOWS[0])


def _rule(title: str, width: int, glyphs: Glyphs) -> Text:
    return Text(f"{glyphs.rule * 2} {title} ".ljust(width, glyphs.rule)[:width], "dim")


def _chart(chart: Chart, model: Model, step: float, bins: int, rows: int, glyphs: Glyphs) -> list[Text]:
    points = [(float(point["time"]), number(point.get(chart.column))) for point in model.points]
    end = points[-1][0] if points else 0.0
    values = binned(points, end, step, bins, model.interval)
    highest = max((value for value in values if value is not None), default=0.0)
    lines = sparkline(values, max(highest * chart.room, chart.floor), rows, glyphs.bars)
    now = figure(model.raw.get(chart.column), chart.form)
    if chart.column == "in_flight":
        requests = model.raw.get("requests")
        now = figure(requests.get("in_flight"), chart.form) if isinstance(requests, Mapping) else UNKNOWN
    beside = [(chart.label, now), *[("", "")] * (rows - 1)]
    if rows > 1:
        beside[1] = ("  highest", chart.form(highest) if points else UNKNOWN)
    drawn = []
    for (label, value), line in zip(beside, lines, strict=True):
        text = Text(f"{label:<{_LABEL}} ", "dim").append(
            f"{value:>{_VALUE}} ", "not dim bold" if label[:1] != " " else ""
        )
        drawn.append(text.append(line, f"not dim {chart.style}"))
    return drawn
