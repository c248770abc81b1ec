"""Processes that a job left behind: known by what they inherit, whatever parent, group or session they have now.

Each process of a job has HVD_JOB, HVD_ATTEMPT and HVD_RUNNER in the environment that it was started with (proc(5),
environ). A program may overwrite or drop its environment, so each attempt has a soft limit of its own as well: of the
CPU time under real-time scheduling (RLIMIT_RTTIME, getrlimit(2)), which all its processes inherit and none reaches, as
it is 70,000 years. A process of another user can't be ended: a program that changes its user is out of reach.
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

_RUNNER_BITS, _ATTEMPT_BITS = 30, 31  # of a limit: the upper ones are the same for a runner's attempts

ROUNDS = (0.0, 0.02, 0.1, 0.3)
"""Seconds before each look for processes: what is forked during a look is seen by the next one."""

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
    """The upper bits of the limits of all attempts of a runner; the first of them is 1."""
    return (1 << _RUNNER_BITS) + zlib.crc32(runner.encode()) % (1 << _RUNNER_BITS)


def limit_for(runner: str, number: int) -> int:
    """The limit that marks this runner's attempt of that number."""
    return (runner_bits(runner) << _ATTEMPT_BITS) + number % (1 << _ATTEMPT_BITS)


@contextlib.contextmanager
def limited(limit: int) -> Iterator[None]:
    """Processes that are started meanwhile have that limit, unless an administrator has set a lower one."""
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
    return limit_of(pid) >> _ATTEMPT_BITS == runner_bits(runner) and is_alive(pid)


def children() -> set[int]:
    """Pids of this process's children, those included that were left to it (proc(5), task/TID/children)."""
    pids: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
            pids.update(map(int, file.read().split()))
    return pids


def kill(pid: int, is_target: Callable[[int], bool]) -> bool:
    """SIGKILL for the process of that pid, if `is_target` still holds once a descriptor stands for the process.

    True where it was sent. Raises nothing: the pid may be another process's by now, or nobody's.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if is_target(pid):
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
    """End all processes that a runner which is gone has started, and theirs -> how many.

    `pause` waits so many seconds.
    """

    def is_target(pid: int) -> bool:
        return mark_of(pid, RUNNER) == runner_id or is_of(pid, runner_id)

    killed: set[int] = set()
    for seconds in ROUNDS:
        pause(seconds)
        vain_looks = 0
        while vain_looks < VAIN_LOOKS and (pids := {pid for pid in _pids() if is_target(pid) and kill(pid, is_target)}):
            if pids <= killed:  # all of them were killed before, and are still on their way out
                vain_looks += 1
            killed |= pids
            pause(LISTED)
    return len(killed)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())
