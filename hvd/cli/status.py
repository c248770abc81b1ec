"""`hvd status`: the health of a daemon, and its first numbers, in a box."""

import argparse
import contextlib
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hvd.cli.arguments import Exit
from hvd.cli.client import Address, get_health, get_object
from hvd.cli.saturation import (
    backlog_text,
    beside_texts,
    capacity_text,
    health_of,
    p99_text,
    reasons_of,
    request_lines,
    waiting_text,
)
from hvd.cli.target import target
from hvd.texts import UNKNOWN, clipped, count, duration, errors, figure, milliseconds, number, percent, plain, size

_TEXT_MAX = 40  # characters of text from the daemon that a row has
_LINE = 96  # characters of a value, where the output is not a terminal
_LABELS = 15 + 4  # the widest label, and the box's sides
BEFORE = 1.0  # s: times are told in whole ones
_LINES_MAX = 12  # of one row: reasons and requests
_UNICODE = ("┌", "┐", "└", "┘", "─", "│")
_ASCII = ("+", "+", "+", "+", "-", "|")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `hvd status`."""
    parser.add_argument(
        "--probe", action="store_true", help="for health checks: print a line, and end: 3 only if nobody is served"
    )


def run(args: argparse.Namespace) -> int:
    """Print the box, or for --probe a line; NOT_HEALTHY where the daemon says so.

    Raises DaemonUnreachable and SettingsError.
    """
    address, stale_after = target(args)
    if args.probe:
        return _probe(address, args.timeout)
    answer = get_object(address, "/api/v1/snapshot", args.timeout)
    unicode = _can_print("".join(_UNICODE))
    print("\n".join(health_box(answer, stale_after=stale_after, unicode=unicode, width=_width())))
    return Exit.OK if answer.get("system_health") == "healthy" else Exit.NOT_HEALTHY


def _probe(address: Address, timeout: float) -> int:
    """Print what /health says in a line; NOT_HEALTHY only where it says that nobody is served: degraded is no reason to
    restart a container, or to send its requests elsewhere. Raises DaemonUnreachable.
    """
    status, fields = get_health(address, timeout)
    reasons = "; ".join(plain(reason, "ascii") for reason in reasons_of(fields))
    print(f"{fields['status']}{f': {reasons}' if reasons else ''}")
    return Exit.OK if status == 200 else Exit.NOT_HEALTHY


def _can_print(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _width() -> int:
    """Characters that a value may have, so that the box fits into the terminal."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return max(_TEXT_MAX, os.get_terminal_size(sys.stdout.fileno()).columns - _LABELS)
    return _LINE


def health_box(
    snapshot: Mapping[str, Any], *, stale_after: float = 5.0, unicode: bool = True, width: int = _LINE
) -> list[str]:
    """The lines of the box System Health; a field that is missing or odd is UNKNOWN.

    With what is wrong below the health, clients that are waited for and requests that take long where there are any,
    and the age of what the aggregator observed where that is above `stale_after` seconds.
    """

    def row(label: str, field: str, form: Callable[[float], str]) -> tuple[str, str]:
        return label, figure(snapshot.get(field), form)

    rows = [
        *_rows("Health", [_health(snapshot), *_reasons(snapshot, width)]),
        row("Uptime", "uptime_seconds", duration),
        row("Memory", "memory_usage", size),
        row("CPU", "cpu_usage", percent),
        ("Concurrency", concurrency(snapshot)),
        ("Workers", _workers(snapshot)),
        ("Capacity", capacity_text(snapshot)),
        ("Backlog", backlog_text(snapshot)),
        *beside_texts(snapshot),
        *_rows("Clients", [text for text in [waiting_text(snapshot)] if text]),
        row("Requests", "http_requests", count),
        ("Errors", errors(snapshot.get("http_errors"), snapshot.get("http_requests"))),
        *_since_row(snapshot),
        row("Mean response", "avg_response_time", milliseconds),
        ("p99", p99_text(snapshot)),
        row("WS clients", "websocket_clients", count),
        *_rows("Longest", [clipped(line, width) for line in request_lines(snapshot, "ascii")]),
        *_age_row(snapshot, stale_after),
    ]
    return box("System Health", rows, _UNICODE if unicode else _ASCII)


def _rows(label: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """The values below each other, the label at the first."""
    return [("" if place else label, value) for place, value in enumerate(values[:_LINES_MAX])]


def _reasons(snapshot: Mapping[str, Any], width: int) -> list[str]:
    reasons = (plain(reason, "ascii") for reason in reasons_of(snapshot))
    return [line for reason in reasons for line in textwrap.wrap(reason, width, subsequent_indent="  ")]


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


def concurrency(raw: Mapping[str, Any]) -> str:
    """`34 (30 threads, 4 tasks)`."""
    total, threads, tasks = (figure(raw.get(field), count) for field in ("goroutines", "threads", "tasks"))
    return f"{total} ({threads} threads, {tasks} tasks)"


def _health(snapshot: Mapping[str, Any]) -> str:
    return clipped(plain(health_of(snapshot), "ascii"), _TEXT_MAX)


def _workers(snapshot: Mapping[str, Any]) -> str:
    workers = snapshot.get("workers")
    if not isinstance(workers, list):
        return UNKNOWN
    busy = sum(1 for worker in workers if isinstance(worker, Mapping) and worker.get("busy"))
    return f"{len(workers)} ({busy} busy)"


def _since_row(snapshot: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Since when requests are counted, where that is before the start: they outlived a stop or a crash."""
    since, now = _instant(snapshot.get("totals_since")), _instant(snapshot.get("timestamp"))
    uptime = number(snapshot.get("uptime_seconds"))
    if since is None or now is None or uptime is None or (now - since).total_seconds() < uptime + BEFORE:
        return []
    return [("Counted since", f"{since:%Y-%m-%d %H:%M:%S} UTC")]


def _instant(text: object) -> datetime | None:
    with contextlib.suppress(TypeError, ValueError):
        return datetime.fromisoformat(text).astimezone(UTC)  # type: ignore[arg-type]
    return None


def _age_row(snapshot: Mapping[str, Any], stale_after: float) -> list[tuple[str, str]]:
    """Memory, CPU, threads and clients are as old as this says; no row while they are fresh."""
    age = number(snapshot.get("observed_age_seconds"))
    if age is None:
        return [("Processes", "not observed yet")]
    return [("Processes", f"stale, observed {duration(age)} ago")] if age > stale_after else []
