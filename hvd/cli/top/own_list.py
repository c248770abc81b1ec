"""The app's own metrics: a list that is searched, and charts of what is pinned or selected. Pure."""

import math
from functools import partial

from hvd.cli.answers import Json
from hvd.cli.top.charts import Chart, Unit
from hvd.cli.top.columns import Column, Table
from hvd.cli.top.forms import compact, time_ms
from hvd.cli.top.frame import Glyphs
from hvd.cli.top.model import Model
from hvd.texts import UNKNOWN, figure, plain, size

_COLOURS = {"rate": "green", "p50": "cyan", "p99": "magenta"}


def _form(row: Json, value: object) -> str:
    """A figure in its unit."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    if row.get("unit") == "seconds":
        return time_ms(value * 1000) if value >= 0 else f"{value:,.3g}s"
    if row.get("unit") == "bytes" and value >= 0:
        return size(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _key(row: Json, glyphs: Glyphs) -> str:
    mark = glyphs.dot if row["pinned"] else " "
    beside = f" (all {compact(row['all'])})" if row.get("all") else ""
    return f"{mark} {plain(row['key'], glyphs.encoding)}{beside}"


def _value(row: Json, glyphs: Glyphs) -> str:
    value = row.get("value")
    if row["kind"] == "gauge":
        return _form(row, value)
    return plain(value, glyphs.encoding, 12) if isinstance(value, str) else figure(value, compact)


def _lately(row: Json, glyphs: Glyphs) -> str:
    figures = [(plain(name, glyphs.encoding, 5), value) for name, value in row["recent"].items() if name != "value"]
    return "  ".join(
        f"{_form(row, value)}/s" if name == "rate" else f"{name} {_form(row, value)}" for name, value in figures
    )


def _sortable(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else -math.inf


OWN = Table(
    "metrics",
    Column("metric", "METRIC", 30, _key, lambda row: row["key"], descends=False),
    (
        Column("value", "VALUE", 9, _value, lambda row: _sortable(row.get("value"))),
        Column("rate", "LATELY", 22, _lately, lambda row: _sortable(row["recent"].get("rate"))),
        Column(
            "kind",
            "KIND",
            9,
            lambda row, glyphs: plain(row["kind"], glyphs.encoding, 10)[:10],
            lambda row: row["kind"],
            descends=False,
            left=True,
            spare=True,
        ),
    ),
    order="metric",
    key=lambda row: str(row["key"]),
    searched=lambda row: f"{row['key']} {row['help']}",
)


def own_charts(model: Model, selected: str, glyphs: Glyphs) -> list[Chart]:
    """One for each figure of what is under the cursor, then of what is pinned."""
    known = {row["key"]: row for row in model.own.rows()}
    rows = [known[selected]] if selected in known else []
    rows += [known.get(key, {"key": key, "recent": figures}) for key, figures in model.own.pinned.items()]
    charts: dict[tuple[str, str], Chart] = {}
    for row in rows:
        for place, name in enumerate(row["recent"]):
            points = model.own.points.get(row["key"], ())
            values = [figures[place] if place < len(figures) else None for _, figures in points]
            now = _form(row, row["recent"].get(name))
            title = plain(row["key"] if name == "value" else f"{row['key']} {name}", glyphs.encoding)
            form = partial(_form, row)
            charts[row["key"], name] = Chart(
                title, now, [time for time, _ in points], values, Unit(form, 0.001), _COLOURS.get(name, "yellow")
            )
    return list(charts.values())
