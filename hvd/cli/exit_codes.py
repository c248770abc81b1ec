"""The exit codes of `hvd`."""

from enum import IntEnum


class Exit(IntEnum):
    """What scripts rely on: a number keeps its meaning."""

    OK = 0
    UNREACHABLE = 1
    WRONG = 2
    NOT_HEALTHY = 3
    JOB_FAILED = 4
    REFUSED = 5
    STILL_OPEN = 6
    INTERRUPTED = 128 + 2
    BROKEN_PIPE = 128 + 13
    """What a shell reports of a program that SIGPIPE ended."""


HELP = """\
exit codes:
  0 all is well, 1 no daemon answers, 2 wrong settings or arguments, 3 the daemon is not healthy,
  4 a job that was waited for failed or was cancelled, 5 the daemon refused, 6 not all jobs ended in time"""
