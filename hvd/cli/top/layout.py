"""The whole screen: from a model and what the user chose to so many lines of so many cells. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.busy import busy_lines, longest_lines
from hvd.cli.top.charts import chart_lines
from hvd.cli.top.frame import Frame
from hvd.cli.top.header import health_lines, message_lines, title_line
from hvd.cli.top.keys import METRICS, State, help_lines, keys_line
from hvd.cli.top.lists import TABLES
from hvd.cli.top.model import Model
from hvd.cli.top.own_list import OWN, found_rows, own_chart_lines
from hvd.cli.top.table import Shape, Table, last_start, table_lines
from hvd.texts import UNKNOWN, count, figure


@dataclass(frozen=True)
class Screen:
    """The lines; `page` rows of the list in focus are visible, and it can be scrolled by `scroll_end` rows. `selected`
    is the key of the own metric that is charted.
    """

    lines: list[Text]
    page: int
    scroll_end: int
    selected: str = ""


def lay_out(model: Model, state: State, frame: Frame) -> Screen:
    """All lines of the screen; with `frame.height` exactly so many."""
    if state.help:
        return Screen(_filled(help_lines(frame), frame), 1, 0)
    height = frame.height
    head = [title_line(model, frame), *health_lines(model, frame), *busy_lines(model, frame)]
    messages = [*message_lines(model, frame), *longest_lines(model, frame)]
    foot = [] if height is None else [keys_line(frame, metrics=state.focus == METRICS)]
    lines = [*head, *messages]
    if height is not None and len(lines) + len(foot) >= height:
        return Screen(_filled([head[0], *messages, *head[1:]], frame), 1, 0)
    left = None if height is None else height - len(lines) - len(foot)
    rows = found_rows(model, state) if state.focus == METRICS else []
    selected = rows[min(state.scrolled[METRICS], len(rows) - 1)] if rows else None
    if state.focus == METRICS:
        charts = own_chart_lines(model, state, frame.width, left, frame.glyphs, selected)
    else:
        charts = chart_lines(model, state, frame.width, left, frame.glyphs)
    lines += charts
    left = None if left is None else left - len(charts)
    tables, page, end = _tables(model, state, frame, left)
    lines += tables
    if height is not None:
        lines += [Text()] * (height - len(lines) - len(foot))
    return Screen(_filled(lines + foot, frame), page, end, str(selected["key"]) if selected else "")


def _filled(lines: Sequence[Text], frame: Frame) -> list[Text]:
    """Cut to the height, filled up to it; no line is wider than the screen."""
    if frame.height is not None:
        lines = [*lines[: frame.height], *[Text()] * (frame.height - len(lines))]
    return [_bounded(line, frame.width) for line in lines]


def _bounded(line: Text, width: int) -> Text:
    if cell_len(line.plain) <= width:
        return line
    line = line.copy()
    line.truncate(width, overflow="crop")
    return line


def _titles(model: Model) -> list[list[str]]:
    """Titles of the three lists, from the longest to one that fits anywhere."""
    joined = sum(worker.get("kind") == "joined" for worker in model.workers)
    restarts, number = figure(model.restarts, count), f"workers {len(model.workers) - joined}"
    kind = f" {model.worker_class}" if model.worker_class else ""
    beside = f", {joined} joined" if joined else ""
    ended = f", {restarts} ended" if restarts not in (UNKNOWN, "0") else ""
    jobs = [
        f"{figure(model.raw.get(name), count)} {word}"
        for name, word in (("jobs_active", "active"), ("jobs_pending", "pending"), ("jobs_failed", "failed"))
    ]
    return [
        [f"{number}{kind}{beside}{ended}", f"{number}{beside}{ended}", f"{number}{beside}", number, "workers"],
        [f"routes {len(model.routes)}", "routes"],
        [*(f"jobs {', '.join(jobs[:most])}" for most in (3, 2, 1)), "jobs"],
    ]


def _own_titles(model: Model, state: State, rows: Sequence[Json]) -> list[str]:
    """What is searched for, while it is typed or found; why a pin was refused."""
    refusal = f", not pinned: {model.own.refusal}" if model.own.refusal else ""
    if state.typing:
        return [f"metrics {len(rows)} /{state.search}_"]
    search = f" /{state.search}" if state.search else ""
    return [f"metrics {len(rows)}{search}{refusal}", f"metrics {len(rows)}{search}", "metrics"]


def tables_of(model: Model) -> tuple[Table, ...]:
    """The lists that there are."""
    return TABLES if model.own.is_empty else (*TABLES, OWN)


def _tables(model: Model, state: State, frame: Frame, left: int | None) -> tuple[list[Text], int, int]:
    tables, titles = tables_of(model), _titles(model)
    lists: list[Sequence[Json]] = [model.workers, model.routes, model.jobs]
    if len(tables) > METRICS:
        lists.append(found_rows(model, state))
        titles.append(_own_titles(model, state, lists[METRICS]))
    heights: list[int | None] = [None] * len(lists)
    if left is not None:
        heights = shares([len(rows) for rows in lists], state.focus, left)
    lines: list[Text] = []
    page, end = 1, 0
    for place, (table, rows, height) in enumerate(zip(tables, lists, heights, strict=True)):
        focused = place == state.focus
        if height is None:
            lines.append(Text())
        elif focused:
            page = max(1, height - 1)
            end = max(0, len(rows) - (1 if place == METRICS else page))
        shape = Shape(
            frame.width,
            height,
            frame.glyphs,
            focused and height is not None,
            state.orders[place],
            state.turned[place],
            state.scrolled[place] if place != METRICS else max(0, state.scrolled[place] - (height or 2) + 2),
        )
        if height is None or height > 0:
            key = "" if height is None else f"{place + 1} "
            drawn = table_lines(table, [key + title for title in titles[place]], rows, shape)
            if place == METRICS and focused and height is not None:
                start = last_start(len(rows), height - 1, shape.scrolled)
                _mark_selected(drawn, min(state.scrolled[place], len(rows) - 1) - start)
            lines += drawn
    return lines, page, end


def _mark_selected(lines: list[Text], row: int) -> None:
    if 0 <= row < len(lines) - 1:
        lines[row + 1].stylize("reverse")


def shares(rows: Sequence[int], focus: int, left: int) -> list[int | None]:
    """The numbers of lines that the lists get, heads included: the one in focus all that the others don't need.

    The others show some of their rows if there is room; a list without rows needs only its head.
    """
    wanted = [1 + count for count in rows]
    least = 2 if left < 9 else 3 if left < 16 else 1 + left // 5
    heights = [min(least, want) for want in wanted]
    while sum(heights) > left and any(heights):
        highest = max(range(len(heights)), key=lambda place: (heights[place], place != focus))
        heights[highest] -= 1
    for place in sorted(range(len(rows)), key=lambda place: place != focus):
        more = min(wanted[place] - heights[place], left - sum(heights))
        heights[place] += max(0, more)
    return list(heights)
