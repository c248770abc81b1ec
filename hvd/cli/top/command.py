"""`hvd top`: the full screen, or the same once as text or JSON."""

import argparse
import json
import locale
import os
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from hvd.cli.arguments import Exit
from hvd.cli.client import Address
from hvd.cli.top.ask import ask, with_first_messages
from hvd.cli.top.badge import badge
from hvd.cli.top.choice import TABS, Choice
from hvd.cli.top.feed import Feed
from hvd.cli.top.frame import ASCII, UNICODE, Frame, Glyphs
from hvd.cli.top.layout import head_lines, lay_out, listing_of, table_of
from hvd.cli.top.model import Model
from hvd.errors import HvdError
from hvd.texts import plain

_COLUMNS = 80  # where the output is not a terminal
_PATIENCE = 0.3  # s for the first answer before the screen says that it waits for it
_TAB_OF = {"cpu": "workers", "memory": "workers", "pid": "workers"}


def run(args: argparse.Namespace, address: Address, stale_after: float) -> int:
    """Run it for the daemon at that address; gives the exit code. Raises DaemonUnreachable without a first answer."""
    console = Console(highlight=False)
    once = args.once or args.json
    if not once and (complaint := _complaint(console)):
        print(f"hvd: {complaint}", file=sys.stderr)
        return Exit.WRONG
    choice = Choice(tab=_TAB_OF.get(args.sort, "routes"), orders=dict.fromkeys(("workers", "routes"), args.sort))
    frame = Frame(address.url, _COLUMNS, None, time.monotonic(), stale_after, _glyphs())
    if not once:
        return _show(address, args.timeout, frame, choice)
    model = ask(address, args.timeout, history=True, after=0).applied(Model(), time.monotonic())
    model = with_first_messages(address, args.timeout, model, time.monotonic())
    if args.json:
        print(json.dumps(as_json(model, choice, frame)))
    else:
        _print(console, model, choice, frame)
    return Exit.OK if model.raw.get("system_health") == "healthy" else Exit.NOT_HEALTHY


def _show(address: Address, timeout: float, frame: Frame, choice: Choice) -> int:
    """The full screen. The daemon is asked while Textual is imported, which takes about as long."""
    feed = Feed(address, timeout, Model())
    feed.start()
    from hvd.cli.top.app import show  # only here: what prints once has no use for it

    feed.began.wait(_PATIENCE)
    if feed.failure:
        raise feed.failure
    try:
        return show(feed, address, timeout, frame, choice)
    except HvdError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"
        print(f"hvd: top failed ({plain(repr(error))} at {place}): use hvd top --once", file=sys.stderr)
        return Exit.UNREACHABLE


def as_json(model: Model, choice: Choice, frame: Frame) -> dict[str, Any]:
    """The numbers that the screen shows, lists in its order; the history by column."""
    columns = sorted({name for point in model.points for name in point})
    lists = {tab: listing_of(model, choice.with_tab(tab), frame).rows for tab in ("workers", "jobs")}
    routes = table_of(model, choice.with_tab("routes"))
    return {
        "url": frame.url,
        "version": model.version or None,
        "badge": badge(model, frame),
        "raw": dict(model.raw),
        "reasons": list(model.reasons),
        "workers": lists["workers"],
        "restarts": model.restarts,
        "routes": routes.sort(model.routes, choice.orders.get("routes", "")),
        "jobs": lists["jobs"],
        "changes": list(model.changes),
        "skew": list(model.skew),
        "events": list(model.events),
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


def _glyphs() -> Glyphs:
    """What stdout can encode and the locale promises: in the C locale Python writes UTF-8, which not all show."""
    encodings = (getattr(sys.stdout, "encoding", None) or "ascii", locale.getencoding())
    utf8 = all(name.lower().replace("-", "").replace("_", "") == "utf8" for name in encodings)
    return UNICODE if utf8 else ASCII


def _print(console: Console, model: Model, choice: Choice, frame: Frame) -> None:
    width = os.get_terminal_size(1).columns if console.is_terminal and os.isatty(1) else 0
    frame = Frame(frame.url, width or _COLUMNS, None, time.monotonic(), frame.stale_after, frame.glyphs)
    with console.capture() as captured:
        for line in once_lines(model, choice, frame):
            line.rstrip()
            console.print(line, soft_wrap=True, end="\n")
    print(captured.get(), end="")


def once_lines(model: Model, choice: Choice, frame: Frame) -> Iterator[Text]:
    """All that the screen can show, from top to bottom: the lists below each other."""
    yield from head_lines(model, frame)
    yield from lay_out(model, choice, frame).charts
    for tab in TABS:
        listing = listing_of(model, choice.with_tab(tab), frame)
        if listing.rows or tab in ("workers", "routes"):
            head, lines = listing.lines.drawn(listing.table, listing.rows)
            head.stylize("bold underline")
            yield Text(end="")
            yield Text(f"{listing.table.name} {listing.total}", "bold", end="")
            yield head
            yield from lines
