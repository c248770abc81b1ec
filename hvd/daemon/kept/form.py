"""The form of the file: a line of text, then JSON that describes itself. Pure.

The line is `hvd totals VERSION BYTES CRC32`, of the JSON behind it. Nothing in it depends on where cells lie in a
block: a family has its key and label names, a series its label values, buckets their bounds, a point of the history its
columns. So a version with another layout.FORMAT, or other settings, goes on from it (figures.py). VERSION is another
one only where this form can't be read by what reads the form before it.
"""

import json
import re
import zlib
from collections.abc import Sequence
from typing import NotRequired, TypedDict, cast

from hvd.daemon.kept.own import OwnPart
from hvd.errors import TotalsUnusable
from hvd.metrics.events import Event

VERSION = 1
_LINE = re.compile(rb"hvd totals (\d{1,9}) (\d{1,12}) ([0-9a-f]{8})")

Run = list[int]
"""Cells of a series that are not 0: index, value, index, value, and so on."""


class FamilyPart(TypedDict):
    """`buckets` has, for each run of buckets, its first cell and the key of its bounds. A series' labels are null where
    it is the overflow series.
    """

    labels: list[str]
    cells: int
    buckets: list[tuple[int, str]]
    series: list[tuple[list[str] | None, Run]]


class HistoryPart(TypedDict):
    """Points: Unix time in ns, a value for each of `columns`, counts by bucket (upper bounds in ns, one more above)."""

    columns: list[str]
    bounds: Sequence[int]
    points: Sequence[tuple[int, Sequence[float], Sequence[int]]]


class Kept(TypedDict):
    """What the file has. `heads` are started, finished, aborted, errors; `lost` is the run of what had no cells;
    `since_ns` (Unix) is when all was 0, and `counted_ns` for how long daemons have counted since then; `own` are the
    app's own metrics, `events` what happened to the daemons: files of earlier versions lack them.
    """

    instance: str
    hvd: str
    written_ns: int
    since_ns: int
    counted_ns: int
    heads: list[int]
    lost: Run
    bounds: dict[str, Sequence[int]]
    families: dict[str, FamilyPart]
    history: HistoryPart
    own: NotRequired[list[OwnPart]]
    events: NotRequired[list[Event]]


def encode(kept: Kept) -> bytes:
    """The file's bytes."""
    data = json.dumps(kept, separators=(",", ":")).encode()
    return b"hvd totals %d %d %08x\n" % (VERSION, len(data), zlib.crc32(data)) + data


def decode(data: bytes) -> Kept:
    """What the bytes say. Raises TotalsUnusable where they are no such file, damaged, or of a newer form; what stands
    in an undamaged one is taken at its word.
    """
    line, _, body = data.partition(b"\n")
    match = _LINE.fullmatch(line)
    if not match:
        raise TotalsUnusable("it does not begin as a file of totals does")
    if int(match[1]) != VERSION:
        raise TotalsUnusable(f"it has format {int(match[1])}, this hvd reads {VERSION}")
    if len(body) != int(match[2]) or zlib.crc32(body) != int(match[3], 16):
        raise TotalsUnusable("it is damaged: its checksum and its content don't agree")
    try:
        return cast(Kept, json.loads(body))
    except (ValueError, RecursionError):
        raise TotalsUnusable("it is damaged: it is no JSON") from None
