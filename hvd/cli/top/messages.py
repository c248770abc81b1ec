"""What is wrong with a daemon, or was: a line each. Pure."""

from collections.abc import Mapping
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from hvd.cli.top.frame import Frame, Glyphs
from hvd.cli.top.lists import serving
from hvd.cli.top.model import Json, Model, objects
from hvd.texts import figure, plain, short_duration


def message_lines(model: Model, frame: Frame) -> list[Text]:
    """What is wrong, or was, a line each: now first."""
    glyphs = frame.glyphs
    messages: list[tuple[str, str]] = []
    if model.trouble:
        wait = max(0.0, model.retry_at - frame.now)
        again = f"trying again in {wait:.0f} s" if wait >= 0.5 else "trying again"
        messages.append((f"No connection, {again}: {plain(model.trouble, glyphs.encoding)}", "bold red"))
    messages += [(plain(reason, glyphs.encoding), "yellow") for reason in model.reasons]
    alerts = model.raw.get("alerts")
    messages += [(_alert(alert, glyphs), "red") for alert in (alerts if isinstance(alerts, list) else [])]
    messages += _deaths(model, glyphs, 1 if frame.height is not None and frame.height < 40 else 5)
    most = 10 if frame.height is None else max(1, min(6, frame.height // 8))
    if len(messages) > most:
        messages[most - 1 :] = [(f"{messages[most - 1][0]} (and {len(messages) - most} more)", messages[most - 1][1])]
    width = None if frame.height is None else frame.width
    return [_message(text, style, width, glyphs) for text, style in messages]


def _message(text: str, style: str, width: int | None, glyphs: Glyphs) -> Text:
    text = f"! {text}"
    if width is not None and cell_len(text) > width:
        text = set_cell_size(text, max(0, width - 1)) + glyphs.more
    return Text(text, style)


def _alert(alert: object, glyphs: Glyphs) -> str:
    if not isinstance(alert, Mapping):
        return plain(alert, glyphs.encoding)
    parts = [alert.get(name) for name in ("severity", "name", "message")]
    return " ".join(plain(part, glyphs.encoding) for part in parts if part) or plain(dict(alert), glyphs.encoding)


def _deaths(model: Model, glyphs: Glyphs, most: int) -> list[tuple[str, str]]:
    lines = []
    for entry in model.post_mortems[:most]:
        requests = entry.get("requests")
        work = ", ".join(serving(request, glyphs.encoding) for request in objects(requests)[:3]) or "a request"
        kind, cause = (plain(entry.get(name), glyphs.encoding, 30) for name in ("kind", "cause"))
        pid = figure(entry.get("pid"), lambda value: f"{value:.0f}")
        lines.append((f"{kind} {pid} died {_ago(entry.get('time'), model.raw)} ({cause}) at {work}", "yellow"))
    if lines and len(model.post_mortems) > most:
        lines[-1] = (f"{lines[-1][0]}; {len(model.post_mortems) - most} before", "yellow")
    return lines


def _ago(then: object, raw: Json) -> str:
    seconds = _seconds_since(then, raw)
    return f"at {plain(then, 'ascii', 30)}" if seconds is None else f"{short_duration(seconds)} ago"


def _seconds_since(then: object, raw: Json) -> float | None:
    """How long before the numbers that was, by the daemon's own clock."""
    try:
        seconds = (datetime.fromisoformat(str(raw["timestamp"])) - datetime.fromisoformat(str(then))).total_seconds()
    except (ValueError, KeyError, TypeError):
        return None
    return max(0.0, seconds)
