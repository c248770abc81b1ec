"""The lists of workers, routes and jobs: their columns and orders. Pure."""

from collections.abc import Callable
from typing import Any

from hvd.cli.answers import Json, instant, mapping, objects
from hvd.cli.frames import request_text
from hvd.cli.top.columns import Column, Table
from hvd.cli.top.forms import compact, compact_rate, share, time_ms
from hvd.cli.top.frame import Glyphs
from hvd.texts import UNKNOWN, digits, figure, number, percent, plain, short_duration, short_size, whole_percent

Field = Callable[[Json], object]


def part(row: Json, name: str, field: str) -> object:
    """A field of an object in the row; None where there is none."""
    return mapping(row.get(name)).get(field)


def _own(field: str) -> Field:
    return lambda row: row.get(field)


def _lately(field: str) -> Field:
    return lambda row: part(row, "last_minute", field)


def _figures(name: str, head: str, width: int, field: Field, form: Callable[[float], str], **more: Any) -> Column:
    """A column of numbers; what isn't known sorts last."""
    return Column(
        name,
        head,
        width,
        lambda row, _: figure(field(row), form),
        lambda row: -1.0 if (value := number(field(row))) is None else value,
        **more,
    )


def _red_if(field: Field) -> Callable[[Json], str]:
    return lambda row: "bold red" if number(field(row)) else ""


def _busy(row: Json) -> tuple[Json, ...]:
    return objects(row.get("busy"))


def oldest_request(row: Json) -> Json | None:
    """Of a worker's requests in progress the one that began first."""
    return max(_busy(row), key=lambda one: number(one.get("age_seconds")) or 0.0, default=None)


def _worker(row: Json, glyphs: Glyphs) -> str:
    oldest = oldest_request(row)
    pid = figure(row.get("pid"), digits)
    mark = "! " if row.get("differs") else "  "
    return f"{mark}{pid:<7} {request_text(oldest, glyphs.encoding)}" if oldest else f"{mark}{pid}"


def _worker_texts(row: Json) -> str:
    requests = " ".join(f"{one.get('method')} {one.get('path')}" for one in _busy(row))
    return f"{row.get('pid')} {row.get('kind', '')} {requests}"


WORKERS = Table(
    "workers",
    Column(
        "pid",
        "  PID",
        24,
        _worker,
        lambda row: number(row.get("pid")) or 0,
        descends=False,
        style=lambda row: "yellow" if row.get("differs") else "",
    ),
    (
        _figures("rate", "/S", 7, _lately("requests_per_second"), compact_rate),
        _figures("busy", "BUSY", 5, _own("in_flight"), compact),
        _figures("5xx", "5XX", 6, _lately("server_errors"), compact, style=_red_if(_lately("server_errors"))),
        _figures("4xx", "4XX", 6, _lately("client_errors"), compact),
        _figures("cpu", "CPU", 6, _own("cpu_percent"), percent),
        _figures("memory", "MEMORY", 7, _own("memory_bytes"), short_size),
        _figures("age", "AGE", 7, _own("age_seconds"), short_duration),
        _figures("requests", "TOTAL", 7, _own("requests"), compact, spare=True),
        _figures("threads", "THREADS", 8, _own("threads"), compact, spare=True),
    ),
    order="rate",
    key=lambda row: str(row.get("pid")),
    searched=_worker_texts,
)


def _route_table(columns: tuple[Column, ...], order: str) -> Table:
    return Table(
        "routes",
        Column(
            "route",
            "ROUTE",
            26,
            lambda row, glyphs: glyphs.said(row.get("route")),
            lambda row: str(row.get("route")),
            descends=False,
        ),
        columns,
        order,
        key=lambda row: str(row.get("route")),
        searched=lambda row: str(row.get("route")),
    )


