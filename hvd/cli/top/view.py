"""The screen: a model and what the user chose -> so many lines of so many cells. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from hvd.cli.status import concurrency
from hvd.cli.top.charts import chart_lines
from hvd.cli.top.keys import State
from hvd.cli.top.model import Model
from hvd.cli.top.tables import TABLES, UNICODE, Glyphs, Shape, last_start, serving, table_lines
from hvd.texts import (
    UNKNOWN,
    count,
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

Json = Mapping[str, Any]

_WIDE = 120  # cells from which on there is room for words
_HEALTH = {"healthy": "green", "starting": "yellow", "degraded": "yellow", "unhealthy": "red"}


@dataclass(frozen=True)
class Frame:
    """What the view needs to know beside the model. Times in s, `now` monotonic; `height` None for all there is."""

    url: str
    width: int
    height: int | None
    now: float
    stale_after: float = 5.0
    glyphs: Glyphs = UNICODE
    paused_for: float | None = None


@dataclass(frozen=True)
class Screen:
    """The lines, and how many rows the list in focus shows and can be scrolled."""

    lines: list[Text]
    page: int
    scroll_end: int


def screen(model: Model, state: State, frame: Frame) -> Screen:
    """All lines of the screen; with a height there are exactly so many."""
    if state.help:
        return Screen(_filled(help_lines(frame), frame), 1, 0)
    height = frame.height
    head = [_title(model, frame), *_health(model, frame)]
    messages = _messages(model, frame)
    foot = [] if height is None else [_keys(frame)]
    lines = [*head, *messages]
    if height is not None and len(lines) + len(foot) >= height:
        return Screen(_filled([head[0], *messages, *head[1:]], frame), 1, 0)
    left = None if height is None else height - len(lines) - len(foot)
    charts = chart_lines(model, state, frame.width, left, frame.glyphs)
    lines += charts
    left = None if left is None else left - len(charts)
    tables, page, end = _tables(model, state, frame, left)
    lines += tables
    if height is not None:
        lines += [Text()] * (height - len(lines) - len(foot))
    return Screen(_filled(lines + foot, frame), page, end)


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


def age(model: Model, frame: Frame) -> float:
    """Seconds since the last numbers came."""
    return max(0.0, frame.now - model.received)


def is_stale(model: Model, frame: Frame) -> bool:
    """True if they are too old to be called the present."""
    return bool(model.trouble) or age(model, frame) > max(frame.stale_after, 2 * model.interval + 1)


def _title(model: Model, frame: Frame) -> Text:
    health = plain(model.raw.get("health", model.raw.get("system_health")), frame.glyphs.encoding, 20)
    stale = is_stale(model, frame)
    right = Text(f"{frame.glyphs.dot} {health}", "dim" if stale else _HEALTH.get(health, "red"))
    if frame.paused_for is not None:
        right.append(f"{frame.glyphs.apart}PAUSED {short_duration(frame.paused_for)}", "bold yellow")
    if stale:
        right.append(f"{frame.glyphs.apart}STALE {short_duration(age(model, frame))}", "bold red")
    elif frame.paused_for is None and frame.height is not None:
        right.append(f"{frame.glyphs.apart}live", "green")
    left = Text("hvd top", "bold")
    room = frame.width - len("hvd top  ") - cell_len(right.plain) - 2
    url = plain(frame.url, frame.glyphs.encoding)
    if cell_len(url) > room:
        url = set_cell_size(url, room - 1) + frame.glyphs.more if room > 8 else ""
    left.append(f"  {url}" if url else "")
    if len("hvd top  ") + cell_len(right.plain) > frame.width:
        return right
    return left.append(" " * (frame.width - cell_len(left.plain) - cell_len(right.plain))).append_text(right)


def _health(model: Model, frame: Frame) -> list[Text]:
    """The figures of System Health, in as many columns as find room."""
    raw, wide = model.raw, frame.width >= _WIDE
    requests = raw.get("requests")
    in_flight = requests.get("in_flight") if isinstance(requests, Mapping) else None
    threads, tasks = (figure(raw.get(name), count) for name in ("threads", "tasks"))
    figures = [
        ("Uptime", figure(raw.get("uptime_seconds"), duration)),
        ("Requests", figure(raw.get("http_requests"), count)),
        ("Mean response", figure(raw.get("avg_response_time"), milliseconds)),
        ("Memory", figure(raw.get("memory_usage"), short_size)),
        ("Errors", errors(raw.get("http_errors"), raw.get("http_requests"))),
        ("WS clients", figure(raw.get("websocket_clients"), count)),
        ("CPU", figure(raw.get("cpu_usage"), percent)),
        ("In flight", figure(in_flight, count)),
        ("Concurrency", concurrency(raw)) if wide else ("Thr+tasks", f"{threads}+{tasks}"),
    ]
    stale = is_stale(model, frame)
    columns = 3 if frame.width >= 72 else 2 if frame.width >= 50 else 1
    lines = []
    for start in range(0, len(figures), columns):
        line = Text()
        for place, (label, value) in enumerate(figures[start : start + columns]):
            labels = max(len(each) for each, _ in figures[place::columns])
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


def _messages(model: Model, frame: Frame) -> list[Text]:
    """What is wrong, or was, a line each: now first."""
    glyphs = frame.glyphs
    found: list[tuple[str, str]] = []
    if model.trouble:
        wait = max(0.0, model.retry_at - frame.now)
        again = f"trying again in {wait:.0f} s" if wait >= 0.5 else "trying again"
        found.append((f"No connection, {again}: {plain(model.trouble, glyphs.encoding)}", "bold red"))
    found += [(plain(reason, glyphs.encoding), "yellow") for reason in model.reasons]
    alerts = model.raw.get("alerts")
    found += [(_alert(alert, glyphs), "red") for alert in (alerts if isinstance(alerts, list) else [])]
    found += _deaths(model, glyphs, 1 if frame.height is not None and frame.height < 40 else 5)
    most = 10 if frame.height is None else max(1, min(6, frame.height // 8))
    if len(found) > most:
        found[most - 1 :] = [(f"{found[most - 1][0]} (and {len(found) - most} more)", found[most - 1][1])]
    width = None if frame.height is None else frame.width
    return [_message(text, style, width, glyphs) for text, style in found]


def _message(text: str, style: str, width: int | None, glyphs: Glyphs) -> Text:
    text = f"! {text}"
    if width is not None and cell_len(text) > width:
        text = set_cell_size(text, max(0, width - 1)) + glyphs.more
    return Text(text, style)


def _alert(alert: object, glyphs: Glyphs) -> str:
    if not isinstance(alert, Mapping):
        return plain(alert, glyphs.encoding)
    said = [alert.get(name) for name in ("severity", "name", "message")]
    return " ".join(plain(each, glyphs.encoding) for each in said if each) or plain(dict(alert), glyphs.encoding)


def _deaths(model: Model, glyphs: Glyphs, most: int) -> list[tuple[str, str]]:
    lines = []
    for entry in model.post_mortems[:most]:
        requests = entry.get("requests")
        listed = [each for each in requests if isinstance(each, Mapping)] if isinstance(requests, list) else []
        work = ", ".join(serving(each, glyphs.encoding) for each in listed[:3]) or "a request"
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


def _titles(model: Model) -> list[list[str]]:
    """Of each list, from the one that says most to the one that fits anywhere."""
    restarts, workers = figure(model.restarts, count), f"workers {len(model.workers)}"
    more = [f"{workers}, {restarts} ended"] if restarts not in (UNKNOWN, "0") else []
    jobs = [
        f"{figure(model.raw.get(name), count)} {word}"
        for name, word in (("jobs_active", "active"), ("jobs_pending", "pending"), ("jobs_failed", "failed"))
    ]
    return [
        [*more, workers, "workers"],
        [f"routes {len(model.routes)}", "routes"],
        [*(f"jobs {', '.join(jobs[:most])}" for most in (3, 2, 1)), "jobs"],
    ]


def _tables(model: Model, state: State, frame: Frame, left: int | None) -> tuple[list[Text], int, int]:
    lists = (model.workers, model.routes, model.jobs)
    heights = [None, None, None] if left is None else shares([len(rows) for rows in lists], state.focus, left)
    lines: list[Text] = []
    page, end = 1, 0
    for place, (rows, titles, height) in enumerate(zip(lists, _titles(model), heights, strict=True)):
        focused = place == state.focus
        if height is None:
            lines.append(Text())
        elif focused:
            page = max(1, height - 1)
            end = last_start(len(rows), page, 1_000_000)
        shape = Shape(
            frame.width,
            height,
            frame.glyphs,
            focused and height is not None,
            state.orders[place],
            state.turned[place],
            state.scrolled[place],
        )
        if height is None or height > 0:
            key = "" if height is None else f"{place + 1} "
            lines += table_lines(TABLES[place], [key + title for title in titles], rows, shape)
    return lines, page, end


def shares(rows: Sequence[int], focus: int, left: int) -> list[int | None]:
    """How many lines each list gets, its head included: the one in focus all that the others don't need.

    Those others show some of their rows each, if there is room; a list without rows needs its head only.
    """
    wanted = [1 + count for count in rows]
    least = 2 if left < 9 else 3 if left < 16 else 1 + left // 5
    given = [min(least, want) for want in wanted]
    while sum(given) > left and any(given):
        place = max(range(len(given)), key=lambda each: (given[each], each != focus))
        given[place] -= 1
    for place in (focus, *(each for each in range(len(rows)) if each != focus)):
        more = min(wanted[place] - given[place], left - sum(given))
        given[place] += max(0, more)
    return list(given)


_KEYS = ("q quit", "p pause", "s sort", "r reverse", "Tab list", "j k scroll", "w window", "? help")


def _keys(frame: Frame) -> Text:
    line = Text(style="dim")
    for key in _KEYS if frame.width >= 40 else ("q quit", "? help"):
        part = f"{'  ' if line.plain else ''}{key}"
        if cell_len(line.plain) + len(part) <= frame.width:
            line.append(part)
    return line


_HELP = (
    ("q, Ctrl-C", "quit"),
    ("p, space", "pause: the numbers stand still, the daemon is still listened to"),
    ("Tab, 1 2 3", "give workers, routes or jobs the room"),
    ("s", "sort by the next column"),
    ("r", "the other way round"),
    ("j k, arrows", "scroll by a row; PgDn and PgUp by a page; g and G to the ends"),
    ("w", "time that the charts show: 15, 5 or 1 minutes"),
    ("Ctrl-L", "draw the screen anew"),
    ("Ctrl-Z", "suspend; fg goes on"),
)


def help_lines(frame: Frame) -> list[Text]:
    """What the keys do."""
    lines = [Text("hvd top: keys", "bold"), Text()]
    lines += [Text(f"{key:<12} ", "bold").append(what, "not bold") for key, what in _HELP]
    lines += [Text(), Text("Charts show the highest value of each time, errors as share of all.")]
    return [*lines, Text(), Text("Any key goes back.", "dim")]
