"""The turns of the job runner: in each, it takes jobs from the queue, starts them, and reports how they are.

One turn comes after the other: what the database does runs in a thread, everything else in the event loop. A turn comes
when there is a reason (a submission or cancellation, an end, a retry that is due), and otherwise seldom.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hvd.errors import JobsError
from hvd.jobs.database.ends import End
from hvd.jobs.database.queue import Queue
from hvd.jobs.job import Job
from hvd.jobs.options import RunnerOptions
from hvd.jobs.run import schedule, strays
from hvd.jobs.run.context import Context
from hvd.jobs.run.guard_process import GuardProcess
from hvd.jobs.run.pool import AttemptPool, ResourcesLackingError
from hvd.jobs.run.report import Reporter
from hvd.jobs.run.start_log import StartLog
from hvd.jobs.run.upkeep import Upkeep
from hvd.metrics.companion_pages import QueueFigures

log = logging.getLogger("hvd.jobs")

LACK_PAUSE = 1.0  # s that jobs wait which can't be started now
SWEEP_AGAIN = 0.05  # s until a look at what a sweep has killed


class TurnLoop:
    """Runs jobs, turn by turn, until it is stopped. All of it in one event loop."""

    def __init__(
        self,
        queue: Queue,
        options: RunnerOptions,
        *,
        environ: Mapping[str, str],
        events: socket.socket,
        publish: Callable[[Mapping[str, object]], None],
        figures: QueueFigures | None = None,
    ) -> None:
        """`environ` is for jobs; `figures`, of the runner before, are published until others are read."""
        self.stop_grace: float | None = None  # s that jobs get when the runner is stopped; None: the usual
        self.trouble = schedule.Trouble()
        self.context = Context(queue, options)
        self.start_log = StartLog(options.state_dir, queue.runner.id)
        self.guard = GuardProcess(queue.runner.id)
        self.pool = AttemptPool(self.context, self.start_log, self.guard, environ)
        self.reporter = Reporter(self.context, self.trouble, events, publish, figures)
        self.upkeep = Upkeep(self.context, self.pool, self.reporter, self.start_log)
        self._has_claimed = False  # whether the exchange before brought jobs
        self._progress_at = float("-inf")  # monotonic s, when it was written last

    def wake(self) -> None:
        """Wake the loop: something was submitted or cancelled."""
        self.reporter.is_due = True
        self.context.reason.set()

    def take(self, options: RunnerOptions) -> None:
        """Go on with these options; jobs that run go on as they were started."""
        self.context.options = options
        self.context.queue.leases.length = options.lease
        self.reporter.forget_undeclared()
        self.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Take and run jobs until `stopping` is set; then end what runs, and note how."""
        self.start_log.begin()
        self.upkeep.watch()
        reason = self.context.reason
        stop = asyncio.create_task(stopping.wait())
        stop.add_done_callback(lambda _: reason.set())
        while not stopping.is_set():
            reason.clear()
            await self._turn()
            if not reason.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reason.wait(), await self._rest())
        await self._stop()

    async def _turn(self) -> None:
        try:
            self.guard.keep(attempt.pid for attempt in self.pool.running.values())
            if self.pool.sweep():
                asyncio.get_running_loop().call_later(SWEEP_AGAIN, self.context.reason.set)
            if await self.upkeep.renew_lease():
                await self.upkeep.recover()
                await self.upkeep.prune()
            await self._exchange()
            await self._note_progress()
            await self.reporter.update(is_busy=self.context.reason.is_set() or self._has_claimed)
        except JobsError as error:
            self._note_trouble(str(error), error.public)
        except Exception as error:  # a fault of ours must not end every job that runs
            if not self.trouble.public:
                log.exception("a turn of the job runner failed")
            why = f"the job runner failed ({type(error).__name__}); its log says more"
            self._note_trouble(why, why)
        else:
            self._note_recovery()

    async def _exchange(self) -> None:
        """Note in the database which attempts have ended; start and cancel what it says.

        What has ended meanwhile is noted before what was claimed is started: the database and the start of a process
        take as long as each other.
        """
        claimed: Sequence[Job] = ()
        until = time.monotonic() + schedule.EXCHANGES
        while True:
            ends, room = list(self.pool.ends.values()), self.pool.room(claimed)
            if claimed:
                is_due = bool(ends) and time.monotonic() < until
            else:
                is_due = bool(ends or room.most or self.pool.running)
            work = partial(self.context.queue.finish_and_claim, ends, room.by_kind, room.most)
            try:
                task = self.context.start(work) if is_due else None
            finally:
                lacking = self._start(claimed)
            claimed = ()
            if task:
                done, to_cancel, claimed = await self.context.result_of(task)
                self._note_ends(ends, done)
                self._has_claimed = bool(claimed)
                self.pool.cancel(to_cancel)
            if lacking:
                await self._put_back(lacking)
            if not claimed:
                return

    def _start(self, claimed: Sequence[Job]) -> dict[str, str]:
        """Start them -> what is lacking for those that can't be started now, by their ids."""
        lacking = {}
        for job in claimed:
            try:
                self.pool.start(job)
            except ResourcesLackingError as error:
                lacking[job.id] = str(error)
            else:
                self.reporter.report(job)
                self.reporter.is_due = True
        return lacking

    async def _put_back(self, lacking: Mapping[str, str]) -> None:
        *_, lack = lacking.values()
        log.error("no resources to start %d jobs: %s; they wait %g s", len(lacking), lack, LACK_PAUSE)
        for job in await self.context.ask(lambda: self.context.queue.put_back(list(lacking), LACK_PAUSE)):
            self.reporter.report(job)

    def _note_ends(self, ends: Sequence[End], done: Sequence[Job]) -> None:
        for job in done:
            self.reporter.report(job)
        for end in ends:
            self.pool.ends.pop(end.job_id, None)
            self.reporter.is_due = True

    async def _note_progress(self) -> None:
        """Write the progress of what runs, if it is time."""
        if not self.pool.moved or time.monotonic() - self._progress_at < schedule.PROGRESS_PAUSE:
            return
        moved, self.pool.moved = self.pool.moved, set()
        percents = {name: self.pool.running[name].percent for name in moved if name in self.pool.running}
        for job in await self.context.ask(lambda: self.context.queue.progress(percents)):
            self.reporter.report(job)  # as the database has it: `recent_jobs` tells the same of this revision
        self._progress_at = time.monotonic()
        self.reporter.is_due = True

    async def _rest(self) -> float:
        """Seconds until the next turn, if there is no reason before."""
        if self.trouble.public:
            return self.trouble.pause
        queue = self.context.queue
        rest = schedule.longest_rest(
            is_local=queue.database.is_local,
            lease=self.context.options.lease,
            has_progress=bool(self.pool.moved),
            needs_figures=self.reporter.is_due,
        )
        if kinds := self.pool.room().kinds:
            with contextlib.suppress(JobsError):
                due = await self.context.ask(lambda: queue.next_due(kinds))
                rest = schedule.rest_until_due(due, rest, has_claimed=self._has_claimed)
        return rest

    def _note_trouble(self, text: str, public: str) -> None:
        if self.trouble.add(text, public):
            log.error("%s; %d jobs run on, no other is started; trying again", text, len(self.pool.running))
        self.reporter.publish()

    def _note_recovery(self) -> None:
        if self.trouble.public:
            log.info("the jobs' database can be used again")
            self.trouble.clear()
            self.wake()

    async def _stop(self) -> None:
        """End what runs, note how, and leave the queue."""
        self.pool.end_all("interrupted: hvd was stopped", self.stop_grace)
        await self.pool.empty()
        self.pool.sweep()
        if strays.children() - self.guard.pids:  # theirs become ours only when they are gone
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, strays.kill_all_of, self.context.queue.runner.id)
        try:
            ends = list(self.pool.ends.values())
            self._note_ends(ends, await self.context.ask(partial(self.context.queue.finish, ends)))
            await self.context.ask(self.context.queue.leases.leave)
            self.start_log.remove()
        except JobsError as error:
            log.error("%s; the next runner will count %d ended jobs as lost", error, len(self.pool.ends))
        self.guard.dismiss()
        self.pool.close()
        self.context.close()
