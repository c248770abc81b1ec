"""`hvd list`: the daemons that run on this machine, and how each is."""

import argparse
import json
import pwd
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hvd.cli.arguments import Exit
from hvd.cli.client import get_object
from hvd.cli.daemons import Daemon, running_daemons
from hvd.cli.jobs.show import stdout_encoding, table
from hvd.cli.saturation import health_of, reasons_of
from hvd.core import layout
from hvd.errors import DaemonUnreachable
from hvd.texts import UNKNOWN, count, figure, number, plain, rate, short_duration

UNREACHABLE = "unreachable"
NONE = "no daemon of this user runs on this machine: start one with `gunicorn`, see hvd --help"
_AT_ONCE = 16  # daemons that are asked at a time


@dataclass(frozen=True)
class Listed:
    """A daemon, and what its admin server told: nothing where that did not answer, for the reason `trouble`."""

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
    daemons = running_daemons()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = list(pool.map(lambda daemon: ask(daemon, args.timeout), daemons))
    if args.json:
        print(json.dumps([as_json(each) for each in listed], indent=2))
    else:
        print("\n".join(lines(listed, stdout_encoding()) if listed else [NONE]))
    if not listed:
        return Exit.UNREACHABLE
    return Exit.OK if all(each.health == "healthy" for each in listed) else Exit.NOT_HEALTHY


def ask(daemon: Daemon, timeout: float) -> Listed:
    """What its admin server tells within `timeout` s each of its addresses."""
    trouble = "its admin server has no socket here"
    for address in daemon.admin:
        try:
            return Listed(daemon, get_object(address, "/api/v1/snapshot", timeout))
        except DaemonUnreachable as error:
            trouble = error.reason
    return Listed(daemon, {}, trouble)


def as_json(listed: Listed) -> dict[str, Any]:
    """One daemon for scripts; what isn't known is null."""
    daemon, raw = listed.daemon, listed.raw
    return {
        "instance": daemon.instance,
        "user": _user(daemon),
        "masters": list(daemon.block.masters),
        "block": daemon.block.name,
        "block_format": daemon.block.format,
        "health": listed.health,
        "reasons": listed.reasons,
        "bind": [address.url for address in daemon.serves],
        "admin": [address.url for address in daemon.admin],
        "workers": number(listed.workers),
        "worker_threads": number(raw.get("worker_threads")),
        "worker_threads_busy": number(raw.get("worker_threads_busy")),
        "requests_per_second": number(raw.get("requests_per_second")),
        "uptime_seconds": round(listed.uptime, 3),
    }


def lines(listed: Iterable[Listed], encoding: str) -> list[str]:
    """A table, and below it why a daemon is unreachable, or what it complains of."""
    listed = list(listed)
    users = {each.daemon.block.user for each in listed}
    head = ["INSTANCE", "PID", "HEALTH", "WORKERS", "BUSY", "REQ/S", "UPTIME", "BIND", "ADMIN"]
    rows = [_row(each, encoding) for each in listed]
    if len(users) > 1:
        head.insert(1, "USER")
        for row, each in zip(rows, listed, strict=True):
            row.insert(1, plain(_user(each.daemon), encoding, 20))
    return table([head, *rows]) + [line for each in listed for line in _troubles(each, encoding)]


def _row(listed: Listed, encoding: str) -> list[str]:
    daemon, raw = listed.daemon, listed.raw
    busy, threads = (figure(raw.get(f"worker_threads{end}"), count) for end in ("_busy", ""))
    return [
        plain(daemon.instance, encoding, 64),
        ",".join(map(str, daemon.block.masters)),
        plain(listed.health, encoding, 20),
        figure(listed.workers, count),
        UNKNOWN if busy == threads == UNKNOWN else f"{busy}/{threads}",
        figure(raw.get("requests_per_second"), rate),
        short_duration(listed.uptime),
        " ".join(plain(address.url, encoding) for address in daemon.serves) or UNKNOWN,
        " ".join(plain(address.url, encoding) for address in daemon.admin) or UNKNOWN,
    ]


def _troubles(listed: Listed, encoding: str) -> list[str]:
    troubles = listed.reasons
    if listed.daemon.block.format != layout.FORMAT:
        troubles = [*troubles, f"it is another version of hvd (block format {listed.daemon.block.format})"]
    return [f"! {plain(listed.daemon.instance, encoding, 64)}: {plain(trouble, encoding)}" for trouble in troubles]


def _user(daemon: Daemon) -> str:
    try:
        return pwd.getpwuid(daemon.block.user).pw_name
    except KeyError:
        return str(daemon.block.user)
