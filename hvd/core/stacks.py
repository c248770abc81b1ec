"""The memory file in which the stacks of processes are left: a region for each slot, and three areas in a region.

    TAKEN    a head of two cells, then the text of the stacks that were taken last. The process writes it itself where
             its Python code runs; its master writes it where the dump below had to be made.
    DUMPED   what a signal has the process write, whatever it is doing (faulthandler.register)
    CRASHED  what the process wrote when it crashed (faulthandler.enable)

A text ends at the first zero byte. The file is sparse: a region costs the memory of the text that is in it, some
10 KB. The master makes the file before its first fork, and every process of the daemon inherits it. So each can read
what another one left, a dead one too.

The kernel keeps a file's position for each opening of it, which processes that inherit the opening share. So a master
sets the position at which a process will write its dump, and the process need not run any code for that.
"""

import errno
import os
import struct

from hvd.core.descriptors import leads_to
from hvd.core.libc import ctypes

AREA = 16 * 2**20
"""Bytes between two areas. A dump has at most 100 threads of 100 frames each (Python/traceback.c), which is 10 MB where
each of its lines has 1,000 characters."""

REGION = 4 * AREA
MOST = 512 * 1024  # bytes of a text that are read
_PIECE = 32 * 1024  # read at once: nearly every text

TAKEN, DUMPED, CRASHED = range(3)

_CELL = struct.Struct("=q")
_HEAD = 2 * _CELL.size
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h
_BY_NUMBER = "/proc/self/fd/{}"


class StackFile:
    """The file. Safe in any process that has it; one process at a time writes an area."""

    def __init__(self, fd: int | None = None) -> None:
        """A new file, or the one behind an inherited descriptor. Raises OSError where there can't be one."""
        self.fd = os.memfd_create("hvd-stacks") if fd is None else fd
        self._file = os.fstat(self.fd)

    def _write(self, data: bytes, offset: int) -> None:
        """Raises OSError, too where the number is another file's by now, which the app has opened."""
        if not leads_to(self.fd, self._file):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        os.pwrite(self.fd, data, offset)

    def is_open_in(self, pid: int, fd: int) -> bool:
        """Whether that descriptor of that process is of this file; where nobody may look, too."""
        try:
            return os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), self._file)
        except PermissionError:
            return True
        except OSError:
            return False

    def open_area(self, slot: int, area: int) -> int:
        """A descriptor at which a write begins at the area's start. Raises OSError: without /proc there is none."""
        fd = os.open(_BY_NUMBER.format(self.fd), os.O_RDWR | os.O_CLOEXEC)
        rewind(fd, slot, area)
        return fd

    def clear(self, slot: int) -> None:
        """Remove what the process that had the slot before has left. Raises OSError."""
        for area in (TAKEN, DUMPED, CRASHED):
            self.clear_area(slot, area)

    def clear_area(self, slot: int, area: int) -> None:
        """Remove the area's text, and free its memory, so that no end of it stands behind a shorter one."""
        libc = ctypes.CDLL(None, use_errno=True)
        fallocate = libc.fallocate64 if hasattr(libc, "fallocate64") else libc.fallocate  # musl: 64 bits anyway
        start, length = ctypes.c_int64(_start(slot, area)), ctypes.c_int64(AREA)
        if fallocate(self.fd, _PUNCH_HOLE | _KEEP_SIZE, start, length):
            number = ctypes.get_errno()
            raise OSError(number, f"fallocate of a memory file: {os.strerror(number)}")

    def read(self, slot: int, area: int = TAKEN) -> str:
        """The area's text; what of it is no UTF-8 is replaced."""
        start = _start(slot, area) + (_HEAD if area == TAKEN else 0)
        data = b""
        while len(data) < MOST and b"\0" not in data:
            piece = os.pread(self.fd, _PIECE, start + len(data))
            if not piece:
                break
            data += piece
        return data.partition(b"\0")[0].decode("utf-8", "replace")

    def write(self, slot: int, text: str) -> None:
        """Put this text into the area TAKEN, behind its head. Raises OSError where no memory is left."""
        data = text.encode("utf-8", "replace").replace(b"\0", b"")[: MOST - 1]
        self._write(data + b"\0", _start(slot, TAKEN) + _HEAD)

    def ask(self, slot: int, number: int) -> None:
        """Note in the head of TAKEN which request for stacks is to be answered; 0: none."""
        self._write(_CELL.pack(number), _start(slot, TAKEN))

    def request_of(self, slot: int) -> int:
        """What `ask` has noted."""
        return self._cell(_start(slot, TAKEN))

    def answer(self, slot: int, number: int, text: str) -> None:
        """In the process that was asked: the text, then that it answers this request. Raises OSError."""
        self.write(slot, text)
        self._write(_CELL.pack(number), _start(slot, TAKEN) + _CELL.size)

    def answered(self, slot: int) -> int:
        """The newest request that `answer` has answered."""
        return self._cell(_start(slot, TAKEN) + _CELL.size)

    def _cell(self, offset: int) -> int:
        data = os.pread(self.fd, _CELL.size, offset)
        number: int = _CELL.unpack(data)[0] if len(data) == _CELL.size else 0
        return number


def rewind(fd: int, slot: int, area: int) -> None:
    """Have the next write through this opening of the file, in whichever process, begin at the area's start."""
    os.lseek(fd, _start(slot, area), os.SEEK_SET)


def written(fd: int, slot: int, area: int) -> int:
    """How many bytes were written through this opening since `rewind`."""
    return os.lseek(fd, 0, os.SEEK_CUR) - _start(slot, area)


def _start(slot: int, area: int) -> int:
    return slot * REGION + area * AREA
