"""The turns of the job runner: in each, it takes jobs from the queue, starts them, and reports how they are.

One turn comes after the other: what the database does runs in a thread, everything else in the event loop. A turn comes
when there is a reason (a submission or cancellation, an end, a retry that is due), and otherwise seldom.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from hvd.errors import JobsError
from hvd.jobs.database.queue import Queue
from hvd.jobs.events import Events
from hvd.jobs.options import RunnerOptions
from hvd.jobs.run import schedule, strays
from hvd.jobs.run.context import Context
from hvd.jobs.run.dispatcher import Dispatcher
from hvd.jobs.run.guard_process import GuardProcess
from hvd.jobs.run.lease import Lease
from hvd.jobs.run.pool import AttemptPool
from hvd.jobs.run.report import Reporter
from hvd.jobs.run.start_log import StartLog
from hvd.jobs.run.upkeep import Upkeep
from hvd.metrics.companion_pages import QueueFigures

log = logging.getLogger("hvd.jobs")

SWEEP_AGAIN = 0.05  # s until a look at what a sweep has killed


class TurnLoop:
    """Runs jobs, turn by turn, until it is stopped. All of it in one event loop."""

    def __init__(
        self,
        queue: Queue,
        options: RunnerOptions,
        *,
        environ: Mapping[str, str],
        events: Events,
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
        self.dispatcher = Dispatcher(self.context, self.pool, self.reporter)
        self.lease = Lease(self.context, self.pool)
        self.upkeep = Upkeep(self.context, self.pool, self.reporter, self.start_log)

    @property
    def options(self) -> RunnerOptions:
        """Those that it goes by."""
        return self.context.options

    def wake(self) -> None:
        """Something was submitted or cancelled."""
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
        self.lease.watch()
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
            if await self.lease.renew():
                await self.upkeep.recover()
                await self.upkeep.prune()
            await self.dispatcher.exchange()
            await self.dispatcher.note_progress()
            await self.reporter.update(is_busy=self.context.reason.is_set() or self.dispatcher.has_claimed)
        except JobsError as error:
            self._note_trouble(str(error), error.public)
        except Exception as error:  # of ours: to end here would end every job that runs
            if not self.trouble.public:
                log.exception("a turn of the job runner failed")
            why = f"the job runner failed ({type(error).__name__}); its log says more"
            self._note_trouble(why, why)
        else:
            self._note_recovery()

    async def _rest(self) -> float:
        """Seconds until the next turn, if there is no reason before."""
        if self.trouble.public:
            return self.trouble.pause
        queue = self.context.queue
        rest = schedule.longest_rest(
            is_local=queue.database.is_local,
            lease=self.options.lease,
            has_progress=bool(self.pool.moved),
            needs_figures=self.reporter.is_due,
        )
        if kinds := self.pool.room().kinds:
            with contextlib.suppress(JobsError):
                due = await self.context.ask(lambda: queue.next_due(kinds))
                rest = schedule.rest_until_due(due, rest, has_claimed=self.dispatcher.has_claimed)
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
            await self.dispatcher.finish()
            self.start_log.remove()
        except JobsError as error:
            log.error("%s; %d ends of jobs are noted by the next runner as losses", error, len(self.pool.ends))
        self.guard.dismiss()
        self.pool.close()
        self.context.close()
