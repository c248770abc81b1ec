"""The lists of workers, routes and jobs: their columns and orders. Pure."""

from collections.abc import Callable

from hvd.cli.answers import Json, objects
from hvd.cli.frames import request_text
from hvd.cli.top.frame import Glyphs
from hvd.cli.top.table import ListColumn, Order, Table
from hvd.texts import (
    UNKNOWN,
    count,
    digits,
    figure,
    milliseconds,
    number,
    percent,
    plain,
    rate,
    short_duration,
    short_size,
    whole_percent,
)


def _column(name: str, form: Callable[[float], str]) -> Callable[[Json, Glyphs], str]:
    return lambda row, _: figure(row.get(name), form)


def _by(name: str) -> Callable[[Json], float]:
    return lambda row: -1.0 if (value := number(row.get(name))) is None else value


def _busy(row: Json) -> tuple[Json, ...]:
    return objects(row.get("busy"))


def _worker(row: Json, glyphs: Glyphs) -> str:
    oldest = max(_busy(row), key=_by("age_seconds"), default=None)
    pid = figure(row.get("pid"), digits)
    return f"{pid:<7} {request_text(oldest, glyphs.encoding)}" if oldest else pid


def _job(row: Json, glyphs: Glyphs) -> str:
    """What it is, and why it failed."""
    name, kind, why = (plain(row.get(field), glyphs.encoding) for field in ("name", "kind", "error_msg"))
    what = name if name == kind else f"{name} ({kind})"
    return what if why == UNKNOWN else f"{what}: {why}"


def _created(row: Json, glyphs: Glyphs) -> str:
    created = plain(row.get("created_at"), "ascii", 30)
    return created if created == UNKNOWN else f"{created[:19]}Z"


def _progress(row: Json, glyphs: Glyphs) -> str:
    done = number(row.get("progress"))
    if done is None:
        return UNKNOWN
    cells = round(min(done, 100) / 10)
    return f"{glyphs.full * cells}{glyphs.empty * (10 - cells)} {whole_percent(done):>4}"


def _job_time(seconds: float) -> str:
    return short_duration(seconds) if seconds >= 10 else f"{seconds:.1f}s"


def _job_style(row: Json) -> str:
    return {"failed": "red", "cancelled": "yellow", "running": "green"}.get(str(row.get("status")), "")


_STATES = ("running", "pending", "failed", "cancelled", "completed")


def _state_rank(row: Json) -> int:
    status = str(row.get("status"))
    return _STATES.index(status) if status in _STATES else len(_STATES)


def _fails(row: Json) -> bool:
    return bool(number(row.get("errors")))


WORKERS = Table(
    "workers",
    _worker,
    (
        ListColumn("AGE", 7, _column("age_seconds", short_duration)),
        ListColumn("REQUESTS", 11, _column("requests", count), "requests"),
        ListColumn("/S", 8, _column("requests_per_second", rate), "rate"),
        ListColumn("BUSY", 4, _column("in_flight", count)),
        ListColumn("CPU", 7, _column("cpu_percent", percent), "cpu"),
        ListColumn("MEMORY", 8, _column("memory_bytes", short_size), "memory"),
        ListColumn("ERRORS", 9, _column("errors", count), spare=True, alarming=_fails),
        ListColumn("THREADS", 7, _column("threads", count), spare=True),
    ),
    (
        Order("requests", _by("requests")),
        Order("rate", _by("requests_per_second")),
        Order("cpu", _by("cpu_percent")),
        Order("memory", _by("memory_bytes")),
        Order("pid", _by("pid"), descends=False),
    ),
    text_order="pid",
    text_width=15,
)

ROUTES = Table(
    "routes",
    lambda row, glyphs: plain(row.get("route"), glyphs.encoding),
    (
        ListColumn("COUNT", 11, _column("count", count), "requests"),
        ListColumn("/S", 8, _column("requests_per_second", rate), "rate"),
        ListColumn("ERRORS", 7, _column("errors", count), "errors", alarming=_fails),
        ListColumn("P50", 8, _column("p50_ms", milliseconds), "p50"),
        ListColumn("P90", 8, _column("p90_ms", milliseconds), spare=True),
        ListColumn("P99", 8, _column("p99_ms", milliseconds), "p99"),
        ListColumn("MEAN", 8, _column("mean_ms", milliseconds), spare=True),
    ),
    (
        Order("requests", _by("count")),
        Order("rate", _by("requests_per_second")),
        Order("errors", _by("errors")),
        Order("p50", _by("p50_ms")),
        Order("p99", _by("p99_ms")),
        Order("route", lambda row: str(row.get("route")), descends=False),
    ),
    text_order="route",
    text_width=26,
)

JOBS = Table(
    "jobs",
    _job,
    (
        ListColumn("STATE", 9, lambda row, glyphs: plain(row.get("status"), glyphs.encoding, 9), "state", left=True),
        ListColumn("PROGRESS", 15, _progress, "progress", left=True),
        ListColumn("TIME", 7, _column("duration_seconds", _job_time)),
        ListColumn("CREATED", 20, _created, "created", spare=True),
    ),
    (
        Order("state", _state_rank, descends=False),
        Order("progress", _by("progress")),
        Order("created", lambda row: str(row.get("created_at"))),
    ),
    text_order="",
    text_width=36,
    style=_job_style,
)

TABLES = (WORKERS, ROUTES, JOBS)
