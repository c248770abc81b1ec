"""The first lines of the screen: which daemon, whether it is up and answers, and what is wrong. Pure."""

import textwrap
from collections.abc import Mapping

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from hvd.cli.answers import Json, instant, objects
from hvd.cli.frames import request_text
from hvd.cli.top.badge import STYLES, age, badge, is_stale
from hvd.cli.top.events import RECENT, UNPLANNED, ago_text, event_rows
from hvd.cli.top.forms import cut_middle
from hvd.cli.top.frame import Frame, Glyphs
from hvd.cli.top.model import Model
from hvd.texts import digits, figure, plain, short_duration


def title_line(model: Model, frame: Frame) -> Text:
    """The daemon at the left, its badge and whether its numbers are live at the right."""
    right = _state_text(model, frame)
    left = Text("hvd top", "bold", end="")
    room = frame.width - len("hvd top  ") - right.cell_len - 2
    url = plain(frame.url, frame.glyphs.encoding)
    url = f"{plain(model.app, frame.glyphs.encoding)}  {url}" if model.app else url
    url = cut_middle(url, room, frame.glyphs.more) if room > 8 else ""
    left.append(f"  {url}" if url else "", "not bold")
    if len("hvd top  ") + right.cell_len > frame.width:
        return right
    return left.append(" " * (frame.width - left.cell_len - right.cell_len)).append_text(right)


def _state_text(model: Model, frame: Frame) -> Text:
    state = badge(model, frame)
    text = Text(f"{frame.glyphs.dot} {state}", f"bold {STYLES.get(state, 'red')}", end="")
    if frame.paused_for is not None:
        text.append(f"{frame.glyphs.apart}PAUSED {short_duration(frame.paused_for)}", "bold yellow")
    if is_stale(model, frame):
        text.append(f"{frame.glyphs.apart}STALE {short_duration(age(model, frame))}", "bold red")
    elif frame.paused_for is None and frame.height is not None:
        how, style = ("asked", "not bold yellow") if model.trouble else ("live", "not bold green")
        text.append(f"{frame.glyphs.apart}{how}", style)
    return text


def message_lines(model: Model, frame: Frame) -> list[Text]:
    """What is wrong, or was, a line each: now first."""
    glyphs = frame.glyphs
    messages: list[tuple[str, str]] = []
    if model.unreachable or model.trouble:
        messages.append(_connection_message(model, frame))
    was = is_stale(model, frame)
    messages += [(glyphs.said(reason), "dim" if was else _style(reason)) for reason in model.reasons]
    alerts = model.raw.get("alerts")
    messages += [(_alert(alert, glyphs), "red") for alert in (alerts if isinstance(alerts, list) else [])]
    messages += _deaths(model, frame, 1 if frame.height is not None and frame.height < 40 else 5)
    most = 10 if frame.height is None else max(1, min(6, frame.height // 8))
    if len(messages) > most:
        messages[most - 1 :] = [(f"{messages[most - 1][0]} (and {len(messages) - most} more)", messages[most - 1][1])]
    return [line for text, style in messages for line in _message(text, style, frame)]


def _style(reason: str) -> str:
    """Red is for the server's errors."""
    return "bold red" if reason.startswith("failing:") else "bold yellow"


def _connection_message(model: Model, frame: Frame) -> tuple[str, str]:
    if model.unreachable:
        heard = f" Last heard of it {short_duration(age(model, frame))} ago." if model.received else ""
        reason = frame.glyphs.said(model.unreachable)
        return f"No connection, asking every 2 s: {reason}.{heard}", "bold red"
    wait = max(0.0, model.retry_at - frame.now)
    again = f"trying again in {wait:.0f} s" if wait >= 0.5 else "trying again"
    return f"No WebSocket, asking by HTTP, {again}: {frame.glyphs.said(model.trouble)}", "yellow"


def _message(text: str, style: str, frame: Frame) -> list[Text]:
    """All of it, where lines are printed; one line of it on a screen, where others need room too."""
    text = f"! {text}"
    if frame.height is None:
        return [Text(line, style, end="") for line in textwrap.wrap(text, frame.width, subsequent_indent="  ")]
    if cell_len(text) > frame.width:
        text = set_cell_size(text, max(0, frame.width - 1)) + frame.glyphs.more
    return [Text(text, style, end="")]


def _alert(alert: object, glyphs: Glyphs) -> str:
    if not isinstance(alert, Mapping):
        return glyphs.said(alert)
    parts = [alert.get(name) for name in ("severity", "name", "message")]
    return " ".join(glyphs.said(part) for part in parts if part) or glyphs.said(dict(alert))


def _deaths(model: Model, frame: Frame, most: int) -> list[tuple[str, str]]:
    """The newest first: of who died at work with the requests, of all others, and of boots that failed, as the event
    says.
    """
    recent = [(seconds, _death_text(entry, seconds, frame.glyphs)) for seconds, entry in _post_mortems(model)]
    at_work = {entry.get("pid") for _, entry in _post_mortems(model)}
    for event in event_rows(model.events, model.time):
        is_told = event.get("kind") == "death" and event.get("pid") in at_work
        if event.get("kind") in UNPLANNED and not is_told and event["ago"] < RECENT:
            text = f"{ago_text(event['ago'])}: {frame.glyphs.said(event.get('text'))}"
            recent.append((event["ago"], text))
    recent.sort(key=lambda one: one[0])
    lines = [(text, "red") for _, text in recent[:most]]
    if lines and len(recent) > most:
        lines[-1] = (f"{lines[-1][0]}; {len(recent) - most} before", "red")
    return lines


def _post_mortems(model: Model) -> list[tuple[float, Json]]:
    """The recent ones, each with its age in s."""
    return [(seconds, entry) for entry in model.post_mortems if (seconds := _age_of(entry, model)) < RECENT]


def _death_text(entry: Json, seconds: float, glyphs: Glyphs) -> str:
    requests = objects(entry.get("requests"))[:3]
    work = ", ".join(request_text(request, glyphs.encoding) for request in requests) or "a request"
    kind, cause = (glyphs.said(entry.get(name), 30) for name in ("kind", "cause"))
    return f"{kind} {figure(entry.get('pid'), digits)} died {short_duration(seconds)} ago ({cause}) at {work}"


def _age_of(entry: Json, model: Model) -> float:
    """How long before the numbers it died, by the daemon's own clock; 0 where that isn't known."""
    died = instant(entry.get("time"))
    return max(0.0, model.time - died.timestamp()) if died else 0.0
