"""`hvd status`: the health of a daemon, and its first numbers, in a box."""

import argparse
import contextlib
import os
import sys
import textwrap
from collections.abc import Sequence

from hvd.cli.answers import Json, instant, objects
from hvd.cli.arguments import Exit
from hvd.cli.client import Address, exchange, get_health, get_object
from hvd.cli.happenings import health_since, last_death
from hvd.cli.last_minute import minute_rows
from hvd.cli.saturation import (
    backlog_text,
    beside_texts,
    capacity_text,
    health_of,
    reasons_of,
    request_lines,
    waiting_text,
)
from hvd.cli.target import target
from hvd.errors import DaemonUnreachable
from hvd.texts import UNKNOWN, clipped, count, duration, errors, figure, milliseconds, number, percent, plain, size

EVENTS = "/api/v1/events"
_TEXT_MAX = 40  # characters of text from the daemon that a row has
_LINE = 96  # characters of a value, where the output is not a terminal
_LABELS = 12 + 4  # the widest label, and the box's sides
BEFORE = 1.0  # s: times are printed in whole seconds
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
    events = _events(address, args.timeout)
    unicode = _can_print("".join(_UNICODE))
    print("\n".join(health_box(answer, events, stale_after=stale_after, unicode=unicode, width=_width())))
    return Exit.OK if answer.get("system_health") == "healthy" else Exit.NOT_HEALTHY


def _events(address: Address, timeout: float) -> tuple[Json, ...] | None:
    """What happened to it; None where it is an older one, or lets us not see that."""
    with contextlib.suppress(DaemonUnreachable):
        answer = exchange(address, "GET", EVENTS, timeout)
        if answer.status == 200:
            return objects(answer.object().get("events"))
    return None


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
    snapshot: Json,
    events: Sequence[Json] | None = None,
    *,
    stale_after: float = 5.0,
    unicode: bool = True,
    width: int = _LINE,
) -> list[str]:
    """The lines of the box System Health, in the order of the questions that are asked in an incident: what is wrong,
    errors and times of the last minute, what is busy and with what, jobs, the last death; then the rest.

    A field that is missing or odd is UNKNOWN. What is rare has a row where it is there, and so has the age of what the
    aggregator observed, where that is above `stale_after` seconds.
    """
    rows = [
        *_rows("Health", [_health(snapshot, events), *_reasons(snapshot, width)]),
        *minute_rows(snapshot),
        ("Capacity", capacity_text(snapshot)),
        *_rows("Longest", [clipped(line, width) for line in request_lines(snapshot, "ascii")]),
        ("Backlog", backlog_text(snapshot)),
        *beside_texts(snapshot),
        *_rows("Clients", [text for text in [waiting_text(snapshot)] if text]),
        ("Jobs", _jobs(snapshot)),
        *_rows("Last death", _wrapped(last_death(snapshot, events), width)),
        ("Uptime", figure(snapshot.get("uptime_seconds"), duration)),
        ("Processes", _processes(snapshot)),
        *_age_row(snapshot, stale_after),
        *_rows("Totals", _wrapped(_totals(snapshot), width)),
    ]
    return box("System Health", rows, _UNICODE if unicode else _ASCII)


def _rows(label: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """The values below each other, the label at the first."""
    return [("" if place else label, value) for place, value in enumerate(values[:_LINES_MAX])]


def _reasons(snapshot: Json, width: int) -> list[str]:
    reasons = (plain(reason, "ascii") for reason in reasons_of(snapshot))
    return [line for reason in reasons for line in _wrapped(reason, width)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ")


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


def concurrency(raw: Json) -> str:
    """`34 (30 threads, 4 tasks)`."""
    total, threads, tasks = (figure(raw.get(field), count) for field in ("goroutines", "threads", "tasks"))
    return f"{total} ({threads} threads, {tasks} tasks)"


def _health(snapshot: Json, events: Sequence[Json] | None) -> str:
    health = health_of(snapshot)
    since = health_since(snapshot, events, is_healthy=health == "healthy")
    return f"{clipped(plain(health, 'ascii'), _TEXT_MAX)}{f' {since}' if since else ''}"


def _jobs(snapshot: Json) -> str:
    states = (("running", "jobs_active"), ("pending", "jobs_pending"), ("failed", "jobs_failed"))
    if all(number(snapshot.get(field)) is None for _, field in states):
        return UNKNOWN
    return ", ".join(f"{figure(snapshot.get(field), count)} {word}" for word, field in states)


def _processes(snapshot: Json) -> str:
    """`2 workers, 50 MB, CPU 12.3%, 30 threads, 12 WebSockets`."""
    workers = snapshot.get("workers")
    memory, cpu = figure(snapshot.get("memory_usage"), size), figure(snapshot.get("cpu_usage"), percent)
    threads, clients = (figure(snapshot.get(field), count) for field in ("threads", "websocket_clients"))
    number_of_workers = count(len(workers)) if isinstance(workers, list) else UNKNOWN
    numbers = ((number_of_workers, "worker"), (threads, "thread"), (clients, "WebSocket"))
    own, busy, heard = (f"{number} {noun}{'' if number == '1' else 's'}" for number, noun in numbers)
    return f"{own}, {memory}, CPU {cpu}, {busy}, {heard}"


def _totals(snapshot: Json) -> str:
    """`1,250 requests, 5 errors (0.4%), mean 45.2ms`, and since when, where that is before the start: they outlived a
    stop or a crash.
    """
    requests, mean = figure(snapshot.get("http_requests"), count), number(snapshot.get("avg_response_time"))
    text = f"{requests} requests, {_errors(snapshot)}"
    text += f", mean {milliseconds(mean)}" if mean else ""
    since, now = instant(snapshot.get("totals_since")), instant(snapshot.get("timestamp"))
    uptime = number(snapshot.get("uptime_seconds"))
    if since is None or now is None or uptime is None or (now - since).total_seconds() < uptime + BEFORE:
        return f"{text} since the start"
    return f"{text} since {since:%Y-%m-%d %H:%M:%S} UTC"


def _errors(snapshot: Json) -> str:
    """Of the server's and of clients'; of an older daemon both together."""
    server, client = (number(snapshot.get(f"http_{whose}_errors")) for whose in ("server", "client"))
    if server is None or client is None:
        return f"{errors(snapshot.get('http_errors'), snapshot.get('http_requests'))} errors"
    return f"5xx {count(server)}, 4xx {count(client)}"


def _age_row(snapshot: Json, stale_after: float) -> list[tuple[str, str]]:
    """Memory, CPU, threads and clients are as old as this says; no row while they are fresh."""
    age = number(snapshot.get("observed_age_seconds"))
    if age is None:
        return [("", "not observed yet")]
    return [("", f"stale, observed {duration(age)} ago")] if age > stale_after else []
