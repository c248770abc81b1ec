"""The first lines of the screen: which daemon, how old its numbers are, System Health, and what is wrong. Pure."""

import textwrap
from collections.abc import Mapping
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from hvd.cli.answers import Json, objects
from hvd.cli.frames import request_text
from hvd.cli.status import concurrency
from hvd.cli.top.badge import STYLES, age, badge, is_stale
from hvd.cli.top.frame import Frame, Glyphs
from hvd.cli.top.model import Model
from hvd.texts import (
    count,
    digits,
    duration,
    errors,
    figure,
    milliseconds,
    number,
    percent,
    plain,
    short_duration,
    short_size,
)

_WIDE = 120  # cells from which on there is room for words


def title_line(model: Model, frame: Frame) -> Text:
    """The daemon at the left, its badge and whether its numbers are live at the right."""
    state = badge(model, frame)
    stale = is_stale(state)
    right = Text(f"{frame.glyphs.dot} {state}", STYLES.get(state, "bold red"))
    if frame.paused_for is not None:
        right.append(f"{frame.glyphs.apart}PAUSED {short_duration(frame.paused_for)}", "bold yellow")
    if stale:
        right.append(f"{frame.glyphs.apart}STALE {short_duration(age(model, frame))}", "bold red")
    elif frame.paused_for is None and frame.height is not None:
        how, style = ("asked", "yellow") if model.trouble else ("live", "green")
        right.append(f"{frame.glyphs.apart}{how}", style)
    left = Text("hvd top", "bold")
    room = frame.width - len("hvd top  ") - cell_len(right.plain) - 2
    url = plain(frame.url, frame.glyphs.encoding)
    url = f"{plain(model.app, frame.glyphs.encoding)}  {url}" if model.app else url
    if cell_len(url) > room:
        url = set_cell_size(url, room - 1) + frame.glyphs.more if room > 8 else ""
    left.append(f"  {url}" if url else "")
    if len("hvd top  ") + cell_len(right.plain) > frame.width:
        return right
    return left.append(" " * (frame.width - cell_len(left.plain) - cell_len(right.plain))).append_text(right)