ROUTES = _route_table(
    (
        _figures("rate", "/S", 7, _lately("requests_per_second"), compact_rate),
        _figures("5xx", "5XX", 6, _lately("server_error_rate"), share, style=_red_if(_lately("server_errors"))),
        _figures("4xx", "4XX", 6, _lately("client_error_rate"), share),
        _figures("p99", "P99", 7, _lately("p99_ms"), time_ms),
        _figures("spent", "SPENT", 7, _lately("seconds_spent"), lambda seconds: time_ms(1000 * seconds)),
        _figures("p50", "P50", 7, _lately("p50_ms"), time_ms),
        _figures("requests", "COUNT", 7, _lately("requests"), compact, spare=True),
        _figures("p90", "P90", 7, _lately("p90_ms"), time_ms, spare=True),
        _figures("mean", "MEAN", 7, _lately("mean_ms"), time_ms, spare=True),
    ),
    "rate",
)
"""Of the last minute."""

ROUTES_EVER = _route_table(
    (
        _figures("requests", "COUNT", 7, _own("count"), compact),
        _figures("5xx", "5XX", 7, _own("server_errors"), compact),
        _figures("4xx", "4XX", 7, _own("client_errors"), compact),
        _figures("rate", "/S", 7, _own("requests_per_second"), compact_rate),
        _figures("p99", "P99", 7, _own("p99_ms"), time_ms),
        _figures("p50", "P50", 7, _own("p50_ms"), time_ms),
        _figures("p90", "P90", 7, _own("p90_ms"), time_ms, spare=True),
        _figures("mean", "MEAN", 7, _own("mean_ms"), time_ms, spare=True),
    ),
    "requests",
)
"""Since the totals began."""


def _job(row: Json, glyphs: Glyphs) -> str:
    """What it is, and why it failed."""
    name, kind, why = (glyphs.said(row.get(field)) for field in ("name", "kind", "error_msg"))
    what = name if name == kind else f"{name} ({kind})"
    return what if why == UNKNOWN else f"{what}: {why}"


def _created(row: Json, glyphs: Glyphs) -> str:
    created = plain(row.get("created_at"), "ascii", 30)
    return created if created == UNKNOWN else f"{created[:19]}Z"


def _progress(row: Json, glyphs: Glyphs) -> str:
    """A running job that has not said how far it is has a mark that moves on with each picture."""
    done = number(row.get("progress"))
    if done is None:
        return UNKNOWN
    if not done and row.get("status") == "running":
        at = int(number(row.get("duration_seconds")) or 0) % 10
        return f"{glyphs.empty * at}{glyphs.full}{glyphs.empty * (9 - at)} {UNKNOWN:>4}"
    cells = round(min(done, 100) / 10)
    return f"{glyphs.full * cells}{glyphs.empty * (10 - cells)} {whole_percent(done):>4}"


def _job_time(seconds: float) -> str:
    return short_duration(seconds) if seconds >= 10 else f"{seconds:.1f}s"


def _job_style(row: Json) -> str:
    return {"failed": "yellow", "cancelled": "dim", "running": "green"}.get(str(row.get("status")), "")


def _state_rank(row: Json) -> tuple[int, float]:
    """What runs, what waits, then what has ended, as the daemon lists them: each the newest first."""
    created = instant(row.get("created_at"))
    place = {"running": 0, "pending": 1}.get(str(row.get("status")), 2)
    return place, -created.timestamp() if created else 0.0


JOBS = Table(
    "jobs",
    Column("job", "JOB", 34, _job, lambda row: str(row.get("name")), descends=False),
    (
        Column(
            "state",
            "STATE",
            9,
            lambda row, glyphs: glyphs.said(row.get("status"), 9),
            _state_rank,
            descends=False,
            left=True,
            style=_job_style,
        ),
        Column("progress", "PROGRESS", 15, _progress, lambda row: number(row.get("progress")) or 0.0, left=True),
        _figures("time", "TIME", 7, _own("duration_seconds"), _job_time),
        Column("created", "CREATED", 20, _created, lambda row: str(row.get("created_at")), spare=True),
    ),
    order="state",
    key=lambda row: str(row.get("id")),
    searched=lambda row: f"{row.get('id')} {row.get('name')} {row.get('kind')} {row.get('status')}",
)
