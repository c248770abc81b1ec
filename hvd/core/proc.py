"""What the kernel tells of a process: when it started, whether it lives (proc(5), /proc/pid/stat); dying with it."""

import contextlib
import os
import signal
import time
from typing import Any

from hvd.core.libc import ctypes
from hvd.errors import CannotStart

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG = 1, 2  # linux/prctl.h
_STAT = 4096  # bytes of it that are read; the 52 numbers of a stat file have at most 1,200
_FIELDS = 20  # that are taken apart, from the third on; then the rest

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37


def prctl(option: int, argument: int) -> None:
    """Set an attribute of this process (prctl(2)). Raises OSError where a sandbox refuses it."""
    _prctl(option, ctypes.c_ulong(argument))


def _prctl(option: int, argument: Any) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument, *[ctypes.c_ulong(0)] * 3):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}) is refused: {os.strerror(number)}")


def die_with_parent(parent: int, signum: int) -> None:
    """Have the kernel send this process a signal when its parent ends (prctl(2)); now, if it has ended already.

    The setting is lost at a change of user, so it comes after that. Raises OSError.
    """
    prctl(PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        os.kill(os.getpid(), signum)


def require_system_calls() -> None:
    """Raises CannotStart where the kernel is too old for what hvd can't do without, or a sandbox refuses it.

    Checked at the start: later, a companion could not be supervised, or a worker would outlive its master.
    """
    try:
        what = "pidfd_open(2)"
        pidfd = os.pidfd_open(os.getpid())
        try:
            what = "pidfd_send_signal(2)"
            signal.pidfd_send_signal(pidfd, 0)
            what = "waitid(2) with P_PIDFD"
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        finally:
            os.close(pidfd)
        what = "prctl(2)"
        for get, set_ in ((PR_GET_PDEATHSIG, PR_SET_PDEATHSIG), (PR_GET_CHILD_SUBREAPER, PR_SET_CHILD_SUBREAPER)):
            now = ctypes.c_int()
            _prctl(get, ctypes.byref(now))
            prctl(set_, now.value)
    except OSError as error:
        raise CannotStart(
            f"{what} does not work here ({error.strerror}): hvd needs Linux 5.4 or newer, and a sandbox (seccomp) "
            "that allows it"
        ) from None


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 if there is none, or none that can be looked at.

    A pid and this name one process.
    """
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def is_alive(pid: int, started: int = 0) -> bool:
    """True if the process exists, is no zombie, and, where `started` is given, is the one that started then."""
    fields = _stat(pid)
    if not fields:
        return exists(pid)
    return fields[0] not in "ZX" and started in (0, int(fields[19]))


def is_stopped(pid: int) -> bool:
    """True if a signal (SIGSTOP, SIGTSTP) has stopped the process."""
    fields = _stat(pid)
    return fields[:1] == ["T"]


def queued_seconds(pid: int) -> float:
    """How long the process's first thread was ready to run, and had no processor; 0.0 where that can't be read."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):  # gone, hidden, or a kernel without CONFIG_SCHED_INFO
        return 0.0


def unix_time(ticks: int) -> float:
    """The Unix time in s of a moment in clock ticks since boot (see `start_ticks`), by the clock as it is set now."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields from the third on; what is before them may hold spaces and brackets. Index 19 is the start time.

    Empty where there is no such process, or none that can be looked at: another user's (hidepid), or no descriptor is
    free for it.
    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)  # half the time of a file object: 6 µs
    except OSError:
        return []
    try:
        return os.read(fd, _STAT).decode("latin-1").rpartition(")")[2].split(maxsplit=_FIELDS)
    except OSError:  # it has ended since
        return []
    finally:
        os.close(fd)


def exists(pid: int) -> bool:
    """True if there is such a process, alive, a zombie, or hidden in /proc; 0 and below would be whole groups."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
