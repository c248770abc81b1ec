"""One attempt of a job: a process group of its own, from its start until nothing of it is left.

Runs in the runner's event loop. Whether the job's process lives is told by a pidfd (pidfd_open(2)).
"""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping

from hvd.core.descriptors import limit_at_start
from hvd.jobs.database.queue import End
from hvd.jobs.job import Job
from hvd.jobs.output import Output
from hvd.jobs.run import strays
from hvd.jobs.run.pump import Pump, Stream
from hvd.jobs.states import CANCELLED, COMPLETED, FAILED
from hvd.jobs.transcript import Recorder
from hvd.settings.job_kinds import Kind

log = logging.getLogger("hvd.jobs")

_numbers = itertools.count(1)

REST_WAIT = 2.0  # s that the end of the output may take to be read and kept: a disk that hangs holds up no job's end
LOOK = 0.02  # s between looks at whether a group that was told to end is empty


class Attempt:
    """One attempt. `changed` is called when the progress moved, `ended` once, when nothing of the group is left.

    What it prints is read by `pump` and kept by `recorder`; where that fails, the job goes on.
    """

    def __init__(
        self,
        job: Job,
        kind: Kind,
        *,
        pump: Pump,
        recorder: Recorder,
        grace: float,
        changed: Callable[["Attempt"], None],
        ended: Callable[["Attempt"], None],
    ) -> None:
        self.job = job
        self.pid = 0
        self.limit = 0  # marks what belongs to it, see strays.py
        self.exit_code: int | None = None
        self.seconds = 0.0  # that it lasted
        self._began = 0.0
        self._kind = kind
        self._grace = grace
        self._changed, self._ended = changed, ended
        self._output = Output(kind.progress)
        self._loop = asyncio.get_running_loop()
        self._pidfd = -1
        self._pump, self._recorder = pump, recorder
        self._keeps = True  # false once the recorder failed
        self._stream: Stream | None = None
        self._is_closing = self._is_over = False
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
        output, end = os.pipe2(os.O_CLOEXEC)
        try:
            self._stream = self._pump.add(output, self._take, self._recorder.close)
            self._execute(environ, end)
        finally:
            os.close(end)  # where nothing was started, the pump sees the pipe's end
        self._loop.add_reader(self._pidfd, self._exited)
        if self._kind.timeout:
            self._timer = self._loop.call_later(self._kind.timeout, self._time_out)

    def _execute(self, environ: Mapping[str, str], output: int) -> None:
        self.limit = strays.limit_for(environ.get(strays.RUNNER, ""), next(_numbers))
        self._began = time.monotonic()  # before it: on a busy machine a job may be over when Popen returns
        with strays.limited(self.limit):
            process = self._popen(environ, output)
        self.pid = process.pid
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except OSError:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        process.returncode = 0  # reaped below, by the pidfd

    def _popen(self, environ: Mapping[str, str], output: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._kind.argv(self.job.params, is_first=self.job.attempt <= 1),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=self._kind.cwd,
            env={**environ, **self._kind.env, **_marks(environ), **self.marks},
            start_new_session=True,
            restore_signals=True,
            preexec_fn=limit_at_start(),  # of one system call: threads of the runner may hold any lock
        )

    def _time_out(self) -> None:
        self.end(f"timed out after {self._kind.timeout:g} s")

    def cancel(self) -> None:
        """End it, because somebody asked for that."""
        self.end("cancelled", CANCELLED)

    def end(self, why: str, status: str = FAILED, *, grace: float | None = None) -> None:
        """SIGTERM for the group, and SIGKILL after the grace time (s); `why` is kept as the error."""
        grace = self._grace if grace is None else grace
        if self._is_closing:
            return
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

    def _take(self, data: bytes) -> None:
        """In the pump's thread."""
        before = self._output.percent
        self._output.feed(data)
        if self._output.percent != before:
            self._loop.call_soon_threadsafe(self._changed, self)
        if not self._keeps:
            return
        try:
            self._recorder.write(data)
        except OSError as error:
            self._keeps = False
            self._recorder.close()
            log.warning("output of job %s is not kept any further: %s", self.job.id, error.strerror)

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
        self.seconds = time.monotonic() - self._began
        self._is_closing = True
        assert self._stream is not None
        self._pump.finish(self._stream, self._over)
        self._timer = self._loop.call_later(REST_WAIT, self._over)

    def _over(self) -> None:
        if self._timer:
            self._timer.cancel()
        if not self._is_over:
            self._is_over = True
            self._ended(self)

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
