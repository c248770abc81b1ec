"""Blocks seen from outside: who keeps each of them, and since when. They are only read, neither mapped nor locked."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hvd.core import layout
from hvd.core.block import DIRECTORY
from hvd.core.name import plain_name
from hvd.core.proc import is_alive

PREFIX = "hvd-"
_NO_NAMES = ("~", ".aside-")  # marks of the second name (name.py), and of a segment that was set aside (foreign.py)
_RECORD = layout.SLOT_CELLS * layout.CELL
_SLOTS_MOST = 1 << 14  # what claims more slots is damaged


@dataclass(frozen=True)
class KeptBlock:
    """A block with a master that lives. `user` is the owner of its file; `started_ns` is monotonic, `listeners` are
    inode numbers. `workers` counts those that live, and is None where another version of hvd wrote the block.
    """

    name: str
    user: int
    format: int
    masters: tuple[int, ...]
    started_ns: int
    listeners: tuple[int, ...] = ()
    workers: int | None = None


def block_files(directory: Path = DIRECTORY) -> list[Path]:
    """Files that have the name of a block, in order."""
    return sorted(path for path in directory.glob(f"{PREFIX}*") if not any(mark in path.name for mark in _NO_NAMES))


def kept_blocks(directory: Path = DIRECTORY, name: str = "") -> Iterator[KeptBlock]:
    """The blocks whose masters live, as far as this user may read them, by name; those of that name, where one is
    given, or of an evasive one in its place (name.py). What a dead daemon left is no block here, nor is any other file.
    """
    for path in block_files(directory):
        if name in ("", plain_name(path.name)):
            with contextlib.suppress(OSError):  # another user's, or removed meanwhile
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    block = _read_header(fd, path.name)
                finally:
                    os.close(fd)
                if block:
                    yield block


def _read_header(fd: int, name: str) -> KeptBlock | None:
    file, header = os.fstat(fd), os.pread(fd, layout.PAGE, 0)
    if not stat.S_ISREG(file.st_mode) or len(header) < layout.PAGE:
        return None
    cells = memoryview(header).cast("q")
    if cells[layout.H_MAGIC] != layout.MAGIC:
        return None
    pids = cells[layout.H_MASTERS : layout.H_MASTERS + layout.MASTERS].tolist()
    masters = tuple(pid for pid in pids if has_open(pid, file))
    if not masters:
        return None
    block = KeptBlock(name, file.st_uid, cells[layout.H_FORMAT], masters, cells[layout.H_STARTED_MONO])
    if block.format != layout.FORMAT:
        return block
    listeners = cells[layout.H_LISTENERS : layout.H_LISTENERS + layout.LISTENERS].tolist()
    workers = _count_workers(fd, cells[layout.H_SLOTS])
    return replace(block, listeners=tuple(filter(None, listeners)), workers=workers)


def _count_workers(fd: int, slots: int) -> int | None:
    if not 0 < slots <= _SLOTS_MOST:
        return None
    data = os.pread(fd, slots * _RECORD, layout.Layout.slot_table)
    cells = memoryview(data[: len(data) // _RECORD * _RECORD]).cast("q")
    records = (cells[start : start + layout.SLOT_CELLS] for start in range(0, len(cells), layout.SLOT_CELLS))
    return sum(
        is_alive(record[layout.S_PID], record[layout.S_PID_START])
        for record in records
        if record[layout.S_TAKEN] and record[layout.S_KIND] == layout.KIND_WORKER and record[layout.S_PID] > 0
    )


def has_open(pid: int, file: os.stat_result) -> bool:
    """True if the process lives and has that file open: a number that another process has by now is no master.

    A process that may not be looked into (proc(5)) counts if it lives.
    """
    if pid <= 0 or not is_alive(pid):
        return False
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except FileNotFoundError:
        return False
    except OSError:
        return True
    for number in numbers:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), file):
                return True
    return False
