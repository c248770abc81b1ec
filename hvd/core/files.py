"""Files that are replaced whole or not at all, or removed unless somebody uses them."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path


def replace_file(
    path: Path, text: str, *, mode: int = 0o600, owner: tuple[int, int] | None = None, is_lasting: bool = True
) -> None:
    """Have the file hold this text. Raises OSError: then it holds what it held before.

    It is written beside its place, under a name that nobody has taken before: what others have put there is not
    followed. `owner` is uid and gid; `is_lasting` has it on the disk before it gets its name. Safe in any thread.
    """
    fd, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            if owner:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            file.write(text)
            file.flush()
            if is_lasting:
                os.fsync(fd)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def remove_unlocked(path: Path) -> None:
    """Unlink it, unless it can't be, or a process that has it open holds its lock (flock(2)). Never waits."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(fd)
