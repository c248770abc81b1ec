"""Processes that a job left behind: found by what they inherit, however they have changed parent, group or session.

Each process of a job has HVD_JOB, HVD_ATTEMPT and HVD_RUNNER in the environment that it was started with (proc(5),
environ). A program may write over that, or drop it: so each attempt has a soft limit of its own as well, of the CPU
time under real-time scheduling (RLIMIT_RTTIME, getrlimit(2)), inherited by all and never reached: 70,000 years.
What belongs to another user can't be ended, so a program that changes its user is out of reach.
"""

import contextlib
import os
import resource
import signal
import time
import zlib
from collections.abc import Callable, Iterator

from hvd.core.proc import is_alive

JOB, ATTEMPT, RUNNER = "HVD_JOB", "HVD_ATTEMPT", "HVD_RUNNER"

_ATTEMPTS = 31  # bits of a limit that tell a runner's attempts apart; those above are the runner's

ROUNDS = (0.0, 0.02, 0.1, 0.3)
"""Seconds before each look: a process that forks while it is looked for is found by the next one."""

LISTED = 0.01  # s between looks at what was killed: it is listed until it is gone
VAIN_LOOKS = 20  # at nothing new: what waits for a dead disk goes only when that answers, but executes nothing before


def mark_of(pid: int, name: str) -> str | None:
    """The value of that variable in the environment of a process; None where it has none, or can't be read."""
    prefix = f"{name}=".encode()
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for entry in file.read().split(b"\0"):
                if entry.startswith(prefix):
                    return entry[len(prefix) :].decode("utf-8", "replace")
    except OSError:
        pass
    return None


def runner_bits(runner: str) -> int:
    """What the limits of all attempts of a runner begin with."""
    return 1 << 30 | zlib.crc32(runner.encode()) & (1 << 30) - 1


def limit_for(runner: str, number: int) -> int:
    """The limit that marks this runner's attempt of that number."""
    return runner_bits(runner) << _ATTEMPTS | number & (1 << _ATTEMPTS) - 1


@contextlib.contextmanager
def limited(limit: int) -> Iterator[None]:
    """What is started meanwhile has that limit; not where an administrator has set a lower one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_RTTIME, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))


def limit_of(pid: int) -> int:
    """The limit that a process has (proc(5), limits), which any user may read; 0 where it has none."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/limits", encoding="ascii") as file:
        for line in file:
            if line.startswith("Max realtime timeout"):
                return int(line.split()[3])
    return 0


def is_of(pid: int, runner: str) -> bool:
    """Whether a process has the limit of an attempt of that runner, and can still execute something."""
    return limit_of(pid) >> _ATTEMPTS == runner_bits(runner) and is_alive(pid)


def children() -> set[int]:
    """Pids of this process's children, those included that were left to it (proc(5), task/TID/children)."""
    pids: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
            pids.update(map(int, file.read().split()))
    return pids


def kill(pid: int, is_meant: Callable[[int], bool]) -> bool:
    """SIGKILL for the process of that pid, if it is still one that is meant once it can't be mistaken any more."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if is_meant(pid):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return True
    except OSError:
        pass
    finally:
        os.close(pidfd)
    return False


def end_children(own: set[int], is_stray: Callable[[int], bool]) -> bool:
    """Reap this process's children that have ended, but for its `own`, and kill the strays among the others.

    True where one was killed: it is still to be reaped.
    """
    has_killed = False
    for pid in children() - own:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0) and kill(pid, is_stray):
                has_killed = True
    return has_killed


def kill_all_of(runner_id: str, pause: Callable[[float], None] = time.sleep) -> int:
    """End whatever a runner that is gone has started, and what that has started -> how many processes.

    `pause` waits so many seconds.
    """

    def is_meant(pid: int) -> bool:
        return mark_of(pid, RUNNER) == runner_id or is_of(pid, runner_id)

    killed: set[int] = set()
    for seconds in ROUNDS:
        pause(seconds)
        vain_looks = 0
        while vain_looks < VAIN_LOOKS and (pids := {pid for pid in _pids() if is_meant(pid) and kill(pid, is_meant)}):
            if pids <= killed:  # all of them were killed before, and are still on their way out
                vain_looks += 1
            killed |= pids
            pause(LISTED)
    return len(killed)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())
