"""How busy the workers are, as a line with a bar, and the requests that take longest, as a list. Pure."""

from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.frames import age_text, request_name, short_place
from hvd.cli.saturation import LONG, backlog_text, beside_texts, capacity_text, long_requests, p99_text, waiting_text
from hvd.cli.top.badge import badge, is_stale
from hvd.cli.top.frame import Frame, Glyphs
from hvd.cli.top.model import Model
from hvd.cli.top.table import ListColumn, Order, Shape, Table, table_lines
from hvd.texts import UNKNOWN, digits, figure, number

_BAR = 10  # cells
_NEARLY = 0.8  # of the capacity busy, from which on it is worth a colour


def busy_lines(model: Model, frame: Frame) -> list[Text]:
    """`Capacity  ########.. 8 of 8 busy for 18.2s  Backlog  12 of 2,048`, in as many lines as the width needs."""
    raw, stale = model.raw, is_stale(badge(model, frame))
    lines: list[Text] = []
    for label, value, style in _figures(raw, frame.glyphs):
        part = Text(f"{label}  ", "dim").append(value, "dim" if stale else f"not dim {style}")
        if lines and cell_len(lines[-1].plain) + 3 + cell_len(part.plain) <= frame.width:
            lines[-1].append("   ").append_text(part)
        else:
            lines.append(part)
    return lines


def _figures(raw: Json, glyphs: Glyphs) -> Iterator[tuple[str, str, str]]:
    """Label, value, and style of each."""
    share = _busy_share(raw)
    style = "bold" if share is None or share < _NEARLY else "bold red" if share >= 1 else "bold yellow"
    bar = "" if share is None else f"{_bar(share, glyphs)} "
    yield "Capacity", f"{bar}{capacity_text(raw)}", style
    yield "Backlog", backlog_text(raw), "bold yellow" if _waits(raw) else "bold"
    if number(raw.get("p99_with_open")) is not None:
        yield "p99", p99_text(raw), "bold"
    yield from ((label, value, "bold") for label, value in beside_texts(raw))
    if clients := waiting_text(raw):
        yield "Clients", clients, "bold"


def _waits(raw: Json) -> bool:
    return any(number(raw.get(name)) for name in ("accept_backlog", "queued_requests"))


def _busy_share(raw: Json) -> float | None:
    busy, threads = number(raw.get("worker_threads_busy")), number(raw.get("worker_threads"))
    return None if busy is None or not threads else min(1.0, busy / threads)


def _bar(share: float, glyphs: Glyphs) -> str:
    full = round(share * _BAR)
    return glyphs.full * full + glyphs.empty * (_BAR - full)


LONGEST = Table(
    "longest",
    lambda row, glyphs: request_name(row, glyphs.encoding),
    (
        ListColumn("AGE", 7, lambda row, _: age_text(row.get("age_seconds")), alarming=lambda row: True),
        ListColumn("WORKER", 7, lambda row, _: figure(row.get("pid"), digits)),
        ListColumn("AT", 26, lambda row, glyphs: short_place(row.get("stack"), glyphs.encoding) or UNKNOWN, left=True),
    ),
    (Order("age", lambda row: number(row.get("age_seconds")) or 0.0),),
    text_order="",
    text_width=20,
)


def longest_lines(model: Model, frame: Frame) -> list[Text]:
    """The list, where there are such requests: all of them, or as many as leave room for the rest of the screen."""
    requests = long_requests(model.raw, LONG)
    if not requests:
        return []
    most = len(requests) if frame.height is None else max(1, min(10, frame.height // 6 - 1))
    height = None if frame.height is None else 1 + min(most, len(requests))
    lines = table_lines(LONGEST, ["longest requests", "longest"], requests, Shape(frame.width, height, frame.glyphs))
    return [Text(), *lines] if height is None else lines
