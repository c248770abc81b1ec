"""What a runner does for the whole queue, beside running jobs."""

import asyncio
import logging
import time
from functools import partial

from hvd.jobs import transcript
from hvd.jobs.database.pruning import PRUNED_AT_ONCE
from hvd.jobs.run import schedule, strays
from hvd.jobs.run.context import Context
from hvd.jobs.run.pool import AttemptPool
from hvd.jobs.run.report import Reporter
from hvd.jobs.run.start_log import StartLog

log = logging.getLogger("hvd.jobs")


class Upkeep:
    """Looks after the jobs of runners that are gone, and deletes what is old."""

    def __init__(self, context: Context, pool: AttemptPool, reporter: Reporter, start_log: StartLog) -> None:
        self._context = context
        self._pool = pool
        self._reporter = reporter
        self._start_log = start_log
        self._pruned_at = float("-inf")  # monotonic s

    async def recover(self) -> None:
        """Take over the jobs of runners that are gone, once nothing of theirs runs here. Raises JobsError."""
        queue = self._context.queue
        for runner in await self._context.ask(queue.leases.gone):
            if runner.machine == queue.runner.machine:
                loop = asyncio.get_running_loop()
                killed = await loop.run_in_executor(None, strays.kill_all_of, runner.id)
                if killed:
                    log.warning("ended %d processes of a runner that died (pid:%d)", killed, runner.pid)
            jobs = await self._context.ask(partial(queue.recovery.recover, runner, self._start_log.read(runner.id)))
            self._start_log.forget(runner.id)
            if jobs:
                log.warning(
                    "took %d jobs over from a runner on %s that is gone (pid:%d)", len(jobs), runner.host, runner.pid
                )
            for job in jobs:
                self._reporter.report(job)
        known = {**self._pool.running, **self._pool.ends}
        for job in await self._context.ask(lambda: queue.recovery.reclaim(known)):
            self._reporter.report(job)

    async def prune(self) -> None:
        """Delete what is old, jobs and what they printed, if it is time. Raises JobsError."""
        began = time.monotonic()
        if began - self._pruned_at >= schedule.PRUNE_PAUSE and await self._context.ask(self._prune) < PRUNED_AT_ONCE:
            self._pruned_at = began

    def _prune(self) -> int:
        """In the database's thread -> how many jobs were deleted."""
        keep_days, outputs = self._context.options.keep_days, self._context.outputs
        pruned = self._context.queue.pruning.prune(keep_days)
        try:  # of the old ones, another machine that shares the queue may have deleted the jobs
            old = transcript.older_than(outputs, time.time() - keep_days * 86_400)
            transcript.remove(outputs, [*pruned, *self._context.queue.pruning.unknown(old)])
        except OSError as error:
            log.warning("output of jobs that were deleted stays in %s: %s", outputs, error.strerror)
        return len(pruned)
