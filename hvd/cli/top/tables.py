"""The lists of workers, routes and jobs: their columns, their orders, and a table of any height. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from hvd.texts import (
    UNKNOWN,
    count,
    figure,
    milliseconds,
    number,
    percent,
    plain,
    rate,
    short_duration,
    short_size,
    whole_percent,
)

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Glyphs:
    """Characters that the terminal can show."""

    encoding: str = "utf-8"
    bars: str = "▁▂▃▄▅▆▇█"
    rule: str = "─"
    full: str = "█"
    empty: str = "░"
    down: str = "▼"
    up: str = "▲"
    more: str = "…"
    dot: str = "●"
    apart: str = " · "


UNICODE = Glyphs()
ASCII = Glyphs("ascii", "_.:-=+*#", "-", "#", ".", "v", "^", "~", "*", "  ")


@dataclass(frozen=True)
class Column:
    """Numbers under a head. `width` holds nearly all of them.

    Where room is short `spare` columns are left out, then the last of the others. `alarming` tells of a row whether
    its value asks for attention.
    """

    head: str
    width: int
    form: Callable[[Json, Glyphs], str]
    order: str = ""
    left: bool = False
    spare: bool = False
    alarming: Callable[[Json], bool] = lambda row: False


@dataclass(frozen=True)
class Order:
    """A way to sort; numbers from the greatest on, texts from A."""

    name: str
    key: Callable[[Json], Any]
    descends: bool = True


@dataclass(frozen=True)
class Table:
    """One list: how its first column, which gets the room that is left, tells what a row is, and what follows it."""

    name: str
    text: Callable[[Json, Glyphs], str]
    columns: tuple[Column, ...]
    orders: tuple[Order, ...]
    text_order: str
    text_width: int
    style: Callable[[Json], str] = lambda row: ""

    def sort(self, rows: Sequence[Json], order: int, turned: bool) -> list[Json]:
        """The rows in that order; those that are equal stay in the first order's."""
        chosen, base = self.orders[order], self.orders[-1]
        rows = sorted(rows, key=base.key, reverse=base.descends)
        return sorted(rows, key=chosen.key, reverse=chosen.descends != turned)


def _column(name: str, form: Callable[[float], str]) -> Callable[[Json, Glyphs], str]:
    return lambda row, _: figure(row.get(name), form)


def _by(name: str) -> Callable[[Json], float]:
    return lambda row: -1.0 if (value := number(row.get(name))) is None else value


def _busy(row: Json) -> list[Json]:
    busy = row.get("busy")
    return [each for each in busy if isinstance(each, Mapping)] if isinstance(busy, list) else []


def serving(row: Json, encoding: str) -> str:
    """What a request in progress is: `GET /slow 1.2s`."""
    age = figure(row.get("age_seconds"), lambda value: f"{value:.1f}s" if value < 60 else short_duration(value))
    return f"{plain(row.get('method'), encoding, 12)} {plain(row.get('path'), encoding)} {age}"


def _worker(row: Json, glyphs: Glyphs) -> str:
    oldest = max(_busy(row), key=_by("age_seconds"), default=None)
    pid = figure(row.get("pid"), lambda value: f"{value:.0f}")
    return f"{pid:<7} {serving(oldest, glyphs.encoding)}" if oldest else pid


def _job(row: Json, glyphs: Glyphs) -> str:
    """What it is, and why it failed."""
    name, kind, why = (plain(row.get(field), glyphs.encoding) for field in ("name", "kind", "error_msg"))
    what = name if name == kind else f"{name} ({kind})"
    return what if why == UNKNOWN else f"{what}: {why}"


def _created(row: Json, glyphs: Glyphs) -> str:
    created = plain(row.get("created_at"), "ascii", 30)
    return created if created == UNKNOWN else f"{created[:19]}Z"


def _progress(row: Json, glyphs: Glyphs) -> str:
    done = number(row.get("progress"))
    if done is None:
        return UNKNOWN
    cells = round(min(done, 100) / 10)
    return f"{glyphs.full * cells}{glyphs.empty * (10 - cells)} {whole_percent(done):>4}"


def _job_time(seconds: float) -> str:
    return short_duration(seconds) if seconds >= 10 else f"{seconds:.1f}s"


def _job_style(row: Json) -> str:
    return {"failed": "red", "cancelled": "yellow", "running": "green"}.get(str(row.get("status")), "")


_STATES = ("running", "pending", "failed", "cancelled", "completed")


def _state_rank(row: Json) -> int:
    status = str(row.get("status"))
    return _STATES.index(status) if status in _STATES else len(_STATES)


def _fails(row: Json) -> bool:
    return bool(number(row.get("errors")))


WORKERS = Table(
    "workers",
    _worker,
    (
        Column("AGE", 7, _column("age_seconds", short_duration)),
        Column("REQUESTS", 11, _column("requests", count), "requests"),
        Column("/S", 8, _column("requests_per_second", rate), "rate"),
        Column("BUSY", 4, lambda row, _: str(len(_busy(row)))),
        Column("CPU", 7, _column("cpu_percent", percent), "cpu"),
        Column("MEMORY", 8, _column("memory_bytes", short_size), "memory"),
        Column("ERRORS", 9, _column("errors", count), spare=True, alarming=_fails),
        Column("THREADS", 7, _column("threads", count), spare=True),
    ),
    (
        Order("requests", _by("requests")),
        Order("rate", _by("requests_per_second")),
        Order("cpu", _by("cpu_percent")),
        Order("memory", _by("memory_bytes")),
        Order("pid", _by("pid"), descends=False),
    ),
    text_order="pid",
    text_width=15,
)

