"""The job runner: takes jobs from the queue, runs them, and tells how they are.

One loop, one turn after the other: what the database is asked runs in a thread, everything else in the event loop. A
turn comes when there is a reason (a submission or cancellation, an end, a retry that is due), and otherwise seldom.
"""

import asyncio
import contextlib
import errno
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hvd.core.descriptors import LACKS
from hvd.errors import JobsError
from hvd.jobs import transcript
from hvd.jobs.database.queue import PRUNED_AT_ONCE, End, Queue
from hvd.jobs.database.threads import DatabaseThreads, Task, unanswered
from hvd.jobs.events import Events
from hvd.jobs.job import Job, Json
from hvd.jobs.options import RunnerOptions
from hvd.jobs.run import strays
from hvd.jobs.run.attempt import Attempt
from hvd.jobs.run.guard_process import GuardProcess
from hvd.jobs.run.pump import Pump
from hvd.jobs.run.started import Started
from hvd.jobs.states import CANCELLED, FAILED, PENDING

Result = TypeVar("Result")

log = logging.getLogger("hvd.jobs")

LOCAL_TURN, SHARED_TURN = 2.0, 1.0  # s between turns without a reason; of a shared queue, others' jobs are seen then
PROGRESS_PAUSE = 0.5  # s between two writes of the progress to the database, each of which is told
FIGURES_PAUSE = 0.1  # s between two readings of the counts
BUSY_FIGURES_PAUSE = 0.5  # s, while jobs end one after the other: a reading takes as long as several of them
OTHERS_FIGURES_PAUSE = 2.0  # s until the counts are read again for what other runners did
PRUNE_PAUSE = 600.0
EXCHANGES = 0.1  # s that exchanges may follow each other in one turn
TROUBLE_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)  # s until a database that failed is tried again
ANSWER = 10.0  # s that the database may take for one of our questions, of a few statements each
LACK_PAUSE = 1.0  # s
LEASE_MARGIN = 0.7  # of a lease that could not be renewed: then the jobs are ended, before another machine starts them


