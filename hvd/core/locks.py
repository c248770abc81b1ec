"""The claim to a block and the mutation lock; block.py says what they are for.

The claim is the name of an abstract unix socket (unix(7)): it is no file that could be removed, it ends with the master
whatever becomes of the block's name, and no worker holds it. The name is made of the user, the instance and the file
system of the blocks. Abstract names belong to one network namespace, so where two of these share a /dev/shm, the lock
on the block itself decides.

The mutation lock is a POSIX record lock (fcntl(2)) on the first byte of the segment. The kernel drops it when the
process that holds it ends; a process that is stopped (SIGSTOP) keeps it. So every wait has a deadline, and what a
process does without the lock is said where it waits: go on, try later, or end with an error.
"""

import contextlib
import errno
import fcntl
import os
import signal
import socket
import struct
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from hvd.errors import BlockInUse, CannotStart

DYING = 1.0  # s in which a master that was killed lets go of its descriptors
CLAIM_PAUSE = 0.02  # s between two attempts

LOCK_WAIT = 1.0  # s that a master waits for it; a worker that keeps it has to be ended by that very master
COUNT_WAIT = 0.5  # s that a request or a tick waits for it; without it, counts go where no lock is needed
BACKOFF = 1.0  # s after a wait that failed, in which no thread waits: else they would wait one after the other

_PAUSE = 0.001  # s between two attempts: a record lock can't be waited for with a deadline
_TRIES = 5  # at least: this process itself may be stopped until the deadline is over
_UPGRADE = 1  # the byte beside that of the mutation lock
_FLOCK = "hhqqi"  # struct flock (fcntl(2)) as 64-bit Linux has it: type, whence, start, length, pid


class Passed(NamedTuple):
    """Descriptors that a master passes on at an upgrade: its block, and its claim to it."""

    block: int
    claim: int


def claim_name(folder: Path, name: str) -> str:
    """What /proc/net/unix shows of the claim to the block of that name, which any process of the machine can bind."""
    return f"@hvd/{os.stat(folder).st_dev:x}/{os.geteuid()}/{name}"


def take_claim(folder: Path, name: str, wait: float) -> int:
    """The descriptor that is the claim to the block of that name while it is open. Raises BlockInUse, CannotStart."""
    address = claim_name(folder, name).replace("@", "\0", 1)
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deadline = time.monotonic() + wait
    while True:
        try:
            claim.bind(address)
            return claim.detach()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                claim.close()
                raise CannotStart(f"no abstract unix socket can be bound ({error.strerror}): hvd needs one") from None
            if time.monotonic() > deadline:
                claim.close()
                raise BlockInUse(f"block {name} belongs to a daemon that is running") from None
        time.sleep(CLAIM_PAUSE)


def no_claim() -> int:
    """A descriptor in the place of a claim: the lock on the block decides alone, as between network namespaces."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).detach()


def is_claimed_by(folder: Path, name: str, user: int) -> bool:
    """Whether a process of that user may hold the claim: one does, or none of anybody's can be found to.

    Of another user's processes the kernel doesn't show what they hold; of this user's it does.
    """
    wanted = claim_name(folder, name)
    nodes: set[str] = set()
    with contextlib.suppress(OSError), open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        fields = (line.split() for line in file)
        nodes.update(f"socket:[{line[6]}]" for line in fields if line[7:] == [wanted])
    if not nodes:
        return True  # it was released just now, or its holder can't be seen
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == user and any(_holds(fd, nodes) for fd in (process / "fd").iterdir()):
                return True
    return False


def _holds(fd: Path, nodes: Collection[str]) -> bool:
    with contextlib.suppress(OSError):
        return os.readlink(fd) in nodes
    return False


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
        signal.sigtimedwait((), _PAUSE)  # and not time.sleep, in which gevent would run others in the midst of this


def take_upgrade(fd: int) -> bool:
    """Take the lock of the process that upgrades the block's daemon, until the descriptor is closed. False if another
    one has it.

    It is the descriptor's, not the process's (F_OFD_SETLK): to look at the block's file meanwhile doesn't drop it.
    """
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _UPGRADE, 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    return True


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
