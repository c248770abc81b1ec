"""The mutation lock: a POSIX record lock (fcntl(2)) on the first byte of the segment, waited for with a deadline.

The kernel drops it when the process that holds it ends; a process that is stopped (SIGSTOP) keeps it. So every wait has
a deadline, and what a process does without the lock is said where it waits: go on, try later, or end with an error.
"""

import contextlib
import fcntl
import os
import struct
import time

LOCK_WAIT = 1.0  # s that a master waits for it; a worker that keeps it has to be ended by that very master
COUNT_WAIT = 0.5  # s that a request or a tick waits for it; without it, counts go where no lock is needed
BACKOFF = 1.0  # s after a wait that failed, in which no thread waits: else they would wait one after the other

_PAUSE = 0.001  # s between two attempts: a record lock can't be waited for with a deadline
_TRIES = 5  # at least: this process itself may be stopped until the deadline is over
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
    """Release the lock."""
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)


def holder(fd: int) -> int:
    """The pid of the other process that holds it; 0 where none does, or a process of another pid namespace."""
    query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, query))
    return int(pid) if kind != fcntl.F_UNLCK else 0


def complaint(fd: int, name: str) -> str:
    """Why the lock of this block can't be taken, and what to do."""
    who = holder(fd)
    return (
        f"{f'process {who}' if who else 'another process'} keeps block {name} locked; "
        "if it is stopped, continue it (SIGCONT) or end it"
    )
