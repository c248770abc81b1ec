"""All that is known of one row of a list, as lines. Pure."""

from collections.abc import Callable, Iterable

from rich.text import Text

from hvd.cli.answers import Json, instant, mapping, objects
from hvd.cli.frames import place, request_text
from hvd.cli.top.events import ago_text, local_time
from hvd.cli.top.forms import compact, compact_rate, share, time_ms
from hvd.cli.top.frame import Glyphs
from hvd.cli.top.lists import part
from hvd.cli.top.model import Model
from hvd.texts import UNKNOWN, count, figure, number, percent, plain, short_duration, size, whole_percent

_NAME = 18  # cells

Form = Callable[[float], str]


def detail_lines(table: str, row: Json, model: Model, glyphs: Glyphs) -> list[Text]:
    """The lines of a row of the list of that name."""
    return list(_DETAILS[table](row, model, glyphs))


def title_of(table: str, row: Json, glyphs: Glyphs) -> str:
    """What the row is, in a line."""
    names = {
        "workers": f"{row.get('kind') or 'worker'} {row.get('pid')}",
        "routes": f"route {row.get('route')}",
        "jobs": f"job {row.get('name')}",
        "metrics": f"metric {row.get('key')}",
        "events": f"event {row.get('sequence')}: {row.get('kind')}",
    }
    return glyphs.said(names[table])


def _pair(name: str, value: str, style: str = "") -> Text:
    return Text(f"{name:<{_NAME}} ", "dim", end="").append(value, f"not dim {style}")


def _head(text: str) -> Text:
    return Text(text, "bold underline", end="")


def _route(row: Json, model: Model, glyphs: Glyphs) -> Iterable[Text]:
    methods = row.get("methods")
    if isinstance(methods, list) and methods:
        yield _pair("methods", glyphs.said(", ".join(map(str, methods))))
    yield _head(f"{'':<{_NAME}} {'last minute':>12} {'since start':>12}")
    for name, field, form in _ROUTE_FIGURES:
        lately, ever = (
            figure(value, form) for value in (part(row, "last_minute", field), row.get(_EVER.get(field, field)))
        )
        is_bad = field == "server_errors" and number(part(row, "last_minute", field))
        yield (
            Text(f"{name:<{_NAME}} ", "dim", end="")
            .append(f"{lately:>12}", f"not dim {'bold red' if is_bad else 'bold'}")
            .append(f" {ever:>12}", "not dim")
        )
    yield Text(end="")
    yield _head(f"{'status':<{_NAME}} {'last minute':>12} {'since start':>12}")
    spans = [mapping(statuses) for statuses in (part(row, "last_minute", "statuses"), row.get("statuses"))]
    for status in sorted({str(status) for statuses in spans for status in statuses}):
        numbers = (figure(statuses.get(status, 0), compact) for statuses in spans)
        line = f"{plain(status, 'ascii', 3):<{_NAME}} {' '.join(f'{one:>12}' for one in numbers)}"
        yield Text(line, "red" if status.startswith("5") else "", end="")
    for change in model.changes:
        if change.get("route") == row.get("route"):
            yield _pair("changed", glyphs.said(change.get("text")))


_EVER = {"requests": "count"}
_ROUTE_FIGURES: tuple[tuple[str, str, Form], ...] = (
    ("requests", "requests", count),
    ("requests/s", "requests_per_second", compact_rate),
    ("5xx", "server_errors", count),
    ("4xx", "client_errors", count),
    ("5xx share", "server_error_rate", share),
    ("4xx share", "client_error_rate", share),
    ("time spent", "seconds_spent", lambda seconds: time_ms(1000 * seconds)),
    ("mean", "mean_ms", time_ms),
    ("p50", "p50_ms", time_ms),
    ("p90", "p90_ms", time_ms),
    ("p99", "p99_ms", time_ms),
)


