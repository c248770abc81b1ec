"""The whole screen as lines: from a model and what the user chose. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.busy import busy_lines, longest_lines
from hvd.cli.top.changes import change_lines
from hvd.cli.top.charts import Axis, chart_lines, service_charts, window_of
from hvd.cli.top.choice import TABS, Choice
from hvd.cli.top.columns import Lines, Table
from hvd.cli.top.events import EVENTS, event_rows
from hvd.cli.top.forms import compact
from hvd.cli.top.frame import Frame
from hvd.cli.top.header import message_lines, title_line
from hvd.cli.top.lists import JOBS, ROUTES, ROUTES_EVER, WORKERS
from hvd.cli.top.model import Model
from hvd.cli.top.now import now_lines, totals_line
from hvd.cli.top.own_list import OWN, own_charts
from hvd.texts import UNKNOWN, figure

_ROWS = 3  # of a list that stay in view before charts get room
_GOOD_ROWS = 8  # of a list that stay in view before a second row of charts gets room
_ONE_ROW = 5  # lines of the lowest charts
_LOW = 16  # lines, below which the head has no room for all
_CHARTS = 0.45  # of the lines at most for charts


@dataclass(frozen=True)
class Listing:
    """A list as it is to be drawn: its rows in their order, of so many in all; `matches` says how many of them have
    what is searched for, those that have not been asked for too.
    """

    table: Table
    rows: Sequence[Json]
    total: int
    lines: Lines
    matches: str


@dataclass(frozen=True)
class Picture:
    """The lines above the tabs, the tabs, and the list in view."""

    head: list[Text]
    charts: list[Text]
    tabs: Text
    listing: Listing


def lay_out(model: Model, choice: Choice, frame: Frame) -> Picture:
    """What is on the screen; the list gets the lines that are left."""
    head = head_lines(model, frame)
    if frame.height is not None:
        head = head[: max(1, frame.height - 5)]
    left = None if frame.height is None else frame.height - len(head) - 3
    listing = listing_of(model, choice, frame)
    tabs = tabs_line(model, choice, frame, listing.matches)
    return Picture(head, _charts(model, choice, frame, left), tabs, listing)


def head_lines(model: Model, frame: Frame) -> list[Text]:
    """The answers to an operator's questions, in their order."""
    busy, longest = busy_lines(model, frame), longest_lines(model, frame)
    if longest and frame.height is not None and frame.height < _LOW:
        del busy[1:]  # what is stuck, and where, tells more than the rest of it
    lines = [title_line(model, frame), *message_lines(model, frame), *now_lines(model, frame), *busy, *longest]
    lines += change_lines(model, frame)
    if frame.height is None or frame.height >= 20:
        lines.append(totals_line(model, frame))
    return [_bounded(line, frame.width) for line in lines]


def _charts(model: Model, choice: Choice, frame: Frame, left: int | None) -> list[Text]:
    charts = own_charts(model, choice.selected, frame.glyphs) if choice.tab == "metrics" else []
    charts = charts or service_charts(model)
    room = 18 if left is None or frame.height is None else min(left - _ROWS, int(_CHARTS * frame.height))
    if left is not None and left - room < _GOOD_ROWS:
        room = min(room, max(_ONE_ROW, left - _GOOD_ROWS))
    if not model.points or room < _ONE_ROW:
        return []
    axis = Axis(model.points[-1]["time"], window_of(model, choice.window), model.interval, model.events)
    return chart_lines(charts, axis, frame.width, room, frame.glyphs)


def _bounded(line: Text, width: int) -> Text:
    if line.cell_len > width:
        line.truncate(width, overflow="crop")
    return line


def _has_last_minute(model: Model) -> bool:
    return not model.routes or any("last_minute" in row for row in model.routes)


def table_of(model: Model, choice: Choice) -> Table:
    """The list in view; of routes since the start, where the user wants that or the daemon knows nothing else."""
    if choice.tab == "routes":
        return ROUTES_EVER if choice.since_start or not _has_last_minute(model) else ROUTES
    return {"workers": WORKERS, "jobs": JOBS, "metrics": OWN, "events": EVENTS}[choice.tab]


def rows_of(model: Model, table: Table) -> Sequence[Json]:
    """All rows that the list has; a route without a request in the last minute is none of its routes."""
    if table is ROUTES:
        return [row for row in model.routes if row.get("last_minute")]
    if table is EVENTS:
        return event_rows(model.events, model.time)
    if table is OWN:
        return list(model.own.rows())
    return model.workers if table is WORKERS else model.jobs if table is JOBS else model.routes