ROUTES = Table(
    "routes",
    lambda row, glyphs: plain(row.get("route"), glyphs.encoding),
    (
        Column("COUNT", 11, _column("count", count), "requests"),
        Column("/S", 8, _column("requests_per_second", rate), "rate"),
        Column("ERRORS", 7, _column("errors", count), "errors", alarming=_fails),
        Column("P50", 8, _column("p50_ms", milliseconds), "p50"),
        Column("P90", 8, _column("p90_ms", milliseconds), spare=True),
        Column("P99", 8, _column("p99_ms", milliseconds), "p99"),
        Column("MEAN", 8, _column("mean_ms", milliseconds), spare=True),
    ),
    (
        Order("requests", _by("count")),
        Order("rate", _by("requests_per_second")),
        Order("errors", _by("errors")),
        Order("p50", _by("p50_ms")),
        Order("p99", _by("p99_ms")),
        Order("route", lambda row: str(row.get("route")), descends=False),
    ),
    text_order="route",
    text_width=26,
)

JOBS = Table(
    "jobs",
    _job,
    (
        Column("STATE", 9, lambda row, glyphs: plain(row.get("status"), glyphs.encoding, 9), "state", left=True),
        Column("PROGRESS", 15, _progress, "progress", left=True),
        Column("TIME", 7, _column("duration_seconds", _job_time)),
        Column("CREATED", 20, _created, "created", spare=True),
    ),
    (
        Order("state", _state_rank, descends=False),
        Order("progress", _by("progress")),
        Order("created", lambda row: str(row.get("created_at"))),
    ),
    text_order="",
    text_width=36,
    style=_job_style,
)

TABLES = (WORKERS, ROUTES, JOBS)


@dataclass(frozen=True)
class Shape:
    """How a table is to be drawn: cells, lines with the head (None for all), and what the user has chosen."""

    width: int
    height: int | None
    glyphs: Glyphs = UNICODE
    focused: bool = False
    order: int = 0
    turned: bool = False
    scrolled: int = 0


def table_lines(table: Table, titles: Sequence[str], rows: Sequence[Json], shape: Shape) -> list[Text]:
    """The head, with the first title that fits above the first column, and as many rows as find room.

    The head says which rows these are, if not all. No number is cut: a column that doesn't fit is left out.
    """
    rows = table.sort(rows, shape.order, shape.turned)
    room = len(rows) if shape.height is None else max(0, shape.height - 1)
    start = last_start(len(rows), room, shape.scrolled)
    visible = rows[start : start + room]
    cells = [[column.form(row, shape.glyphs) for column in table.columns] for row in visible]
    places, widths = _fitting(table, cells, shape.width)
    text_width = shape.width - sum(widths[place] + 2 for place in places)
    part = f" {start + 1}-{start + len(visible)}/{len(rows)}" if 0 < len(visible) < len(rows) else ""
    arrow = _arrow(table, shape) if table.orders[shape.order].name == table.text_order else ""
    fitting = (f"{title}{part}{arrow}" for title in titles if cell_len(title + part + arrow) <= text_width)
    title = _cut(next(fitting, titles[-1]), text_width, shape.glyphs)
    lines = [_head(table, title, [(table.columns[place], widths[place]) for place in places], shape)]
    for row, row_cells in zip(visible, cells, strict=True):
        line = Text(_cut(table.text(row, shape.glyphs), text_width, shape.glyphs))
        for place in places:
            column = table.columns[place]
            style = "yellow" if column.alarming(row) else table.style(row)
            line.append("  ").append(_aligned(column, row_cells[place], widths[place]), style)
        lines.append(line)
    return lines


def last_start(rows: int, room: int, scrolled: int) -> int:
    """The first row shown: as scrolled, but no further than where the last row is at the bottom."""
    return max(0, min(scrolled, rows - room))


def _fitting(table: Table, cells: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[int]]:
    """The places of the columns that have room beside the first one, and how wide each is."""
    widths = [
        max([column.width, *(cell_len(row[place]) for row in cells)]) for place, column in enumerate(table.columns)
    ]
    chosen: list[int] = []
    left = width - table.text_width
    for place in sorted(range(len(widths)), key=lambda place: table.columns[place].spare):
        if widths[place] + 2 > left:
            break
        left -= widths[place] + 2
        chosen.append(place)
    return sorted(chosen), widths


def _head(table: Table, title: str, columns: Sequence[tuple[Column, int]], shape: Shape) -> Text:
    order, arrow = table.orders[shape.order], _arrow(table, shape)
    line = Text(title, "bold")
    for column, width in columns:
        head = column.head + arrow if column.order == order.name else column.head
        line.append("  ").append(_aligned(column, head, width))
    line.stylize("reverse" if shape.focused else "underline")
    return line


def _arrow(table: Table, shape: Shape) -> str:
    return shape.glyphs.down if table.orders[shape.order].descends != shape.turned else shape.glyphs.up


def _aligned(column: Column, cell: str, width: int) -> str:
    room = " " * (width - cell_len(cell))
    return cell + room if column.left else room + cell


def _cut(text: str, width: int, glyphs: Glyphs) -> str:
    """The text in exactly so many cells, with a mark where it was too long."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + glyphs.more if width > 0 else ""
