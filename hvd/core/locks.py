"""The mutation lock: a POSIX record lock (fcntl(2)) on the first byte of the segment, waited for with a deadline.

A process owns it, the kernel drops it when that ends, and one that is stopped (SIGSTOP) while it holds it keeps it.
So nobody waits without a deadline: who can't have it goes on without it, or later, or ends with an error.
"""

import contextlib
import fcntl
import os
import struct
import time

LOCK_WAIT = 1.0  # s that a master waits for it; it has to end a worker that keeps it, after all
COUNT_WAIT = 0.5  # s that a request or a tick waits for it, whose counts then go where they need no lock
VAIN = 1.0  # s after a vain wait in which nobody waits again: else threads would wait one after the other

_PAUSE = 0.001  # s between two attempts: a record lock can't be waited for with a deadline
_TRIES = 5  # at least: the deadline may pass while this process itself was stopped
_FLOCK = "hhqqi"  # struct flock (fcntl(2)) as 64-bit Linux has it: type, whence, start, length, pid


def take(fd: int, wait: float) -> bool:
    """Take the lock. False if another process keeps it for so many seconds."""
    deadline, tries = time.monotonic() + wait, 0
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
            return True
        tries += 1
        if tries >= _TRIES and time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)


def drop(fd: int) -> None:
    """Let another process have it."""
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)


def holder(fd: int) -> int:
    """The pid of the other process that keeps it; 0 if none does, or one outside of this pid namespace."""
    query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, query))
    return int(pid) if kind != fcntl.F_UNLCK else 0


def complaint(fd: int, name: str) -> str:
    """What is wrong where the lock of this block can't be had, and what to do."""
    who = holder(fd)
    return (
        f"{f'process {who}' if who else 'another process'} keeps block {name} locked; "
        "if it is stopped, continue it (SIGCONT) or end it"
    )
