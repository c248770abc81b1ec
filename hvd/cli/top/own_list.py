"""The app's own metrics: a list that is searched, and charts of what is pinned or selected. Pure."""

import math

from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.charts import binned, rule, sparkline, window_of
from hvd.cli.top.frame import Glyphs
from hvd.cli.top.keys import METRICS, State
from hvd.cli.top.model import Model
from hvd.cli.top.table import ListColumn, Order, Table
from hvd.texts import UNKNOWN, count, figure, milliseconds, plain, short_duration, size

_KEY, _NAME, _VALUE = 44, 5, 9  # cells of a chart's key at most, of its figure's name, and of that
_COLOURS = {"rate": "green", "p50": "cyan", "p99": "magenta"}
_CHARTS = 6  # lines at most beside a list that has rows


def found_rows(model: Model, state: State) -> list[Json]:
    """The rows with all words of the search in key or help, in the list's order."""
    words = state.search.lower().split()
    rows = [row for row in model.own.rows() if all(word in f"{row['key']} {row['help']}".lower() for word in words)]
    return OWN.sort(rows, state.orders[METRICS], state.turned[METRICS])


def _form(row: Json, value: object) -> str:
    """A figure in its unit."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    if row.get("unit") == "seconds":
        return f"{value:,.3g}s" if abs(value) >= 1 else milliseconds(value * 1000)
    if row.get("unit") == "bytes" and value >= 0:
        return size(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _key(row: Json, glyphs: Glyphs) -> str:
    mark = glyphs.dot if row["pinned"] else " "
    beside = f" (all {count(row['all'])})" if row.get("all") else ""
    return f"{mark} {plain(row['key'], glyphs.encoding)}{beside}"


def _value(row: Json, glyphs: Glyphs) -> str:
    value = row.get("value")
    if row["kind"] == "gauge":
        return _form(row, value)
    return plain(value, glyphs.encoding, 12) if isinstance(value, str) else figure(value, count)


def _lately(row: Json, glyphs: Glyphs) -> str:
    figures = [(plain(name, glyphs.encoding, 5), value) for name, value in row["recent"].items() if name != "value"]
    return "  ".join(
        f"{_form(row, value)}/s" if name == "rate" else f"{name} {_form(row, value)}" for name, value in figures
    )


def _speed(row: Json) -> float:
    rate = row["recent"].get("rate")
    return rate if isinstance(rate, int | float) else -1.0


OWN = Table(
    "metrics",
    _key,
    (
        ListColumn("VALUE", 11, _value),
        ListColumn("LATELY", 24, _lately, "rate"),
        ListColumn("KIND", 9, lambda row, glyphs: plain(row["kind"], glyphs.encoding, 10)[:10], left=True, spare=True),
    ),
    (
        Order("metric", lambda row: row["key"], descends=False),
        Order("rate", _speed),
        Order("pinned", lambda row: (not row["pinned"], row["key"]), descends=False),
    ),
    text_order="metric",
    text_width=40,
)


def own_chart_lines(
    model: Model, state: State, width: int, left: int | None, glyphs: Glyphs, selected: Json | None
) -> list[Text]:
    """A line for each figure of what is pinned and of what is selected; the selected one comes first."""
    rows = [selected] if selected else []
    known = {row["key"]: row for row in model.own.rows()}
    rows += [known.get(key, {"key": key, "recent": figures}) for key, figures in model.own.pinned.items()]
    charts = {(row["key"], name): (row, place) for row in rows for place, name in enumerate(row["recent"])}
    most = len(charts) if left is None else min(len(charts), max(_CHARTS, left - 12), left - 8)
    if most < 1 or width < _NAME + _VALUE + 30:
        return []
    label = max(10, min(_KEY, 2 * width // 5))
    bins = width - label - _NAME - _VALUE - 3
    times = [point[0] for key, _ in charts for point in model.own.points.get(key, ())[-1:]]
    step = max(window_of(model, state) / bins, model.interval)
    lines = [rule(f"own metrics, last {short_duration(step * bins).removesuffix(' 0s')}", width, glyphs)]
    for (key, name), (row, place) in list(charts.items())[:most]:
        points = [
            (time, values[place] if place < len(values) else None) for time, values in model.own.points.get(key, ())
        ]
        values = binned(points, max(times, default=0.0), step, bins, model.interval)
        highest = max((value for value in values if value is not None), default=0.0)
        text = Text(
            f"{plain(key, glyphs.encoding, label):<{label}} {plain(name, glyphs.encoding, _NAME):<{_NAME}} ", "dim"
        )
        text.append(f"{_form(row, row['recent'].get(name)):>{_VALUE}} ", "not dim bold")
        lines.append(
            text.append(sparkline(values, highest, 1, glyphs.bars)[0], f"not dim {_COLOURS.get(name, 'yellow')}")
        )
    return lines
