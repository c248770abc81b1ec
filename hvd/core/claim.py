"""The claim to a block: a lock that a living master holds, whatever becomes of the block's name.

It is the name of an abstract unix socket (unix(7)): it is no file that could be removed, it ends with the master, and
no worker holds it. The name is made of the user, the instance and the file system of the blocks. Abstract names belong
to one network namespace, so where two of these share a /dev/shm, the lock on the block itself decides (block.py).
"""

import errno
import os
import socket
import time
from pathlib import Path
from typing import NamedTuple

from hvd.errors import BlockInUse, CannotStart

DYING = 1.0  # s in which a master that was killed lets go of its descriptors
PAUSE = 0.02  # s between two attempts


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
        time.sleep(PAUSE)
