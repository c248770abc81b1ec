"""The guard: a process that outlives a runner that was killed, just long enough to end what the runner had started.

A runner keeps one beside it (`python -m hvd.jobs.run.guard RUNNER_ID`). The guard's standard input is a pipe, and only
the runner has its other end. The lines `+PID` and `-PID` say which process groups run: a program may have dropped the
environment by which it would be known. A runner that stops writes DONE last; the end of the pipe without DONE means
that the runner is dead.
"""

import contextlib
import os
import select
import signal
import sys

from hvd.jobs.run.strays import kill_all_of

DONE = b"."  # nothing of the runner's runs any more
PAUSE = 200  # ms in which notes gather in the pipe, which holds thousands: nothing is urgent before its end


def main() -> int:
    """Wait for the runner's end."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)  # the runner's end is what ends the guard
    groups, is_done = listen(0)
    if not is_done:
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        kill_all_of(sys.argv[1])
    return 0


def listen(fd: int) -> tuple[set[int], bool]:
    """Read what the runner writes until its end -> the process groups that ran then, and whether DONE came last."""
    groups: set[int] = set()
    rest = b""
    end = select.poll()
    end.register(fd, 0)  # POLLHUP alone
    while rest[:1] in (b"", b"+", b"-") and (piece := os.read(fd, 64 * 1024)):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line[:1] == b"+":
                groups.add(int(line[1:]))
            else:
                groups.discard(int(line[1:]))
        if rest != DONE:
            end.poll(PAUSE)
    return groups, rest == DONE


if __name__ == "__main__":
    sys.exit(main())
