"""File descriptors of this process: standard input, output and error, and how many there may be.

A process that is started with standard error closed (`2>&-`, some supervisors) gives its number to the first file that
it opens: a log line would then be written over the block.
"""

import errno
import os
import resource
import sys
from collections.abc import Callable
from functools import partial

LACKS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors of calls that need a descriptor or memory which the machine does not have just now, and may have again."""

USUAL = 1024
"""How many open files systems allow where nobody has set another limit."""

_AT_START = resource.getrlimit(resource.RLIMIT_NOFILE)


def fill_standard() -> None:
    """Open /dev/null as whichever of standard input, output and error is closed; children get it too.

    To be called by a program before it opens anything. Raises OSError where /dev/null can't be opened.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:  # it was closed when the interpreter started
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def limit() -> int:
    """How many this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 2**30


def explain(error: OSError) -> str:
    """The error for a reader of the log; where it is for want of descriptors, with the limit, and how to lift it."""
    if error.errno != errno.EMFILE:
        return str(error)
    return f"{error.strerror}: {limit()} are allowed (ulimit -n, LimitNOFILE=); allow {USUAL:,}"


def leads_to(fd: int, file: os.stat_result) -> bool:
    """Whether the descriptor is still of that file: other code in the process may have closed it, and opened others."""
    try:
        return os.path.samestat(os.fstat(fd), file)
    except OSError:
        return False


def count_free() -> int:
    """How many more this process may open now."""
    most = limit()
    try:
        used = [name for name in os.listdir("/proc/self/fd") if int(name) < most]  # the limit is one of numbers
    except OSError as error:
        if error.errno in LACKS:
            return 0
        raise
    return most - len(used) + 1  # listing the folder takes one of them


def raise_limit(wanted: int) -> None:
    """Allow this process so many, as far as its hard limit does; never fewer than before.

    Programs that it starts inherit that, and those that use select(2) can't have more than 1,024: give them
    `limit_at_start`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if resource.RLIM_INFINITY != soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def limit_at_start() -> Callable[[], None] | None:
    """What gives a forked child the limits that this process was started with; None where it has them anyway."""
    if resource.getrlimit(resource.RLIMIT_NOFILE) == _AT_START:
        return None
    return partial(resource.setrlimit, resource.RLIMIT_NOFILE, _AT_START)
