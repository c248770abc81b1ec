"""What happened to the daemon: as a list, and as marks on the charts' axes of time. Pure."""

from collections.abc import Sequence
from datetime import datetime

from hvd.cli.answers import Json
from hvd.cli.top.columns import Column, Table
from hvd.cli.top.frame import Glyphs
from hvd.texts import UNKNOWN, number, short_duration

MARKS = {
    "start": "S",
    "stop": "E",
    "reload": "R",
    "upgrade": "U",
    "version": "V",
    "death": "D",
    "boot_failed": "F",
    "alert": "A",
    "alert_over": "O",
}
"""The letter of each kind."""

UNPLANNED = ("death", "boot_failed")
"""Kinds of event that end a process, or keep one from its start, and that nobody planned."""

RED = (*UNPLANNED, "alert")

RECENT = 3600.0
"""s for which what nobody planned is pointed out, there and on the page."""


def style_of(event: Json) -> str:
    """How its mark is drawn."""
    return "bold red" if event.get("kind") in RED else "bold cyan"


def ago_text(seconds: float) -> str:
    """How long before that was."""
    return "now" if seconds < 1 else f"{short_duration(seconds)} ago"


def local_time(time: object) -> str:
    """A Unix time in s as this machine's clock has it, with its zone."""
    value = number(time)
    if value is None:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(value).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except (OverflowError, OSError, ValueError):
        return UNKNOWN


def event_rows(events: Sequence[Json], now: float) -> list[Json]:
    """The events with their age at the Unix time `now`."""
    return [{**event, "ago": max(0.0, now - (number(event.get("time")) or now))} for event in events]


def _text(row: Json, glyphs: Glyphs) -> str:
    return f"{MARKS.get(str(row.get('kind')), ' ')} {glyphs.said(row.get('text'))}"


EVENTS = Table(
    "events",
    Column(
        "event",
        "EVENT",
        40,
        _text,
        lambda row: str(row.get("text")),
        descends=False,
        style=lambda row: "red" if row.get("kind") in RED and row["ago"] < RECENT else "",
    ),
    (
        Column("time", "TIME", 12, lambda row, _: ago_text(row["ago"]), lambda row: row["ago"], descends=False),
        Column(
            "kind",
            "KIND",
            11,
            lambda row, glyphs: glyphs.said(row.get("kind"), 11),
            lambda row: str(row.get("kind")),
            descends=False,
            left=True,
            spare=True,
        ),
        Column(
            "at",
            "AT",
            27,
            lambda row, glyphs: glyphs.said(local_time(row.get("time"))),
            lambda row: row["ago"],
            descends=False,
            left=True,
            spare=True,
        ),
    ),
    order="time",
    key=lambda row: str(row.get("sequence")),
    searched=lambda row: f"{row.get('kind')} {row.get('text')}",
)
