"""`hvd top`: the full screen, or the same once as text or JSON."""

import argparse
import json
import locale
import os
import sys
import time
from typing import Any

from rich.console import Console

from hvd.cli.arguments import Exit
from hvd.cli.client import Address
from hvd.cli.top.ask import ask, with_first_messages
from hvd.cli.top.badge import badge
from hvd.cli.top.feed import Feed
from hvd.cli.top.frame import ASCII, UNICODE, Frame, Glyphs
from hvd.cli.top.keys import State
from hvd.cli.top.layout import lay_out
from hvd.cli.top.lists import JOBS, ROUTES, TABLES, WORKERS
from hvd.cli.top.model import Model
from hvd.cli.top.own_list import OWN
from hvd.cli.top.screen import watch

_COLUMNS = 80  # where the output is not a terminal


def run(args: argparse.Namespace, address: Address, stale_after: float) -> int:
    """Run it for the daemon at that address; gives the exit code. Raises DaemonUnreachable without a first answer."""
    console = Console(highlight=False)
    once = args.once or args.json
    if not once and (complaint := _complaint(console)):
        print(f"hvd: {complaint}", file=sys.stderr)
        return Exit.WRONG
    state = State(orders=tuple(_order(table.orders, args.sort) for table in (*TABLES, OWN)))
    model = ask(address, args.timeout, history=True).applied(Model(), time.monotonic())
    frame = Frame(address.url, _COLUMNS, None, time.monotonic(), stale_after, _glyphs())
    if not once:
        return watch(lambda changed: Feed(address, args.timeout, model, changed), console, frame, state)
    model = with_first_messages(address, args.timeout, model, time.monotonic())
    if args.json:
        print(json.dumps(as_json(model, state, frame)))
    else:
        _print(console, model, state, frame)
    return Exit.OK if model.raw.get("system_health") == "healthy" else Exit.NOT_HEALTHY


def as_json(model: Model, state: State, frame: Frame) -> dict[str, Any]:
    """The numbers that the screen shows, lists in its order; the history by column."""
    columns = sorted({name for point in model.points for name in point})
    lists = (model.workers, model.routes, model.jobs)
    workers, routes, jobs = (
        table.sort(rows, order, turned)
        for table, rows, order, turned in zip(TABLES, lists, state.orders, state.turned, strict=False)
    )
    return {
        "url": frame.url,
        "version": model.version or None,
        "badge": badge(model, frame),
        "raw": dict(model.raw),
        "reasons": list(model.reasons),
        WORKERS.name: workers,
        "restarts": model.restarts,
        ROUTES.name: routes,
        JOBS.name: jobs,
        "post_mortems": list(model.post_mortems),
        "own": list(model.own.metrics),
        "pinned": dict(model.own.pinned),
        "history": {name: [point.get(name) for point in model.points] for name in columns},
    }


def _complaint(console: Console) -> str:
    """Why there can be no full screen."""
    if not (os.isatty(0) and os.isatty(1)):
        return "top needs a terminal for its input and output: use hvd top --once, or --json"
    if console.is_dumb_terminal:
        return "this terminal (TERM) can't move its cursor: use hvd top --once"
    return ""


def _order(orders: Any, name: str) -> int:
    """The place of the order of that name; 0 where a list doesn't have it."""
    return next((place for place, order in enumerate(orders) if order.name == name), 0)


def _glyphs() -> Glyphs:
    """What stdout can encode and the locale promises: in the C locale Python writes UTF-8, which not all show."""
    encodings = (getattr(sys.stdout, "encoding", None) or "ascii", locale.getencoding())
    utf8 = all(name.lower().replace("-", "").replace("_", "") == "utf8" for name in encodings)
    return UNICODE if utf8 else ASCII


def _print(console: Console, model: Model, state: State, frame: Frame) -> None:
    width = os.get_terminal_size(1).columns if console.is_terminal and os.isatty(1) else 0
    frame = Frame(frame.url, width or _COLUMNS, None, time.monotonic(), frame.stale_after, frame.glyphs)
    with console.capture() as captured:
        for line in lay_out(model, state, frame).lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    print(captured.get(), end="")
