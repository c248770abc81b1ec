"""What a master passes on to the one that an upgrade (USR2) starts: its block and its claim to it, as descriptors.

By name the new master would find no block, or another one, where the name was removed. gunicorn's own listeners go the
same way, as GUNICORN_FD. The variable's name does not begin with HVD_, which would make it a setting.
"""

import os
from collections.abc import MutableMapping

from hvd.core.block import Block
from hvd.core.claim import Passed

VARIABLE = "_HVD_PASSED"


def pass_on(block: Block, environ: MutableMapping[str, str]) -> None:
    """Pass both on to the program that this process is about to execute with that environment.

    The block has a lock of its own then: the old master may stop before the new one runs, and must not remove it.
    """
    passed = Passed(block.share(), block.claim)
    for fd in passed:
        os.set_inheritable(fd, True)
    environ[VARIABLE] = f"{os.getpid()}:{passed.block}:{passed.claim}"


def receive(environ: MutableMapping[str, str]) -> Passed | None:
    """What another master has passed to this process by the environment that it was started with, if one has.

    A variable that names another pid was meant for that process.
    """
    pid, *fds = environ.pop(VARIABLE, "").split(":")
    return Passed(*map(int, fds)) if pid == str(os.getpid()) else None