def listing_of(model: Model, choice: Choice, frame: Frame) -> Listing:
    """The list in view, with the rows that are searched for, sorted."""
    table = table_of(model, choice)
    rows = rows_of(model, table)
    order, turned = choice.orders.get(table.name, ""), table.name in choice.turned
    order = order if order in table.orders else table.order
    chosen = table.sort(table.search(rows, choice.search), order, turned)
    lines = Lines(frame.width, frame.glyphs, order, turned)
    if table is not JOBS or not model.has_more_jobs:
        return Listing(table, chosen, len(rows), lines, compact(len(chosen)))
    number_of = None if choice.search else model.jobs_total
    return Listing(table, chosen, len(rows), lines, compact(number_of) if number_of else f"{compact(len(chosen))}+")


def tabs_line(model: Model, choice: Choice, frame: Frame, matches: str) -> Text:
    """The lists that there are, each with its number; that in view says what it shows, and how many rows match."""
    search = f" /{frame.glyphs.said(choice.search, 20)}: {matches}" if choice.search else ""
    all_titles = {tab: _titles(model, choice, tab) for tab in TABS}
    for most in (2, 1, 0):
        line = Text(end="")
        for place, tab in enumerate(TABS, 1):
            titles = all_titles[tab]
            title = titles[min(most, len(titles) - 1)] + (search if tab == choice.tab else "")
            text = f" {place} {title} " if most else f" {place} {title if tab == choice.tab else title[:3]} "
            style = "reverse bold" if tab == choice.tab else "underline"
            line.append(text, Style.parse(style) + Style(meta={"tab": tab}))
        if line.cell_len <= frame.width:
            break
    line.append(" " * (frame.width - line.cell_len), "underline")
    return _bounded(line, frame.width)


def _titles(model: Model, choice: Choice, tab: str) -> list[str]:
    """Of a tab, from short to long."""
    if tab == "workers":
        joined = sum(worker.get("kind") == "joined" for worker in model.workers)
        name, kind = f"workers {len(model.workers) - joined}", f" {model.worker_class}" if model.worker_class else ""
        ended = f", {compact(model.restarts)} ended" if model.restarts else ""
        beside = f", {joined} joined" if joined else ""
        return [tab, name, f"{name}{kind}{beside}{ended}"]
    if tab == "routes":
        rows = rows_of(model, table_of(model, Choice(since_start=choice.since_start)))
        span = "since start" if choice.since_start or not _has_last_minute(model) else "last minute"
        return [tab, f"routes {len(rows)}", f"routes {len(rows)} {span}"]
    if tab == "jobs":
        active, waiting = (figure(model.raw.get(name), compact) for name in ("jobs_active", "jobs_pending"))
        is_known = active != UNKNOWN
        refusal = f", only the newest: {model.jobs_refusal}" if model.jobs_refusal and model.jobs else ""
        return [
            tab,
            f"jobs {active}+{waiting}" if is_known else tab,
            f"jobs {active} active, {waiting} waiting{refusal}" if is_known else f"{tab}{refusal}",
        ]
    if tab == "metrics":
        refusal = f", not pinned: {model.own.refusal}" if model.own.refusal and choice.tab == tab else ""
        number_of = sum(1 for _ in model.own.rows())
        return [tab, f"metrics {number_of}{refusal}"]
    return [tab, f"events {len(model.events)}"]


def empty_text(listing: Listing, model: Model, choice: Choice) -> str:
    """What to do, where a list has no rows."""
    if choice.search:
        return f"none of {listing.total} has {choice.search!r}: / and Esc show all"
    if not model.received:
        return ""
    if listing.table is ROUTES and model.routes:
        return "no request in the last minute: t shows those since the start"
    if listing.table is JOBS and model.jobs_refusal:
        return model.jobs_refusal
    texts = {
        "routes": f"no request yet: send a first one, and it is here within {model.interval:.0f} s",
        "workers": "no worker lives",
        "jobs": "no job yet: hvd jobs submit KIND makes one, hvd jobs kinds shows what there is",
        "metrics": "the app has no metrics of its own: hvd.Counter, Gauge, Histogram or prometheus_client make some",
        "events": "nothing has happened yet",
    }
    return texts[listing.table.name]
