"""What a runner does beside running jobs: it keeps its lease, and looks after the whole queue.

A runner whose lease is over is taken for dead, and another may start its jobs again.
"""

import asyncio
import logging
import time
from functools import partial

from hvd.jobs import transcript
from hvd.jobs.database.upkeep import PRUNED_AT_ONCE
from hvd.jobs.run import schedule, strays
from hvd.jobs.run.context import Context
from hvd.jobs.run.pool import AttemptPool
from hvd.jobs.run.report import Reporter
from hvd.jobs.run.start_log import StartLog

log = logging.getLogger("hvd.jobs")


class Upkeep:
    """Renews the lease, and ends what runs where that fails; takes over from runners that are gone; prunes.

    Every coroutine raises JobsError.
    """

    def __init__(self, context: Context, pool: AttemptPool, reporter: Reporter, start_log: StartLog) -> None:
        self._context = context
        self._pool = pool
        self._reporter = reporter
        self._start_log = start_log
        self.renewed_at = self._pruned_at = float("-inf")  # monotonic s

    @property
    def _lease_age(self) -> float:
        """The part of the lease that is over."""
        return (time.monotonic() - self.renewed_at) / self._context.options.lease

    async def renew_lease(self) -> bool:
        """Renew it if it is time -> whether it was. Raises JobsError."""
        began = time.monotonic()
        if self._lease_age < schedule.LEASE_AGE:
            return False
        if not await self._context.ask(self._context.queue.leases.renew):
            self._end_all()  # another has the jobs by now
        self.renewed_at = began
        return True

    def watch(self) -> None:
        """From now on, end what runs once another machine may soon take it over.

        Apart from the turns, since one may hang in a network that has lost the database. Where no other machine could
        take the jobs over they run on: a database that is away is no reason to end them.
        """
        asyncio.get_running_loop().call_later(self._context.options.lease / 10, self.watch)
        if self._context.queue.leases.has_rivals and self._lease_age > schedule.LEASE_MARGIN:
            self._end_all()

    def _end_all(self) -> None:
        self._pool.end_all("the lease of its runner could not be renewed", grace=0.0)

    async def recover(self) -> None:
        """Take over the jobs of runners that are gone, once nothing of theirs runs here. Raises JobsError."""
        queue = self._context.queue
        for runner in await self._context.ask(queue.leases.dead_runners):
            if runner.machine == queue.runner.machine:
                loop = asyncio.get_running_loop()
                killed = await loop.run_in_executor(None, strays.kill_all_of, runner.id)
                if killed:
                    log.warning("ended %d processes of a runner that died (pid:%d)", killed, runner.pid)
            jobs = await self._context.ask(partial(queue.upkeep.recover, runner, self._start_log.read(runner.id)))
            self._start_log.forget(runner.id)
            if jobs:
                log.warning(
                    "took %d jobs over from a runner on %s that is gone (pid:%d)", len(jobs), runner.host, runner.pid
                )
            for job in jobs:
                self._reporter.report(job)
        known = {**self._pool.running, **self._pool.ends}
        for job in await self._context.ask(lambda: queue.upkeep.reclaim(known)):
            self._reporter.report(job)

    async def prune(self) -> None:
        """Delete what is old, jobs and what they printed, if it is time. Raises JobsError."""
        began = time.monotonic()
        if began - self._pruned_at >= schedule.PRUNE_PAUSE and await self._context.ask(self._prune) < PRUNED_AT_ONCE:
            self._pruned_at = began

    def _prune(self) -> int:
        """In the database's thread -> how many jobs were deleted."""
        keep_days, outputs = self._context.options.keep_days, self._context.outputs
        pruned = self._context.queue.upkeep.prune(keep_days)
        try:  # of the old ones, another machine that shares the queue may have deleted the jobs
            old = transcript.older_than(outputs, time.time() - keep_days * 86_400)
            transcript.remove(outputs, [*pruned, *self._context.queue.upkeep.unknown(old)])
        except OSError as error:
            log.warning("output of jobs that were deleted stays in %s: %s", outputs, error.strerror)
        return len(pruned)
