"""One attempt of a job: a process group of its own, from its start until nothing of it is left.

Runs in the runner's event loop. Whether the job's process lives is told by a pidfd (pidfd_open(2)).
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import IO

from hvd.core.descriptors import limit_at_start
from hvd.jobs import strays
from hvd.jobs.kinds import Kind
from hvd.jobs.output import Output
from hvd.jobs.queue import End
from hvd.jobs.states import CANCELLED, COMPLETED, FAILED
from hvd.jobs.store import Job

READ = 64 * 1024  # bytes read at a time
FLOOD_PAUSE = 0.02  # s between two reads that each gave all that was asked for
REST = 16  # reads at the end: a pipe holds one by default, and at most 1 MiB
LOOK = 0.02  # s between looks at whether a group that was told to end is empty


class Attempt:
    """One attempt. `changed` is called when the progress moved, `ended` once, when nothing of the group is left."""

    def __init__(
        self,
        job: Job,
        kind: Kind,
        *,
        grace: float,
        changed: Callable[["Attempt"], None],
        ended: Callable[["Attempt"], None],
    ) -> None:
        self.job = job
        self.pid = 0
        self.exit_code: int | None = None
        self.seconds = 0.0  # that it lasted
        self._began = 0.0
        self._kind = kind
        self._grace = grace
        self._changed, self._ended = changed, ended
        self._output = Output(kind.progress)
        self._loop = asyncio.get_running_loop()
        self._pidfd = -1
        self._pipe: IO[bytes] | None = None
        self._why, self._told = "", FAILED  # why it was told to end, and as what; empty where it ends by itself
        self._deadline = 0.0  # when what was told to end is killed
        self._timer: asyncio.TimerHandle | None = None

    @property
    def percent(self) -> float:
        """The progress that the job told last."""
        return self._output.percent

    @property
    def marks(self) -> dict[str, str]:
        """What tells the processes of this attempt from those of any other."""
        return {strays.JOB: self.job.id, strays.ATTEMPT: str(self.job.attempt)}

    def start(self, environ: Mapping[str, str]) -> None:
        """Execute the kind's command. Raises OSError, ValueError where that can't be."""
        process = subprocess.Popen(
            self._kind.argv(self.job.params, is_first=self.job.attempt <= 1),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._kind.cwd,
            env={**environ, **self._kind.env, **_marks(environ), **self.marks},
            start_new_session=True,
            bufsize=0,
            restore_signals=True,
            preexec_fn=limit_at_start(),  # of one system call: threads of the runner may hold any lock
        )
        self.pid, self._began = process.pid, time.monotonic()
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except OSError:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        process.returncode = 0  # reaped below, by the pidfd
        self._pipe = process.stdout
        assert self._pipe is not None
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read)
        self._loop.add_reader(self._pidfd, self._exited)
        if self._kind.timeout:
            self._timer = self._loop.call_later(self._kind.timeout, self._time_out)

    def _time_out(self) -> None:
        self.end(f"timed out after {self._kind.timeout:g} s")

    def cancel(self) -> None:
        """End it, because somebody asked for that."""
        self.end("cancelled", CANCELLED)

    def end(self, why: str, status: str = FAILED, *, grace: float | None = None) -> None:
        """SIGTERM for the group, and SIGKILL after the grace time (s); `why` is kept as the error."""
        grace = self._grace if grace is None else grace
        if self._why:
            if time.monotonic() + grace < self._deadline:  # there is less time than there was
                self._deadline = time.monotonic() + grace
                self._set_timer(grace, self.kill if self._pidfd >= 0 else self._close_group)
            return
        if self._pidfd < 0:
            return
        self._why, self._told = why, status
        self._deadline = time.monotonic() + grace
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # one that is stopped could not end
        self._set_timer(grace, self.kill)

    def kill(self) -> None:
        """SIGKILL for the group, now."""
        self._deadline = 0.0
        self._signal(signal.SIGKILL)

    def _set_timer(self, seconds: float, work: Callable[[], None]) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, work)

    def _signal(self, signum: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)

    def _read(self) -> None:
        pipe = self._pipe
        if pipe is None:
            return
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(pipe.fileno(), READ)
            if not data:
                self._close_pipe()
                return
        if len(data) == READ and self._pidfd >= 0:  # a flood: the full pipe slows the job, not the runner
            self._loop.remove_reader(pipe.fileno())
            self._loop.call_later(FLOOD_PAUSE, self._read_on)
        before = self._output.percent
        self._output.feed(data)
        if self._output.percent != before:
            self._changed(self)

    def _read_on(self) -> None:
        if self._pipe is not None:
            self._loop.add_reader(self._pipe.fileno(), self._read)

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._pipe = None

    def _exited(self) -> None:
        """The job's own process is over, and so is the job: what is left of its group has no more to do."""
        self._loop.remove_reader(self._pidfd)
        if not self._why:
            self._signal(signal.SIGKILL)  # before the pid is free: it might become another group's
        self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._pidfd)
        self._pidfd = -1
        self._close_group()

    def _close_group(self) -> None:
        """The rest of a group that was told to end has its grace time too, then it is killed."""
        if self._why and self._group_lives():
            if time.monotonic() < self._deadline:
                self._set_timer(LOOK, self._close_group)
                return
            self._signal(signal.SIGKILL)
        if self._timer:
            self._timer.cancel()
        self._read_rest()
        self.seconds = time.monotonic() - self._began
        self._ended(self)

    def _read_rest(self) -> None:
        for _ in range(REST):
            self._read()
        self._close_pipe()

    def _group_lives(self) -> bool:
        """True while a process of the group is left; one that has ended and was left to us is reaped, so it isn't."""
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

    def as_end(self) -> End:
        """How it ended, for the queue."""
        status, error = COMPLETED, ""
        if self._why:
            status, error = self._told, self._why
        elif self.exit_code:
            status, error = FAILED, _exit_text(self.exit_code)
        return End(
            self.job.id,
            self.job.attempt,
            status,
            self.exit_code,
            error,
            self._output.tail(),
            100.0 if status == COMPLETED else self.percent,
            may_retry=status == FAILED,
            seconds=self.seconds,
        )


def _marks(environ: Mapping[str, str]) -> dict[str, str]:
    """What processes of jobs are found by: a kind's own variables can't hide it."""
    return {name: text for name, text in environ.items() if name.startswith("HVD_")}


def _exit_text(code: int) -> str:
    if code > 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
