"""The first lines of the screen: which daemon, how old its numbers are, and System Health. Pure."""

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from hvd.cli.status import concurrency
from hvd.cli.top.frame import Frame
from hvd.cli.top.model import Json, Model
from hvd.texts import count, duration, errors, figure, milliseconds, number, percent, plain, short_duration, short_size

_WIDE = 120  # cells from which on there is room for words
_HEALTH = {"healthy": "green", "starting": "yellow", "degraded": "yellow", "unhealthy": "red"}


def age(model: Model, frame: Frame) -> float:
    """Seconds since the last numbers came."""
    return max(0.0, frame.now - model.received)


def is_stale(model: Model, frame: Frame) -> bool:
    """True if they are too old to be called the present."""
    return bool(model.trouble) or age(model, frame) > max(frame.stale_after, 2 * model.interval + 1)


def title_line(model: Model, frame: Frame) -> Text:
    """The daemon at the left, its health and whether its numbers are live at the right."""
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
    stale = is_stale(model, frame)
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