def _worker(row: Json, model: Model, glyphs: Glyphs) -> Iterable[Text]:
    for name, value in (
        ("age", figure(row.get("age_seconds"), short_duration)),
        ("requests", f"{figure(row.get('requests'), count)} since start{_errors(row)}"),
        ("requests/s", figure(part(row, "last_minute", "requests_per_second"), compact_rate)),
        ("5xx", f"{figure(part(row, 'last_minute', 'server_errors'), count)} in the last minute"),
        ("4xx", f"{figure(part(row, 'last_minute', 'client_errors'), count)} in the last minute"),
        ("CPU", figure(row.get("cpu_percent"), percent)),
        ("memory", figure(row.get("memory_bytes"), size)),
        ("threads", figure(row.get("threads"), count)),
    ):
        yield _pair(name, value)
    for one in model.skew:
        if one.get("pid") == row.get("pid"):
            yield _pair("differs", glyphs.said(one.get("text")), "yellow")
    busy = objects(row.get("busy"))
    yield Text(end="")
    yield _head(f"requests in progress: {len(busy)}")
    stacks = {
        str(one.get("path")): one.get("stack")
        for one in objects(model.raw.get("longest_requests"))
        if one.get("pid") == row.get("pid")
    }
    for request in sorted(busy, key=lambda one: -(number(one.get("age_seconds")) or 0.0)):
        yield Text(request_text(request, glyphs.encoding), "bold", end="")
        for one in objects(stacks.get(str(request.get("path")))):
            yield Text(f"  {place(one, glyphs.encoding)}", end="")


def _errors(row: Json) -> str:
    """Of the server's and of clients'; "" of an older daemon."""
    server, client = (figure(row.get(f"{whose}_errors"), count) for whose in ("server", "client"))
    return "" if server == UNKNOWN else f", {server} with 5xx, {client} with 4xx"


def _job(row: Json, model: Model, glyphs: Glyphs) -> Iterable[Text]:
    for name, field in _JOB_FACTS:
        if row.get(field) not in (None, ""):
            yield _pair(name, _job_fact(field, row[field], model, glyphs))
    if params := mapping(row.get("params")):
        yield Text(end="")
        yield _head("parameters")
        for name, value in params.items():
            yield _pair(glyphs.said(name, 40), glyphs.said(value))


_JOB_FACTS = (
    ("id", "id"),
    ("kind", "kind"),
    ("status", "status"),
    ("retry of", "retry_of"),
    ("progress", "progress"),
    ("created", "created_at"),
    ("started", "start_time"),
    ("ended", "end_time"),
    ("duration", "duration_seconds"),
    ("error", "error_msg"),
)


def _job_fact(field: str, value: object, model: Model, glyphs: Glyphs) -> str:
    """Times with their zone and their age."""
    if moment := instant(value):
        time = moment.timestamp()
        return glyphs.said(f"{local_time(time)}, {ago_text(max(0.0, model.time - time))}")
    forms = {"progress": whole_percent, "duration_seconds": short_duration}
    return figure(value, forms[field]) if field in forms else glyphs.said(value)


def _metric(row: Json, model: Model, glyphs: Glyphs) -> Iterable[Text]:
    yield _pair("kind", glyphs.said(row.get("kind")))
    yield _pair("help", glyphs.said(row.get("help")))
    yield _pair("unit", glyphs.said(row.get("unit")))
    yield _pair("value", glyphs.said(row.get("value")))
    for name, value in row.get("recent", {}).items():
        yield _pair(f"{glyphs.said(name, 10)} lately", glyphs.said(value))
    yield _pair("pinned", "yes" if row.get("pinned") else "no: p pins it, its last fifteen minutes are then kept")


def _event(row: Json, model: Model, glyphs: Glyphs) -> Iterable[Text]:
    yield Text(glyphs.said(row.get("text")), "bold", end="")
    yield Text(end="")
    ago = ago_text(max(0.0, model.time - (number(row.get("time")) or model.time)))
    yield _pair("time", glyphs.said(f"{local_time(row.get('time'))}, {ago}"))
    for name, value in row.items():
        if name in ("text", "time", "ago", "sequence") or value is None:
            continue
        text = figure(value, size) if name.endswith("_bytes") else value
        text = local_time(value) if name == "until" else text
        text = ", ".join(map(str, text)) if isinstance(text, list) else text
        yield _pair(glyphs.said(name.replace("_", " "), 30), glyphs.said(text) if text != "" else UNKNOWN)


_DETAILS: dict[str, Callable[[Json, Model, Glyphs], Iterable[Text]]] = {
    "workers": _worker,
    "routes": _route,
    "jobs": _job,
    "metrics": _metric,
    "events": _event,
}
