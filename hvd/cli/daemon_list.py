"""`hvd list`: the daemons that run on this machine, and their health."""

import argparse
import json
import pwd
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from hvd.cli.arguments import Exit
from hvd.cli.client import get_object
from hvd.cli.credentials import explicit_token
from hvd.cli.daemons import Daemon, running_daemons
from hvd.cli.jobs.show import stdout_encoding, table
from hvd.cli.saturation import health_of, reasons_of
from hvd.core import layout
from hvd.errors import DaemonRefused, DaemonUnreachable
from hvd.texts import UNKNOWN, count, figure, number, plain, rate, short_duration

UNREACHABLE = "unreachable"
NONE = "no daemon of this user runs on this machine: start one with `hvd run`, see hvd --help"
_AT_ONCE = 16  # daemons that are asked at a time


@dataclass(frozen=True)
class Report:
    """A daemon, and its admin server's answer; without one, `trouble` says why."""

    daemon: Daemon
    raw: dict[str, Any]
    trouble: str = ""

    @property
    def health(self) -> str:
        """What the daemon says of itself, or UNREACHABLE."""
        return UNREACHABLE if self.trouble else health_of(self.raw) or UNKNOWN

    @property
    def reasons(self) -> list[str]:
        """What is wrong with it, or why it can't be asked."""
        return [self.trouble] if self.trouble else [*reasons_of(self.raw)]

    @property
    def workers(self) -> object:
        """How many live, as the daemon says, or else its block."""
        return self.raw.get("workers_alive", self.daemon.block.workers)

    @property
    def uptime(self) -> float:
        """In s, by the block: a daemon that doesn't answer has it too."""
        return max(0.0, (time.monotonic_ns() - self.daemon.block.started_ns) / 1e9)


def run(args: argparse.Namespace) -> int:
    """Print them; UNREACHABLE where none runs, NOT_HEALTHY where one of them isn't healthy."""
    daemons, token = running_daemons(), explicit_token(args)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reports = list(pool.map(lambda daemon: ask(daemon, args.timeout, token), daemons))
    if args.json:
        print(json.dumps([as_json(report) for report in reports], indent=2))
    else:
        print("\n".join(lines(reports, stdout_encoding()) if reports else [NONE]))
    if not reports:
        return Exit.UNREACHABLE
    return Exit.OK if all(report.health == "healthy" for report in reports) else Exit.NOT_HEALTHY


def ask(daemon: Daemon, timeout: float, token: str = "") -> Report:  # nosec B107
    """What its admin server tells within `timeout` s each of its addresses; `token` is for one that asks for it."""
    trouble = "its admin server has no socket here"
    for address in daemon.admin:
        try:
            return Report(daemon, get_object(replace(address, token=token), "/api/v1/snapshot", timeout))
        except DaemonUnreachable as error:
            trouble = error.reason
        except DaemonRefused as error:
            trouble = f"it answers {error.status}: it asks for a token"
    return Report(daemon, {}, trouble)


def as_json(report: Report) -> dict[str, Any]:
    """One daemon for scripts; what isn't known is null."""
    daemon, raw = report.daemon, report.raw
    return {
        "instance": daemon.instance,
        "user": _user(daemon),
        "masters": list(daemon.block.masters),
        "block": daemon.block.name,
        "block_format": daemon.block.format,
        "health": report.health,
        "reasons": report.reasons,
        "bind": [address.url for address in daemon.serves],
        "admin": [address.url for address in daemon.admin],
        "workers": number(report.workers),
        "worker_threads": number(raw.get("worker_threads")),
        "worker_threads_busy": number(raw.get("worker_threads_busy")),
        "requests_per_second": number(raw.get("requests_per_second")),
        "uptime_seconds": round(report.uptime, 3),
    }


def lines(reports: Iterable[Report], encoding: str) -> list[str]:
    """A table, and below it why a daemon is unreachable, or what it complains of."""
    reports = list(reports)
    users = {report.daemon.block.user for report in reports}
    head = ["INSTANCE", "PID", "HEALTH", "WORKERS", "BUSY", "REQ/S", "UPTIME", "BIND", "ADMIN"]
    rows = [_row(report, encoding) for report in reports]
    if len(users) > 1:
        head.insert(1, "USER")
        for row, report in zip(rows, reports, strict=True):
            row.insert(1, plain(_user(report.daemon), encoding, 20))
    return table([head, *rows]) + [line for report in reports for line in _troubles(report, encoding)]


def _row(report: Report, encoding: str) -> list[str]:
    daemon, raw = report.daemon, report.raw
    busy, threads = (figure(raw.get(f"worker_threads{end}"), count) for end in ("_busy", ""))
    return [
        plain(daemon.instance, encoding, 64),
        ",".join(map(str, daemon.block.masters)),
        plain(report.health, encoding, 20),
        figure(report.workers, count),
        UNKNOWN if busy == threads == UNKNOWN else f"{busy}/{threads}",
        figure(raw.get("requests_per_second"), rate),
        short_duration(report.uptime),
        " ".join(plain(address.url, encoding) for address in daemon.serves) or UNKNOWN,
        " ".join(plain(address.url, encoding) for address in daemon.admin) or UNKNOWN,
    ]


def _troubles(report: Report, encoding: str) -> list[str]:
    troubles = report.reasons
    if report.daemon.block.format != layout.FORMAT:
        troubles = [*troubles, f"it is another version of hvd (block format {report.daemon.block.format})"]
    return [f"! {plain(report.daemon.instance, encoding, 64)}: {plain(trouble, encoding)}" for trouble in troubles]


def _user(daemon: Daemon) -> str:
    try:
        return pwd.getpwuid(daemon.block.user).pw_name
    except KeyError:
        return str(daemon.block.user)
