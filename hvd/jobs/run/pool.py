"""The attempts that run: started, ended, and kept until the database has how they ended."""

import asyncio
import errno
import os
from collections.abc import Iterable, Mapping

from hvd.core.descriptors import LACKS
from hvd.jobs import transcript
from hvd.jobs.database.ends import End
from hvd.jobs.job import Job
from hvd.jobs.run import strays
from hvd.jobs.run.attempt import Attempt
from hvd.jobs.run.context import Context
from hvd.jobs.run.guard_process import GuardProcess
from hvd.jobs.run.pump import Pump
from hvd.jobs.run.schedule import Room
from hvd.jobs.run.start_log import StartLog
from hvd.jobs.states import FAILED


class ResourcesLackingError(Exception):
    """The machine lacks a resource that the start of a process needs: no fault of the job's. Its text names it."""


class AttemptPool:
    """By job id: attempts that are `running`, `ends` of others, and in `moved` the jobs whose progress has changed.

    What the database has is taken out of `ends` and `moved`. For the event loop's thread.
    """

    def __init__(self, context: Context, start_log: StartLog, guard: GuardProcess, environ: Mapping[str, str]) -> None:
        self.running: dict[str, Attempt] = {}
        self.ends: dict[str, End] = {}
        self.moved: set[str] = set()
        self._context = context
        self._start_log = start_log
        self._guard = guard
        self._environ = {**environ, strays.RUNNER: context.queue.runner.id}  # of jobs
        self._pump = Pump(asyncio.get_running_loop())

    def room(self, claimed: Iterable[Job] = ()) -> Room:
        """The room beside what runs and what is claimed."""
        jobs = [job.kind for job in claimed]
        jobs += [attempt.job.kind for attempt in self.running.values()]
        return Room.beside(jobs, self._context.options.kinds, self._context.options.concurrency)

    def start(self, job: Job) -> None:
        """Start an attempt, or note that it failed where it can't be started. Raises ResourcesLackingError."""
        try:
            self.running[job.id] = attempt = self._execute(job)
            self._guard.add(attempt.pid)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in (*LACKS, errno.EAGAIN):
                raise ResourcesLackingError(str(error.strerror)) from None
            self.ends[job.id] = End(job.id, job.attempt, FAILED, None, _why(error), "", 0.0, may_retry=True)
            self._context.reason.set()

    def _execute(self, job: Job) -> Attempt:
        options = self._context.options
        kind = options.kinds.get(job.kind)
        if kind is None:  # a reload came in between
            raise ValueError(f"kind {job.kind} is not declared any more")
        if self._start_log.is_full:
            self._start_log.begin((attempt.job.id, attempt.job.attempt) for attempt in self.running.values())
        self._start_log.note(job.id, job.attempt)
        attempt = Attempt(
            job,
            kind,
            pump=self._pump,
            recorder=transcript.Recorder(self._context.outputs, job.id, job.attempt, options.output_limit),
            grace=options.grace,
            changed=self._note_progress,
            ended=self._note_end,
        )
        attempt.start(self._environ)
        return attempt

    def _note_progress(self, attempt: Attempt) -> None:
        self.moved.add(attempt.job.id)
        if len(self.moved) == 1:
            self._context.reason.set()

    def _note_end(self, attempt: Attempt) -> None:
        job_id = attempt.job.id
        del self.running[job_id]
        self._guard.drop(attempt.pid)
        self.moved.discard(job_id)
        self.ends[job_id] = attempt.as_end()
        self._context.reason.set()

    def cancel(self, job_ids: Iterable[str]) -> None:
        """End those of them that run."""
        for job_id in job_ids:
            if job_id in self.running:
                self.running[job_id].cancel()

    def end_all(self, why: str, grace: float | None = None) -> None:
        """End all that run; within so many s, or within the usual time."""
        for attempt in list(self.running.values()):
            attempt.end(why, grace=grace)

    async def empty(self) -> None:
        """Wait until nothing runs."""
        while self.running:
            self._context.reason.clear()
            await self._context.reason.wait()

    def sweep(self) -> bool:
        """End and reap what jobs that are over have left: as a subreaper (prctl(2)) the runner is its parent now.

        True where some of it was still to be ended.
        """
        limits = {attempt.limit for attempt in self.running.values()}
        session, runner_id = os.getsid(0), self._context.queue.runner.id

        def is_stray(pid: int) -> bool:
            if strays.is_of(pid, runner_id):
                return strays.limit_of(pid) not in limits
            if mark := strays.mark_of(pid, strays.JOB):  # where a limit could not be set
                attempt = self.running.get(mark)
                return attempt is None or strays.mark_of(pid, strays.ATTEMPT) != attempt.marks[strays.ATTEMPT]
            return not self.running and os.getsid(pid) != session  # it has dropped its environment

        own = {attempt.pid for attempt in self.running.values()} | self._guard.pids
        return strays.end_children(own, is_stray)

    def close(self) -> None:
        """End the thread that reads what jobs print. Not while any run."""
        self._pump.close()


def _why(error: OSError | ValueError) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{error.strerror}: {error.filename}"
    return "could not be started: " + "".join(char if char.isprintable() else "\ufffd" for char in text)
