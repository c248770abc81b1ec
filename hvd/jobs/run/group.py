"""The processes of one attempt: its command, which leads a session and a process group of its own."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from hvd.core.descriptors import limit_at_start
from hvd.jobs.run import strays
from hvd.jobs.run.oom import first_victims


class ProcessGroup:
    """A command that was started, and its group, which both have the number `pid`.

    `pidfd` (pidfd_open(2)) is readable once the command has ended, and -1 once `reap` has been called.
    """

    def __init__(
        self, command: Sequence[str], *, output: int, cwd: str | None, env: Mapping[str, str], limit: int
    ) -> None:
        """Execute the command, with the descriptor `output` for what it prints and a limit for a mark, see strays.py.

        Raises OSError, ValueError.
        """
        with strays.limited(limit), first_victims():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=env,
                start_new_session=True,
                restore_signals=True,
                preexec_fn=limit_at_start(),  # of one system call: threads of the runner may hold any lock
            )
        self.pid = process.pid
        try:
            self.pidfd = os.pidfd_open(process.pid)
        except OSError:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        process.returncode = 0  # `reap` is for that

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the group, if there is any of it that may get one."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)

    def reap(self) -> int:
        """Reap the command, which has ended -> its exit status, or less than 0: the signal that killed it."""
        exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.pidfd)
        self.pidfd = -1
        return exit_code

    def is_alive(self) -> bool:
        """Whether a process of the group is left; children of this process that have ended are reaped before."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # what is left of it has become another user's
            pass
        return True