class Runner:
    """Runs jobs until told to stop. All of it in one event loop."""

    def __init__(
        self,
        queue: Queue,
        options: RunnerOptions,
        *,
        environ: Mapping[str, str],
        events: Events,
        publish: Callable[[Json], None],
        figures: Json | None = None,
    ) -> None:
        """`figures` are those that the runner before published: they are told until there are others."""
        self.options = options
        self.stop_grace: float | None = None  # s that jobs get when the runner is stopped; None: the usual
        self._environ = environ  # of jobs
        self._queue = queue
        self._events = events
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._pump = Pump(self._loop)
        self._outputs = Path(options.state_dir) / transcript.FOLDER
        self._database = DatabaseThreads(1)
        self._started = Started(options.state_dir, queue.runner.id)
        self._reason = asyncio.Event()
        self._running: dict[str, Attempt] = {}
        self._ends: dict[str, End] = {}  # not noted in the database yet
        self._moved: set[str] = set()  # whose progress is not noted there yet
        self._figures_wanted = True
        self._claimed, self._lack = 0, ""
        self._undeclared: set[str] = set()  # kinds of pending jobs that were told of
        self._renewed = self._noted = self._pruned = self._counted = float("-inf")
        self._figures = figures or {}
        self._trouble = self._logged_trouble = ""  # what strangers may read of it, and what the log has
        self._failures = 0
        self._guard = GuardProcess(queue.runner.id)

    def wake(self) -> None:
        """Something was submitted or cancelled."""
        self._figures_wanted = True
        self._reason.set()

    def take(self, options: RunnerOptions) -> None:
        """Go on with these options; jobs that run go on as they were started."""
        self.options = options
        self._queue.lease = options.lease
        self._undeclared.clear()
        self.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Take and run jobs until told to stop; then end what runs, and note how."""
        self._started.begin()
        self._watch_lease()
        stop = asyncio.create_task(stopping.wait())
        stop.add_done_callback(lambda _: self._reason.set())
        while not stopping.is_set():
            self._reason.clear()
            await self._turn()
            if not self._reason.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._reason.wait(), await self._rest())
        await self._stop()

    # ---- one turn

    async def _turn(self) -> None:
        try:
            self._guard.keep(attempt.pid for attempt in self._running.values())
            self._sweep()
            await self._hold_lease()
            await self._exchange()
            await self._note_progress()
            await self._look()
        except JobsError as error:
            self._note_trouble(str(error), error.public)
        except Exception as error:  # of ours: to end here would end every job that runs
            if not self._trouble:
                log.exception("a turn of the job runner failed")
            why = f"the job runner failed ({type(error).__name__}); its log says more"
            self._note_trouble(why, why)
        else:
            self._note_recovery()

    async def _ask(self, work: Callable[[], Result]) -> Result:
        result: Result = await self._answer(self._database.start(work))
        return result

    async def _answer(self, task: Task) -> Any:
        asked = asyncio.wrap_future(task.future, loop=self._loop)
        await asyncio.wait([asked], timeout=ANSWER)
        if not asked.done():
            self._database.give_up(task)
            asked.add_done_callback(asyncio.Future.exception)  # which nobody else looks at
            raise unanswered(ANSWER)
        return asked.result()

    async def _rest(self) -> float:
        """Seconds until the next turn, if there is no reason before."""
        if self._trouble:
            return TROUBLE_PAUSES[min(self._failures, len(TROUBLE_PAUSES)) - 1]
        most = LOCAL_TURN if self._queue.database.is_local else SHARED_TURN
        most = min(most, self.options.lease / 3)
        if self._moved:
            most = min(most, PROGRESS_PAUSE)
        if self._figures_wanted:
            most = min(most, FIGURES_PAUSE)
        if kinds := self._startable():
            with contextlib.suppress(JobsError):
                due = await self._ask(lambda: self._queue.next_due(kinds))
                # what is due and was not to be had (another runner is at it) isn't asked for again at once
                most = most if due is None else min(most, max(due, 0.02 if self._claimed else 0.5))
        return most

    def _note_trouble(self, text: str, public: str) -> None:
        self._failures += 1
        if text != self._logged_trouble:
            log.error("%s; %d jobs run on, no other is started; trying again", text, len(self._running))
        self._logged_trouble, self._trouble = text, public
        self._say()

    def _note_recovery(self) -> None:
        if self._trouble:
            log.info("the jobs' database can be used again")
            self._trouble, self._logged_trouble, self._failures, self._figures_wanted = "", "", 0, True
            self._reason.set()

    # ---- what has happened, to the database

    def _note_ends(self, ends: Sequence[End], done: Sequence[Job]) -> None:
        for job in done:
            self._report(job)
        for end in ends:
            self._ends.pop(end.job_id, None)
        self._figures_wanted = self._figures_wanted or bool(ends)

    async def _note_progress(self) -> None:
        if self._moved and time.monotonic() - self._noted >= PROGRESS_PAUSE:
            moved, self._moved = self._moved, set()
            percents = {name: self._running[name].percent for name in moved if name in self._running}
            for job in await self._ask(lambda: self._queue.progress(percents)):
                self._report(job)  # as the database has it: `recent_jobs` tells the same of this revision
            self._noted, self._figures_wanted = time.monotonic(), True

    async def _hold_lease(self) -> None:
        """Renew the lease, and take care of the jobs of runners that have lost theirs."""
        began = time.monotonic()
        if began - self._renewed < self.options.lease / 3:
            return
        held = await self._ask(self._queue.renew)
        if not held:
            self._give_up_running()  # another has them by now
        self._renewed = began
        await self._recover()
        if began - self._pruned >= PRUNE_PAUSE and await self._ask(self._prune) < PRUNED_AT_ONCE:
            self._pruned = began

    def _prune(self) -> int:
        """Delete what is old, jobs and what they printed -> how many jobs. In the database's thread."""
        pruned = self._queue.prune(self.options.keep_days)
        try:  # of the old ones, another machine that shares the queue may have deleted the jobs
            old = transcript.older_than(self._outputs, time.time() - self.options.keep_days * 86_400)
            transcript.remove(self._outputs, [*pruned, *self._queue.unknown(old)])
        except OSError as error:
            log.warning("output of jobs that were deleted stays in %s: %s", self._outputs, error.strerror)
        return len(pruned)

    def _watch_lease(self) -> None:
        """Apart from the turns, since one may hang in a network that has lost the database.

        Where no other machine could take the jobs over they run on: a database that is away is no reason to end them.
        """
        self._loop.call_later(self.options.lease / 10, self._watch_lease)
        if self._queue.has_rivals and time.monotonic() - self._renewed > LEASE_MARGIN * self.options.lease:
            self._give_up_running()

    def _give_up_running(self) -> None:
        for attempt in list(self._running.values()):
            attempt.end("the lease of its runner could not be renewed", grace=0.0)

    async def _recover(self) -> None:
        for runner in await self._ask(self._queue.gone):
            if runner.machine == self._queue.runner.machine:
                killed = await self._loop.run_in_executor(None, strays.kill_all_of, runner.id)
                if killed:
                    log.warning("ended %d processes of a runner that died (pid:%d)", killed, runner.pid)
            jobs = await self._ask(partial(self._queue.recover, runner, self._started.of(runner.id)))
            self._started.forget(runner.id)
            if jobs:
                log.warning(
                    "took %d jobs over from a runner on %s that is gone (pid:%d)", len(jobs), runner.host, runner.pid
                )
            for job in jobs:
                self._report(job)
        known = {**self._running, **self._ends}
        for job in await self._ask(lambda: self._queue.reclaim(known)):
            self._report(job)

    # ---- starting jobs

    def _room(self, claimed: Sequence[Job] = ()) -> dict[str, int]:
        """How many more of each kind may run, beside those that are claimed."""
        used = Counter(job.kind for job in (*claimed, *(attempt.job for attempt in self._running.values())))
        return {name: kind.concurrency - used[name] for name, kind in self.options.kinds.items()}

    def _free(self) -> int:
        return self.options.concurrency - len(self._running)

    def _startable(self) -> list[str]:
        """The kinds of which one more may run."""
        return [kind for kind, count in self._room().items() if count > 0] if self._free() > 0 else []

    async def _exchange(self) -> None:
        """Tell the database which attempts have ended, and hear what is to be ended, and started.

        What has ended meanwhile is told before what was claimed is started: the database and the start of a process
        take as long as each other.
        """
        claimed: list[Job] = []
        until = time.monotonic() + EXCHANGES
        while True:
            ends, room = list(self._ends.values()), self._room(claimed)
            free = self._free() - len(claimed)
            free = free if any(count > 0 for count in room.values()) else 0
            is_due = bool(ends) and time.monotonic() < until if claimed else bool(ends or free > 0 or self._running)
            work = partial(self._queue.exchange, ends, room, max(0, free))
            try:
                asked = self._database.start(work) if is_due else None
            finally:
                left = [job for job in claimed if not self._start(job)]
            claimed = []
            if asked:
                done, to_cancel, claimed = await self._answer(asked)
                self._note_ends(ends, done)
                self._claimed = len(claimed)
                for job_id in to_cancel:
                    if job_id in self._running:
                        self._running[job_id].cancel()
            if left:
                await self._put_back(left)
            if not claimed:
                return

    async def _put_back(self, left: Sequence[Job]) -> None:
        log.error("no resources to start %d jobs: %s; they wait %g s", len(left), self._lack, LACK_PAUSE)
        for job in await self._ask(lambda: self._queue.put_back([job.id for job in left], LACK_PAUSE)):
            self._report(job)

    def _start(self, job: Job) -> bool:
        """False where the machine lacks what it takes: no fault of the job's."""
        try:
            self._running[job.id] = self._execute(job)
            self._guard.add(self._running[job.id].pid)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in (*LACKS, errno.EAGAIN):
                self._lack = str(error.strerror)
                return False
            why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else str(error)
            why = "could not be started: " + "".join(char if char.isprintable() else "\ufffd" for char in why)
            self._ends[job.id] = End(job.id, job.attempt, FAILED, None, why, "", 0.0, may_retry=True)
            self._reason.set()
        self._report(job)
        self._figures_wanted = True
        return True

    def _execute(self, job: Job) -> Attempt:
        kind = self.options.kinds.get(job.kind)
        if kind is None:  # a reload came in between
            raise ValueError(f"kind {job.kind} is not declared any more")
        if self._started.is_full:
            self._started.begin((attempt.job.id, attempt.job.attempt) for attempt in self._running.values())
        self._started.note(job.id, job.attempt)
        attempt = Attempt(
            job,
            kind,
            pump=self._pump,
            recorder=transcript.Recorder(self._outputs, job.id, job.attempt, self.options.output_limit),
            grace=self.options.grace,
            changed=self._progressed,
            ended=self._ended,
        )
        attempt.start({**self._environ, strays.RUNNER: self._queue.runner.id})
        return attempt

    def _progressed(self, attempt: Attempt) -> None:
        self._moved.add(attempt.job.id)
        if len(self._moved) == 1:
            self._reason.set()

    def _ended(self, attempt: Attempt) -> None:
        job_id = attempt.job.id
        del self._running[job_id]
        self._guard.drop(attempt.pid)
        self._moved.discard(job_id)
        self._ends[job_id] = attempt.as_end()
        self._reason.set()

    # ---- what is told

    def _report(self, job: Job) -> None:
        self._events.send(job.as_recent())
        if job.error and job.status != CANCELLED:
            then = "failed" if job.status == FAILED else f"will be tried again, attempt {job.attempt} failed"
            log.warning("job %s (%s) %s: %s", job.id, job.kind, then, job.error)
        else:
            log.debug("job %s (%s) is %s", job.id, job.kind, job.status)

    async def _look(self) -> None:
        """Read the counts and publish them."""
        pause = OTHERS_FIGURES_PAUSE
        if self._figures_wanted:
            pause = BUSY_FIGURES_PAUSE if self._reason.is_set() or self._claimed else FIGURES_PAUSE
        if time.monotonic() - self._counted < pause:
            return
        self._figures_wanted = False
        try:
            self._figures = await self._ask(self._queue.figures)
        except JobsError:
            self._figures_wanted = True
            raise
        self._counted = time.monotonic()
        self._say()
        waiting = {kind for kind, status, _ in self._figures["open"] if status == PENDING}
        if unknown := sorted(waiting - self.options.kinds.keys() - self._undeclared):
            self._undeclared.update(unknown)
            log.warning("jobs of kinds that are not declared here wait: %s", ", ".join(unknown))

    def _say(self) -> None:
        self._publish({**self._figures, "trouble": self._trouble})

    # ---- processes

    def _sweep(self) -> None:
        """End and reap what jobs that are over have left: as a subreaper (prctl(2)) the runner is its parent now."""
        own = {attempt.pid for attempt in self._running.values()} | self._guard.pids
        limits = {attempt.limit for attempt in self._running.values()}

        def is_stray(pid: int) -> bool:
            if strays.is_of(pid, self._queue.runner.id):
                return strays.limit_of(pid) not in limits
            if mark := strays.mark_of(pid, strays.JOB):  # where a limit could not be set
                attempt = self._running.get(mark)
                return attempt is None or strays.mark_of(pid, strays.ATTEMPT) != attempt.marks[strays.ATTEMPT]
            return not self._running and os.getsid(pid) != os.getsid(0)  # it has dropped its environment

        for pid in strays.children() - own:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG) == (0, 0) and strays.kill(pid, is_stray):
                    self._loop.call_later(0.05, self._reason.set)

    async def _stop(self) -> None:
        """End what runs, note how, and leave the queue."""
        for attempt in list(self._running.values()):
            attempt.end("interrupted: hvd was stopped", grace=self.stop_grace)
        while self._running:
            self._reason.clear()
            await self._reason.wait()
        self._sweep()
        if strays.children() - self._guard.pids:  # theirs become ours only when they are gone
            await self._loop.run_in_executor(None, strays.kill_all_of, self._queue.runner.id)
        try:
            ends = list(self._ends.values())
            self._note_ends(ends, await self._ask(lambda: self._queue.finish(ends)))
            await self._ask(self._queue.leave)
            self._started.leave()
        except JobsError as error:
            log.error("%s; %d ends of jobs are noted by the next runner as losses", error, len(self._ends))
        self._guard.dismiss()
        self._pump.close()
        self._database.close()
