"""The last minute and the minute before: the shares of errors, times, and the rate; totals in small print. Pure."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.badge import is_stale
from hvd.cli.top.forms import compact, compact_rate, padded, share, time_ms
from hvd.cli.top.frame import Frame
from hvd.cli.top.model import Model
from hvd.texts import duration, figure, number, percent, short_duration, short_size

_NARROW, _LOW = 50, 16  # cells and lines below which there is no room for a table
_NAME, _FIGURE = 12, 9  # cells


class _Figure(NamedTuple):
    """A column: its head, the field of a span, its form."""

    head: str
    field: str
    form: Callable[[float], str]


_FIGURES = (
    _Figure("5xx", "server_error_rate", share),
    _Figure("4xx", "client_error_rate", share),
    _Figure("p99", "p99_ms", time_ms),
    _Figure("requests/s", "requests_per_second", compact_rate),
    _Figure("p50", "p50_ms", time_ms),
    _Figure("p90", "p90_ms", time_ms),
    _Figure("mean", "mean_ms", time_ms),
    _Figure("busy", "busy_ratio", share),
    _Figure("requests", "requests", compact),
)
"""In the order of an operator's questions; those that have no room are left out from the right."""


def now_lines(model: Model, frame: Frame) -> list[Text]:
    """The span of now above the one before; in one row of pairs where there is little room."""
    names, now, before = _spans(model.raw)
    stale = is_stale(model, frame)
    low = frame.height is not None and frame.height < _LOW
    if frame.width < _NARROW or low:
        return _pairs(now, before, frame, stale)
    figures = _FIGURES[: (frame.width - _NAME - 1) // (_FIGURE + 2)]  # one head is longer
    head = Text(" " * _NAME, "dim", end="")
    lines = [
        head,
        Text(padded(names[0], _NAME, left=True), end=""),
        Text(padded(names[1], _NAME, left=True), "dim", end=""),
    ]
    for one in figures:
        width = max(_FIGURE, len(one.head))
        head.append("  " + padded(one.head, width))
        lines[1].append("  " + padded(_text(now, one), width), "dim" if stale else _style(now, one))
        lines[2].append("  " + padded(_text(before, one), width))
    return lines


def _spans(raw: Json) -> tuple[tuple[str, str], Json, Json]:
    """What they are called, and their figures; of a daemon that has not run for a minute the last interval."""
    now, before = raw.get("last_minute"), raw.get("minute_before")
    if isinstance(now, Mapping):
        return ("last minute", "before"), now, before if isinstance(before, Mapping) else {}
    ended = number(raw.get("requests_per_second"))
    times = {f"{name}_ms": raw.get(name) for name in ("p50", "p90", "p99")} if ended else {}
    return ("just now", "before"), {**raw, **times}, {}


def _text(span: Json, one: _Figure) -> str:
    if one.field.endswith("_error_rate") and number(span.get("requests_per_second")) == 0:
        return figure(None, one.form)
    return figure(span.get(one.field), one.form)


def _style(span: Json, one: _Figure) -> str:
    is_bad = one.field == "server_error_rate" and number(span.get(one.field))
    return "bold red" if is_bad else "bold"


def _pairs(now: Json, before: Json, frame: Frame, stale: bool) -> list[Text]:
    """`5xx 0.4% (0%)  p99 1.21s (45.2ms)`: now, and the minute before in brackets."""
    lines: list[Text] = []
    for one in _FIGURES[:4]:
        head = "req/s" if one.field == "requests_per_second" else one.head
        part = Text(f"{head} ", "dim", end="").append(
            _text(now, one), "dim" if stale else f"not dim {_style(now, one)}"
        )
        if before:
            part.append(f" ({_text(before, one)})")
        if lines and lines[-1].cell_len + 2 + part.cell_len <= frame.width:
            lines[-1].append("  ").append_text(part)
        else:
            lines.append(Text(end="").append_text(part))
    return lines[:2]


def totals_line(model: Model, frame: Frame) -> Text:
    """The small print: as many figures as have room."""
    raw = model.raw
    ends = model.ends
    uptime = duration if frame.width >= 120 else short_duration
    parts = [
        f"since start {figure(raw.get('uptime_seconds'), uptime)}:",
        f"{figure(raw.get('http_requests'), compact)} requests",
        f"5xx {figure(raw.get('http_server_errors'), compact)}",
        f"4xx {figure(raw.get('http_client_errors'), compact)}",
        *([f"{figure(ends.get('unplanned'), compact)} unplanned ends"] if number(ends.get("unplanned")) else []),
        *([f"{figure(ends.get('failed_boots'), compact)} failed boots"] if number(ends.get("failed_boots")) else []),
        f"memory {figure(raw.get('memory_usage'), short_size)}",
        f"CPU {figure(raw.get('cpu_usage'), percent)}",
        f"{figure(model.in_flight, compact)} in flight",
        f"{figure(raw.get('websocket_clients'), compact)} WebSockets",
        f"{figure(raw.get('threads'), compact)} threads",
        f"{figure(raw.get('tasks'), compact)} tasks",
        f"hvd {model.version}",
    ]
    line = Text(parts[0], "dim", end="")
    for part in parts[1:]:
        text = f" {part}" if line.plain.endswith(":") else f", {part}"
        if line.cell_len + len(text) > frame.width:
            break
        line.append(text)
    return line
