"""hvd's code in memory (hvd/daemon/code.py), as seen by a process that is executed with it."""

import sys

DESCRIPTOR = "/proc/self/fd/{}"
"""What a descriptor's file is called in each process that has it."""


def inherited_fds() -> list[int]:
    """In a process that has its code from an archive: what one that it executes has to inherit to have it too.

    Without the compiled modules: the guard, which is what this is for, does without.
    """
    prefix = DESCRIPTOR.format("")
    return [int(path.removeprefix(prefix)) for path in sys.path if path.startswith(prefix)]
