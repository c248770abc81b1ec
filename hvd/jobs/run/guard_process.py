"""The runner's side of its guard (guard.py): keeps one alive, and writes to it which process groups run."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable

from hvd.companion.options import inherited_fds
from hvd.jobs.run.guard import DONE

DONE_WAIT = 1.0  # s that the guard may take to end at DONE


class GuardProcess:
    """The guard of the runner with this id, for one thread. Only `dismiss` waits."""

    def __init__(self, runner_id: str) -> None:
        self._runner_id = runner_id
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> set[int]:
        """Its pid, if it was started."""
        return {self.process.pid} if self.process else set()

    def keep(self, groups: Iterable[int]) -> None:
        """Start another one if none lives, for the groups that run now. Raises OSError."""
        if self.process and self.process.poll() is None:
            return
        if self.process and self.process.stdin:
            self.process.stdin.close()
        command = [sys.executable, "-P", "-m", "hvd.jobs.run.guard", self._runner_id]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True, pass_fds=inherited_fds()
        )
        assert self.process.stdin is not None
        os.set_blocking(self.process.stdin.fileno(), False)
        self._write(b"".join(b"+%d\n" % group for group in groups))

    def add(self, group: int) -> None:
        """Note that this process group runs from now on."""
        self._write(b"+%d\n" % group)

    def drop(self, group: int) -> None:
        """Note that it has ended."""
        self._write(b"-%d\n" % group)

    def _write(self, text: bytes) -> None:
        if self.process and self.process.stdin and text:
            with contextlib.suppress(BrokenPipeError):  # somebody killed it, a moment ago
                if self.process.stdin.write(text) is None:  # the pipe is full, it is stopped: `keep` starts another
                    self.process.kill()

    def dismiss(self) -> None:
        """End the guard: nothing that the runner has started runs any more."""
        if self.process and self.process.stdin:
            self._write(DONE)
            self.process.stdin.close()
            try:
                self.process.wait(DONE_WAIT)
            except subprocess.TimeoutExpired:  # somebody has stopped it
                self.process.kill()
                self.process.wait()
