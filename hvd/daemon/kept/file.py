"""The file of totals in the file system: read if it is ours, written whole or not at all, set aside."""

import contextlib
import fcntl
import os
import stat
import time
from pathlib import Path

from hvd.core.files import remove_unlocked
from hvd.errors import TotalsUnusable

ASIDE_KEPT = 2
"""Files that were set aside: an older one goes when another comes."""

MOST = 2**28
"""Bytes that are read: what a hundred thousand series take is a tenth of it."""


def read_own(path: Path) -> bytes:
    """The file's bytes. Raises FileNotFoundError, TotalsUnusable; never waits, as for a FIFO that nobody writes."""
    if path.is_symlink():
        raise TotalsUnusable("it is a symbolic link")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TotalsUnusable(f"it can't be opened ({error.strerror})") from None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise TotalsUnusable("it is no regular file")
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise TotalsUnusable(
                f"others may have written it (owner uid {status.st_uid}, mode {status.st_mode & 0o777:03o})"
            )
        if status.st_size > MOST:
            raise TotalsUnusable(f"it has {status.st_size} bytes")
        try:
            return file.read(MOST)
        except OSError as error:
            raise TotalsUnusable(f"it can't be read ({error.strerror})") from None


def write_whole(path: Path, data: bytes) -> None:
    """Replace the file by one with these bytes, for its owner alone, and have both on the disk. Raises OSError: then
    it is what it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{path.name}.new-*"):
        remove_unlocked(leftover)  # of a writer that was killed; one that still writes holds its lock
    new = path.with_name(f"{path.name}.new-{os.getpid()}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as file:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(data)
            file.flush()
            os.fsync(fd)
            new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def set_aside(path: Path) -> Path:
    """Give the file another name -> that. Of those set aside before, the newest stay. Raises OSError."""
    stem = f"{path.name}.aside-"
    before = sorted(path.parent.glob(f"{stem}*"))
    aside = path.with_name(f"{stem}{time.time_ns()}")
    path.rename(aside)
    for old in before[: len(before) - ASIDE_KEPT + 1]:
        with contextlib.suppress(OSError):
            old.unlink()
    return aside
