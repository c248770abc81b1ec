"""A segment that this version can't use, of another format or damaged, is kept under another name."""

import os
import struct
import sys
import time
from pathlib import Path

from hvd.core import layout
from hvd.core.durations import TIMED_CELLS
from hvd.core.files import remove_unlocked
from hvd.core.layout import Layout

KEPT = 2  # segments of an instance that were set aside; an older one goes when another comes: they take memory
MOST_ROWS = 1 << 20  # as many as the largest settings make; what claims more is damaged

_TOTALS = struct.Struct("=4q")  # R_STARTED to R_ERRORS


def is_of_hvd(fd: int) -> bool:
    """True if the segment begins as a block does, in whatever format."""
    return os.pread(fd, layout.CELL, 0) == layout.MAGIC.to_bytes(layout.CELL, sys.byteorder)


def set_aside(path: Path, fd: int) -> str:
    """Give the segment another name. -> a clause for a log: the new path, and what was counted in it.

    The caller holds the segment exclusively. Of those set aside before, the newest stay.
    """
    stem = f"{path.name}.aside-"
    others = (other for other in path.parent.iterdir() if other.name.startswith(stem))
    before = sorted(other for other in others if other.lstat().st_uid == os.geteuid())  # anybody can make such files
    aside = path.with_name(f"{stem}{time.time_ns()}")
    path.rename(aside)
    for old in before[: len(before) - KEPT + 1]:
        remove_unlocked(old)
    return f"it is kept as {aside}, {_describe(fd)}"


def _describe(fd: int) -> str:
    totals = last_totals(fd)
    if totals is None:
        return "its totals can't be read"
    return "its last totals: {:d} requests started, {:d} finished, {:d} aborted, {:d} errors".format(*totals)


def last_totals(fd: int) -> tuple[int, ...] | None:
    """The sums of started, finished, aborted, errors, from what is the same in all formats (layout.py).

    None where the header can't be that of a block.
    """
    header, size = os.pread(fd, layout.PAGE, 0), os.fstat(fd).st_size
    cells = struct.unpack_from("=16q", header.ljust(layout.PAGE, b"\0"))
    slots, rows, series = cells[layout.H_SLOTS], cells[layout.H_ROWS], cells[layout.H_SERIES]
    if min(slots, rows, series) < 1 or slots * rows > MOST_ROWS:
        return None
    # format 2 does not say it; there it is the same as in format 3
    row_cells = cells[layout.H_ROW_CELLS] or Layout(slots, rows, series, TIMED_CELLS).row_cells
    first = size - slots * rows * row_cells * layout.CELL
    if row_cells < layout.HEAD_CELLS or first < layout.PAGE:
        return None
    heads = (os.pread(fd, _TOTALS.size, first + row * row_cells * layout.CELL) for row in range(slots * rows))
    return tuple(map(sum, zip(*map(_TOTALS.unpack, heads), strict=True)))
