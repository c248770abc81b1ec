"""The System Health panel: a snapshot → the lines of a box. Pure; a field that is missing or odd shows as `-`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_UNKNOWN = "-"
_SANE = 1e18  # a count or size above is no measurement; NaN and infinity fail the comparison too
_TEXT_MAX = 40  # characters of text from the daemon that a row shows
_ODD = re.compile(r"[^\x20-\x7e]")
_UNICODE = ("┌", "┐", "└", "┘", "─", "│")
_ASCII = ("+", "+", "+", "+", "-", "|")


def panel_lines(snapshot: Mapping[str, Any], *, stale_after: float = 5.0, unicode: bool = True) -> list[str]:
    """The panel of that snapshot, with the age of what the aggregator observed if above `stale_after` seconds."""
    rows = [
        ("Health", _health(snapshot)),
        ("Uptime", _shown(snapshot, "uptime_seconds", duration)),
        ("Memory", _shown(snapshot, "memory_usage", size)),
        ("CPU", _shown(snapshot, "cpu_usage", lambda value: f"{value:.1f}%")),
        ("Concurrency", _concurrency(snapshot)),
        ("Workers", _workers(snapshot)),
        ("Requests", _shown(snapshot, "http_requests", _count)),
        ("Errors", _errors(snapshot)),
        ("Mean response", _shown(snapshot, "avg_response_time", milliseconds)),
        ("WS clients", _shown(snapshot, "websocket_clients", _count)),
        *_age_row(snapshot, stale_after),
    ]
    return box("System Health", rows, _UNICODE if unicode else _ASCII)


def box(title: str, rows: Sequence[tuple[str, str]], marks: Sequence[str]) -> list[str]:
    """Rows of label and value, aligned, in a box with a title; `marks` are its four corners and two sides."""
    top_left, top_right, bottom_left, bottom_right, across, down = marks
    labels = max(len(label) for label, _ in rows)
    lines = [f"{label:<{labels}}  {value}" for label, value in rows]
    width = max(len(title) + 2, *(len(line) for line in lines))
    head = f"{across} {title} ".ljust(width + 2, across)
    return [
        f"{top_left}{head}{top_right}",
        *(f"{down} {line:<{width}} {down}" for line in lines),
        f"{bottom_left}{across * (width + 2)}{bottom_right}",
    ]


def duration(seconds: float) -> str:
    """Seconds as `1d 2h 3m 4s`, from the largest unit that isn't zero."""
    left = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, left = divmod(left, length)
        if amount or parts or unit == "s":
            parts.append(f"{amount}{unit}")
    return " ".join(parts)


def size(amount: float) -> str:
    """Bytes in the largest unit of 1024 that keeps a digit before the point: `50 MB`, `1.5 GB`."""
    units = ["B", "KB", "MB", "GB", "TB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    return f"{amount:,.1f}".removesuffix(".0") + f" {units[0]}"


def milliseconds(amount: float) -> str:
    """A time in ms with one decimal, or three where one would hide it: `45.2ms`, `0.350ms`."""
    return f"{amount:,.1f}ms" if amount >= 1 else f"{amount:.3f}ms"


def escaped(text: str, encoding: str = "utf-8", keep: str = "") -> str:
    """Text from elsewhere, for a terminal: what isn't printable, or what `encoding` can't say, as an escape, so that
    nothing moves the cursor or turns the direction of what follows. Characters of `keep` stay.
    """

    def form(match: re.Match[str]) -> str:
        return match[0] if match[0].isprintable() or match[0] in keep else ascii(match[0])[1:-1]

    return _ODD.sub(form, text).encode(encoding, "backslashreplace").decode(encoding)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _number(snapshot: Mapping[str, Any], key: str) -> float | None:
    value = snapshot.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _SANE else None


def _shown(snapshot: Mapping[str, Any], key: str, form: Callable[[float], str]) -> str:
    value = _number(snapshot, key)
    return _UNKNOWN if value is None else form(value)


def _health(snapshot: Mapping[str, Any]) -> str:
    value = snapshot.get("health", snapshot.get("system_health"))  # an older daemon's has no `health`
    if not isinstance(value, str) or not value:
        return _UNKNOWN
    text = escaped(value, "ascii")  # of bounded length: it can't break the box
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 3] + "..."


def _concurrency(snapshot: Mapping[str, Any]) -> str:
    total, threads, tasks = (_shown(snapshot, key, _count) for key in ("goroutines", "threads", "tasks"))
    return f"{total} ({threads} threads, {tasks} tasks)"


def _errors(snapshot: Mapping[str, Any]) -> str:
    errors, requests = _number(snapshot, "http_errors"), _number(snapshot, "http_requests")
    if errors is None or requests is None:
        return _UNKNOWN if errors is None else _count(errors)
    return f"{_count(errors)} ({100 * errors / requests if requests else 0:.1f}%)"


def _workers(snapshot: Mapping[str, Any]) -> str:
    workers = snapshot.get("workers")
    if not isinstance(workers, list):
        return _UNKNOWN
    busy = sum(1 for worker in workers if isinstance(worker, Mapping) and worker.get("busy"))
    return f"{len(workers)} ({busy} busy)"


def _age_row(snapshot: Mapping[str, Any], stale_after: float) -> list[tuple[str, str]]:
    """Memory, CPU, threads and clients are as old as this says; no row while they are fresh."""
    age = _number(snapshot, "observed_age_seconds")
    if age is None:
        return [("Processes", "not observed yet")]
    return [("Processes", f"stale, observed {duration(age)} ago")] if age > stale_after else []
