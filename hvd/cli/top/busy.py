"""How busy the workers are, as a line with a bar, and the requests that take longest, as a list. Pure."""

from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.frames import age_text, request_name, short_place
from hvd.cli.saturation import LONG, backlog_text, beside_texts, capacity_text, long_requests, p99_text, waiting_text
from hvd.cli.top.badge import is_stale
from hvd.cli.top.forms import cut_middle
from hvd.cli.top.frame import Frame, Glyphs
from hvd.cli.top.model import Model
from hvd.texts import digits, figure, number

_BAR = 10  # cells
_NEARLY = 0.8  # of the capacity busy, from which on it is worth a colour


def busy_lines(model: Model, frame: Frame) -> list[Text]:
    """`Capacity  ########.. 8 of 8 busy for 18.2s  Backlog  12 of 2,048`, in as many lines as the width needs."""
    raw, stale = model.raw, is_stale(model, frame)
    lines: list[Text] = []
    for label, value, style in _figures(raw, frame):
        part = Text(f"{label}  ", "dim", end="").append(value, "dim" if stale else f"not dim {style}")
        if lines and cell_len(lines[-1].plain) + 3 + cell_len(part.plain) <= frame.width:
            lines[-1].append("   ").append_text(part)
        else:
            lines.append(part)
    return lines


def _figures(raw: Json, frame: Frame) -> Iterator[tuple[str, str, str]]:
    """Label, value, and style of each; no bar where it would leave no room for words."""
    share = _busy_share(raw)
    style = "bold" if share is None or share < _NEARLY else "bold yellow"
    bar = "" if share is None or frame.width < 60 else f"{_bar(share, frame.glyphs)} "
    text = capacity_text(raw) if frame.width >= 60 else capacity_text(raw).partition(",")[0]
    yield "Capacity" if frame.width >= 60 else "Busy", f"{bar}{text}", style
    yield "Backlog", backlog_text(raw), "bold yellow" if _waits(raw) else "bold"
    if (number(raw.get("p99_with_open")) or 0.0) > (number(raw.get("p99")) or 0.0):
        yield "p99 now", p99_text(raw), "bold"
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


def longest_lines(model: Model, frame: Frame) -> list[Text]:
    """`stuck  18.2s GET /slow  worker 4711  at report.py:41 build`, a line each: all of them, or as many as leave room
    for the rest of the screen.
    """
    requests = long_requests(model.raw, LONG)
    most = len(requests) if frame.height is None else max(1, min(8, frame.height // 8))
    stale = is_stale(model, frame)
    lines = [_longest_line(request, frame, stale) for request in requests[:most]]
    if len(requests) > most and frame.width >= 60:
        lines[-1].append(f"  (and {len(requests) - most} more)", "dim")
        lines[-1].truncate(frame.width, overflow="crop")
    return lines


def _longest_line(request: Json, frame: Frame, stale: bool) -> Text:
    """Where in the code is never what is cut away."""
    glyphs = frame.glyphs
    age = f"{age_text(request.get('age_seconds')):>7}  "
    place = short_place(request.get("stack"), glyphs.encoding)
    worker = f"  worker {figure(request.get('pid'), digits)}" if frame.width >= 60 else ""
    room = frame.width - cell_len(age) - cell_len(worker)
    at = cut_middle(f"  at {place}", max(0, room - (14 if frame.width >= 60 else 8)), glyphs.more) if place else ""
    name = cut_middle(request_name(request, glyphs.encoding), room - cell_len(at), glyphs.more)
    line = Text(age, "dim" if stale else "bold yellow", end="")
    line.append(name, "not bold").append(worker, "dim").append(at, "bold" if not stale else "dim")
    line.truncate(frame.width, overflow="crop")
    return line
