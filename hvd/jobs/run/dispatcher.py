"""The runner's exchanges with the queue: ends and progress of attempts for jobs that are to be started or cancelled."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial

from hvd.jobs.database.ends import End
from hvd.jobs.job import Job
from hvd.jobs.run import schedule
from hvd.jobs.run.context import Context
from hvd.jobs.run.pool import AttemptPool, ResourcesLackingError
from hvd.jobs.run.report import Reporter

log = logging.getLogger("hvd.jobs")

LACK_PAUSE = 1.0  # s


class Dispatcher:
    """Exchanges with the queue. Everything raises JobsError."""

    def __init__(self, context: Context, pool: AttemptPool, reporter: Reporter) -> None:
        self.has_claimed = False  # whether the exchange before brought jobs
        self._context = context
        self._pool = pool
        self._reporter = reporter
        self._progress_at = float("-inf")  # monotonic s, when it was written last

    async def exchange(self) -> None:
        """Note in the database which attempts have ended; start and cancel what it says.

        What has ended meanwhile is noted before what was claimed is started: the database and the start of a process
        take as long as each other.
        """
        claimed: Sequence[Job] = ()
        until = time.monotonic() + schedule.EXCHANGES
        while True:
            ends, room = list(self._pool.ends.values()), self._pool.room(claimed)
            if claimed:
                is_due = bool(ends) and time.monotonic() < until
            else:
                is_due = bool(ends or room.most or self._pool.running)
            work = partial(self._context.queue.finish_and_claim, ends, room.by_kind, room.most)
            try:
                task = self._context.start(work) if is_due else None
            finally:
                lacking = self._start(claimed)
            claimed = ()
            if task:
                done, to_cancel, claimed = await self._context.result_of(task)
                self._note_ends(ends, done)
                self.has_claimed = bool(claimed)
                self._pool.cancel(to_cancel)
            if lacking:
                await self._put_back(lacking)
            if not claimed:
                return

    def _start(self, claimed: Sequence[Job]) -> dict[str, str]:
        """Start them -> what is lacking for those that can't be started now, by their ids."""
        lacking = {}
        for job in claimed:
            try:
                self._pool.start(job)
            except ResourcesLackingError as error:
                lacking[job.id] = str(error)
            else:
                self._reporter.report(job)
                self._reporter.is_due = True
        return lacking

    async def _put_back(self, lacking: Mapping[str, str]) -> None:
        *_, lack = lacking.values()
        log.error("no resources to start %d jobs: %s; they wait %g s", len(lacking), lack, LACK_PAUSE)
        for job in await self._context.ask(lambda: self._context.queue.put_back(list(lacking), LACK_PAUSE)):
            self._reporter.report(job)

    def _note_ends(self, ends: Sequence[End], done: Sequence[Job]) -> None:
        for job in done:
            self._reporter.report(job)
        for end in ends:
            self._pool.ends.pop(end.job_id, None)
            self._reporter.is_due = True

    async def note_progress(self) -> None:
        """Write the progress of what runs, if it is time."""
        if not self._pool.moved or time.monotonic() - self._progress_at < schedule.PROGRESS_PAUSE:
            return
        moved, self._pool.moved = self._pool.moved, set()
        percents = {name: self._pool.running[name].percent for name in moved if name in self._pool.running}
        for job in await self._context.ask(lambda: self._context.queue.progress(percents)):
            self._reporter.report(job)  # as the database has it: `recent_jobs` tells the same of this revision
        self._progress_at = time.monotonic()
        self._reporter.is_due = True

    async def finish(self) -> None:
        """Note in the database which attempts have ended, and leave the queue: nothing runs any more."""
        ends = list(self._pool.ends.values())
        self._note_ends(ends, await self._context.ask(lambda: self._context.queue.finish(ends)))
        await self._context.ask(self._context.queue.leases.leave)
