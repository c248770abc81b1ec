"""The guard: outlives a runner that was killed just long enough to end what that had started.

A runner keeps one beside it (`python -m hvd.jobs.guard RUNNER_ID`), with a pipe as its standard input of which only
the runner has the other end. A byte says that all is well; the end of the pipe without one, that the runner is dead.
"""

import os
import signal
import sys

from hvd.jobs.strays import kill_all_of

GOODBYE = b"."


def main() -> int:
    """Wait for the runner's end."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)  # the runner's end is what ends the guard
    if os.read(0, 1) != GOODBYE:
        kill_all_of(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