def health_lines(model: Model, frame: Frame) -> list[Text]:
    """The figures of System Health, in as many columns as find room."""
    raw, wide = model.raw, frame.width >= _WIDE
    threads, tasks = (figure(raw.get(name), count) for name in ("threads", "tasks"))
    figures = [
        ("Uptime", figure(raw.get("uptime_seconds"), duration)),
        ("Requests", figure(raw.get("http_requests"), count)),
        ("Mean response", figure(raw.get("avg_response_time"), milliseconds)),
        ("Memory", figure(raw.get("memory_usage"), short_size)),
        ("Errors", errors(raw.get("http_errors"), raw.get("http_requests"))),
        ("WS clients", figure(raw.get("websocket_clients"), count)),
        ("CPU", figure(raw.get("cpu_usage"), percent)),
        ("In flight", figure(model.in_flight, count)),
        ("Concurrency", concurrency(raw)) if wide else ("Thr+tasks", f"{threads}+{tasks}"),
    ]
    stale = is_stale(badge(model, frame))
    columns = 3 if frame.width >= 72 else 2 if frame.width >= 50 else 1
    lines = []
    for start in range(0, len(figures), columns):
        line = Text()
        for place, (label, value) in enumerate(figures[start : start + columns]):
            labels = max(len(name) for name, _ in figures[place::columns])
            if place:
                line.append(" " * (max(2, place * frame.width // columns - cell_len(line.plain))))
            label = f"{label:<{labels}}  " if columns > 1 else _label(label, labels, value, frame.width)
            line.append(label, "dim").append(value, _figure_style(label, raw, stale))
        lines.append(line)
    return lines


def _label(label: str, labels: int, value: str, width: int) -> str:
    """The label before a value that is not to be cut: in a column, or as much of it as there is room for."""
    room = width - cell_len(value)
    return f"{label:<{labels}}  " if labels + 2 <= room else f"{label[: room - 1]} " if room > 3 else ""


def _figure_style(label: str, raw: Json, stale: bool) -> str:
    if stale:
        return "dim"
    failed = label.startswith("Errors") and number(raw.get("http_errors"))
    return "bold yellow" if failed else "bold"


def message_lines(model: Model, frame: Frame) -> list[Text]:
    """What is wrong, or was, a line each: now first."""
    glyphs = frame.glyphs
    messages: list[tuple[str, str]] = []
    if model.unreachable or model.trouble:
        messages.append(_connection_message(model, frame))
    style = "dim" if is_stale(badge(model, frame)) else "yellow"  # so it was
    messages += [(plain(reason, glyphs.encoding), style) for reason in model.reasons]
    alerts = model.raw.get("alerts")
    messages += [(_alert(alert, glyphs), "red") for alert in (alerts if isinstance(alerts, list) else [])]
    messages += _deaths(model, glyphs, 1 if frame.height is not None and frame.height < 40 else 5)
    most = 10 if frame.height is None else max(1, min(6, frame.height // 8))
    if len(messages) > most:
        messages[most - 1 :] = [(f"{messages[most - 1][0]} (and {len(messages) - most} more)", messages[most - 1][1])]
    return [line for text, style in messages for line in _message(text, style, frame)]


def _connection_message(model: Model, frame: Frame) -> tuple[str, str]:
    if model.unreachable:
        return f"No connection, asking every 2 s: {plain(model.unreachable, frame.glyphs.encoding)}", "bold red"
    wait = max(0.0, model.retry_at - frame.now)
    again = f"trying again in {wait:.0f} s" if wait >= 0.5 else "trying again"
    return f"No WebSocket, asking by HTTP, {again}: {plain(model.trouble, frame.glyphs.encoding)}", "yellow"


def _message(text: str, style: str, frame: Frame) -> list[Text]:
    """All of it, where lines are printed; one line of it on a screen, where others need room too."""
    text = f"! {text}"
    if frame.height is None:
        return [Text(line, style) for line in textwrap.wrap(text, frame.width, subsequent_indent="  ")]
    if cell_len(text) > frame.width:
        text = set_cell_size(text, max(0, frame.width - 1)) + frame.glyphs.more
    return [Text(text, style)]


def _alert(alert: object, glyphs: Glyphs) -> str:
    if not isinstance(alert, Mapping):
        return plain(alert, glyphs.encoding)
    parts = [alert.get(name) for name in ("severity", "name", "message")]
    return " ".join(plain(part, glyphs.encoding) for part in parts if part) or plain(dict(alert), glyphs.encoding)


def _deaths(model: Model, glyphs: Glyphs, most: int) -> list[tuple[str, str]]:
    lines = []
    for entry in model.post_mortems[:most]:
        requests = objects(entry.get("requests"))[:3]
        work = ", ".join(request_text(request, glyphs.encoding) for request in requests) or "a request"
        kind, cause = (plain(entry.get(name), glyphs.encoding, 30) for name in ("kind", "cause"))
        pid = figure(entry.get("pid"), digits)
        lines.append((f"{kind} {pid} died {_ago(entry.get('time'), model.raw)} ({cause}) at {work}", "yellow"))
    if lines and len(model.post_mortems) > most:
        lines[-1] = (f"{lines[-1][0]}; {len(model.post_mortems) - most} before", "yellow")
    return lines


def _ago(then: object, raw: Json) -> str:
    """How long before the numbers that was, by the daemon's own clock."""
    try:
        seconds = (datetime.fromisoformat(str(raw["timestamp"])) - datetime.fromisoformat(str(then))).total_seconds()
    except (ValueError, KeyError, TypeError):
        return f"at {plain(then, 'ascii', 30)}"
    return f"{short_duration(max(0.0, seconds))} ago"
