"""What a daemon sends, as far as `hvd top` has it on the screen, and that screen as text."""

from typing import Any

from hvd.cli.top.choice import Choice
from hvd.cli.top.columns import Lines, Table
from hvd.cli.top.command import once_lines
from hvd.cli.top.frame import Frame
from hvd.cli.top.layout import lay_out
from hvd.cli.top.model import Model

Json = dict[str, Any]
HOSTILE = "/\x1b[31m\n" + "ä\u202e日本" * 20


def raw(**values: Any) -> Json:
    plain: Json = {
        "timestamp": "2026-01-23T20:30:00Z",
        "http_requests": 1250,
        "http_errors": 5,
        "http_server_errors": 3,
        "http_client_errors": 2,
        "avg_response_time": 45.2,
        "websocket_clients": 3,
        "memory_usage": 50_000_000,
        "cpu_usage": 12.5,
        "goroutines": 12,
        "threads": 10,
        "tasks": 2,
        "uptime_seconds": 3600.0,
        "system_health": "healthy",
        "requests_per_second": 40.5,
        "error_rate": 0.004,
        "p50": 1.2,
        "p90": 3.4,
        "p99": 9.8,
        "requests": {"started": 1251, "finished": 1250, "in_flight": 1, "aborted": 0},
        "jobs_active": 1,
        "jobs_pending": 2,
        "jobs_failed": 0,
        "recent_jobs": [job("a", "running", 40.0), job("b", "failed", 10.0, error_msg="exit status 3")],
    }
    return plain | values


def job(name: str, status: str, progress: float, revision: int = 2, **values: Any) -> Json:
    plain = {"id": name, "name": name, "kind": "convert", "status": status, "progress": progress, "revision": revision}
    return {**plain, "created_at": "2026-01-23T20:29:00.000Z", "duration_seconds": 0.0, **values}


def span(**values: Any) -> Json:
    """The figures of a span of time, as the daemon counts them for the service and for a route."""
    plain = {"requests": 2430, "requests_per_second": 40.5, "server_errors": 292, "client_errors": 12}
    shares = {"server_error_rate": 0.12, "client_error_rate": 0.005, "seconds_spent": 30.5, "busy_ratio": 0.38}
    return {**plain, **shares, "mean_ms": 12.5, "p50_ms": 1.2, "p90_ms": 340.0, "p99_ms": 1210.0, **values}


def change(text: str, **values: Any) -> Json:
    return {"what": "server_error_rate", "route": "/hello", "weight": 1.0, "is_bad": True, "text": text, **values}


def event(sequence: int, kind: str, **values: Any) -> Json:
    """20 s apart; the numbers are of 20:30:00."""
    time = 1769200200.0 - 20 * (10 - sequence)
    return {"sequence": sequence, "time": time, "kind": kind, "text": f"{kind} of {sequence}", **values}


def worker(pid: int, requests: int, **values: Any) -> Json:
    plain = {"pid": pid, "requests": requests, "requests_per_second": 2.5, "cpu_percent": 1.0, "threads": 6}
    return {**plain, "memory_bytes": 20_000_000, "age_seconds": 90.0, "busy": [], **_errors(), **_lately(), **values}


def route(name: str, count: int, **values: Any) -> Json:
    plain = {"route": name, "count": count, **_errors(), "requests_per_second": 1.0, "mean_ms": 1.0}
    return {**plain, "p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 30.0, "last_minute": span(), **values}


def _lately() -> Json:
    return {"last_minute": {"requests": 150, "requests_per_second": 2.5, **_errors()}}


def _errors() -> Json:
    return {"errors": 0, "server_errors": 0, "client_errors": 0}


def history(count: int, interval: float = 2.0) -> Json:
    names = ["requests_per_second", "error_rate", "p50", "p90", "p99", "cpu_usage", "memory_usage", "in_flight"]
    rows = [[1769200200.0 - interval * (count - number), *[float(number % 10)] * len(names)] for number in range(count)]
    return {"interval_seconds": interval, "columns": ["time", *names], "points": rows}


def metrics(**values: Any) -> Json:
    return {"type": "metrics", "data": {"raw": raw(**values)}}


def detail(**values: Any) -> Json:
    busy = [{"method": "GET", "path": "/slow", "age_seconds": 1.25}]
    plain = {
        "workers": [worker(11, 700), worker(12, 550, busy=busy)],
        "restarts": 0,
        "routes": [route("/hello", 1000), route(HOSTILE, 250, errors=5)],
        "point": {"time": 1769200200.0, "requests_per_second": 5.0},
    }
    return {"type": "detail", "data": plain | values}


def own_metrics(north: float = 2.0) -> list[Json]:
    """A counter with two series, a gauge, a histogram."""
    series = [
        {"labels": {"shop": shop}, "value": value, "recent": {"rate": rate}}
        for shop, value, rate in (("north", 1200, north), ("south", 34, 0.5))
    ]
    time: Json = {"labels": {}, "count": 7, "sum": 1.0, "recent": {"p50": 0.0452, "p99": 1.4768}}
    level: Json = {"labels": {}, "value": -2.5, "recent": {"value": -2.5}}
    shared: Json = {"unit": "", "help": "Orders placed."}
    return [
        {**shared, "name": "orders", "kind": "counter", "series_total": 2, "recent": {"rate": 2.5}, "series": series},
        {**shared, "name": "level", "kind": "gauge", "series_total": 1, "recent": {"value": -2.5}, "series": [level]},
        {**shared, "name": "pay_seconds", "kind": "histogram", "series_total": 1, "recent": {}, "series": [time]},
    ]


def own_model(*pinned: str, now: float = 100.0) -> Model:
    """The model with these metrics, and with what is pinned."""
    figures = {key: {"rate": 2.5} for key in pinned}
    return model(now).with_message(detail(own=own_metrics(), pinned=figures), now)


def model(now: float = 100.0) -> Model:
    """All of it, just received."""
    made = Model().with_history(history(200)).with_message(metrics(), now).with_message(detail(), now)
    return made.with_message({"type": "status", "data": {"version": "0.1.0", "reasons": []}}, now)


def frame(width: int = 80, height: int | None = 24, **more: object) -> Frame:
    return Frame("http://127.0.0.1:8080", width, height, **{"now": 100.5, **more})  # type: ignore[arg-type]


def text(known: Model, drawn: Frame, choice: Choice | None = None) -> str:
    """The screen but for its last line; or all that is printed, where there is no height."""
    choice = choice or Choice()
    if drawn.height is None:
        return "\n".join(line.plain.rstrip() for line in once_lines(known, choice, drawn))
    picture = lay_out(known, choice, drawn)
    head, lines = picture.listing.lines.drawn(picture.listing.table, picture.listing.rows)
    shown = [*picture.head, *picture.charts, picture.tabs, head, *lines]
    return "\n".join(line.plain.rstrip() for line in shown[: drawn.height - 1])


def table_texts(table: Table, rows: list[dict[str, object]], width: int = 80, **more: object) -> list[str]:
    head, lines = Lines(width, **more).drawn(table, rows)  # type: ignore[arg-type]
    return [line.plain for line in (head, *lines)]
