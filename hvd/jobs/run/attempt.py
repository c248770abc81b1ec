"""One attempt of a job: its process group, from its start until nothing of it is left, and what it prints.

Runs in the runner's event loop.
"""

import asyncio
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping

from hvd.jobs.database.ends import End
from hvd.jobs.job import Job
from hvd.jobs.output import Output
from hvd.jobs.run import strays
from hvd.jobs.run.group import ProcessGroup
from hvd.jobs.run.pump import Pump, Stream
from hvd.jobs.states import CANCELLED, COMPLETED, FAILED
from hvd.jobs.transcript import Recorder
from hvd.settings.job_kinds import Kind

log = logging.getLogger("hvd.jobs")

_numbers = itertools.count(1)

REST_WAIT = 2.0  # s that the end of the output may take to be read and kept: a disk that hangs holds up no job's end
GROUP_PAUSE = 0.02  # s between looks at whether a group that was terminated is empty


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
        self.limit = 0  # marks what belongs to it, see strays.py
        self.exit_code: int | None = None
        self.seconds = 0.0  # that it lasted
        self._began = 0.0
        self._kind = kind
        self._grace = grace
        self._changed, self._ended = changed, ended
        self._output = Output(kind.progress)
        self._loop = asyncio.get_running_loop()
        self._group: ProcessGroup | None = None  # set by `start`
        self._pump, self._recorder = pump, recorder
        self._is_recorded = True  # false once the recorder failed
        self._stream: Stream | None = None
        self._is_closing = self._is_over = False
        self._why, self._status = "", FAILED  # with which `end` was called; empty where the job ends by itself
        self._deadline = 0.0  # monotonic s: after `end`, when what is left of the group is killed
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """Of its command, and of its group; 0 before it was started."""
        return self._group.pid if self._group else 0

    @property
    def percent(self) -> float:
        """The progress that the job has printed last."""
        return self._output.percent

    @property
    def marks(self) -> dict[str, str]:
        """The variables by which the processes of this attempt are known."""
        return {strays.JOB: self.job.id, strays.ATTEMPT: str(self.job.attempt)}

    def start(self, environ: Mapping[str, str]) -> None:
        """Execute the kind's command. Raises OSError, ValueError where that can't be."""
        output, end = os.pipe2(os.O_CLOEXEC)
        try:
            self._stream = self._pump.add(output, self._take, self._recorder.close)
            self._group = self._execute(environ, end)
        finally:
            os.close(end)  # where nothing was started, the pump sees the pipe's end
        self._loop.add_reader(self._group.pidfd, self._reap, self._group)
        if self._kind.timeout:
            self._timer = self._loop.call_later(self._kind.timeout, self._time_out)

    def _execute(self, environ: Mapping[str, str], output: int) -> ProcessGroup:
        self.limit = strays.limit_for(environ.get(strays.RUNNER, ""), next(_numbers))
        own = {name: text for name, text in environ.items() if name.startswith("HVD_")}  # no kind may hide these
        command = self._kind.argv(self.job.params, is_first=self.job.attempt <= 1)
        self._began = time.monotonic()  # before it: on a busy machine a job may be over when Popen returns
        return ProcessGroup(
            command,
            output=output,
            cwd=self._kind.cwd,
            env={**environ, **self._kind.env, **own, **self.marks},
            limit=self.limit,
        )

    def _time_out(self) -> None:
        self.end(f"timed out after {self._kind.timeout:g} s")

    def cancel(self) -> None:
        """End it: a client has cancelled the job."""
        self.end("cancelled", CANCELLED)

    def end(self, why: str, status: str = FAILED, *, grace: float | None = None) -> None:
        """SIGTERM for the group, and SIGKILL after the grace time (s); `why` is kept as the error.

        The first reason counts, and the shortest grace time. Nothing happens to one that is over, or never started.
        """
        grace = self._grace if grace is None else grace
        group = self._group
        if group is None or self._is_closing:
            return
        if self._why:
            if time.monotonic() + grace < self._deadline:
                self._deadline = time.monotonic() + grace
                self._set_timer(grace, self._kill if group.pidfd >= 0 else self._close_group)
            return
        if group.pidfd < 0:
            return
        self._why, self._status = why, status
        self._deadline = time.monotonic() + grace
        group.send(signal.SIGTERM)
        group.send(signal.SIGCONT)  # one that is stopped could not end
        self._set_timer(grace, self._kill)

    def _kill(self) -> None:
        self._deadline = 0.0
        if self._group:
            self._group.send(signal.SIGKILL)

    def _set_timer(self, seconds: float, work: Callable[[], None]) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, work)

    def _take(self, data: bytes) -> None:
        """In the pump's thread."""
        before = self._output.percent
        self._output.feed(data)
        if self._output.percent != before:
            self._loop.call_soon_threadsafe(self._changed, self)
        if not self._is_recorded:
            return
        try:
            self._recorder.write(data)
        except OSError as error:
            self._is_recorded = False
            self._recorder.close()
            log.warning("output of job %s is not kept any further: %s", self.job.id, error.strerror)

    def _reap(self, group: ProcessGroup) -> None:
        """Reap the job's own process, which ends the job: what is left of its group is killed."""
        self._loop.remove_reader(group.pidfd)
        if not self._why:
            group.send(signal.SIGKILL)  # before the pid is free: it might become another group's
        self.exit_code = group.reap()
        self._close_group()

    def _close_group(self) -> None:
        """Kill what is left of a terminated group once its grace time is over."""
        assert self._group is not None
        assert self._stream is not None
        if self._why and self._group.is_alive():
            if time.monotonic() < self._deadline:
                self._set_timer(GROUP_PAUSE, self._close_group)
                return
            self._group.send(signal.SIGKILL)
        if self._timer:
            self._timer.cancel()
        self.seconds = time.monotonic() - self._began
        self._is_closing = True
        self._pump.finish(self._stream, self._over)
        self._timer = self._loop.call_later(REST_WAIT, self._over)

    def _over(self) -> None:
        if self._timer:
            self._timer.cancel()
        if not self._is_over:
            self._is_over = True
            self._ended(self)

    def as_end(self) -> End:
        """How it ended, for the queue."""
        status, error = COMPLETED, ""
        if self._why:
            status, error = self._status, self._why
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


def _exit_text(code: int) -> str:
    if code > 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
