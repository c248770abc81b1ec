"""The runner's lease on its jobs: one whose lease is over is taken for dead, and another may start its jobs again."""

import asyncio
import time

from hvd.jobs.run import schedule
from hvd.jobs.run.context import Context
from hvd.jobs.run.pool import AttemptPool


class Lease:
    """Renews the lease in time, and ends what runs where that fails."""

    def __init__(self, context: Context, pool: AttemptPool) -> None:
        self.renewed_at = float("-inf")  # monotonic s
        self._context = context
        self._pool = pool

    @property
    def _age(self) -> float:
        return time.monotonic() - self.renewed_at

    async def renew(self) -> bool:
        """Renew it if it is time -> whether it was. Raises JobsError."""
        began = time.monotonic()
        if not schedule.is_lease_due(self._age, self._context.options.lease):
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
        if self._context.queue.leases.has_rivals and schedule.is_lease_lost(self._age, self._context.options.lease):
            self._end_all()

    def _end_all(self) -> None:
        self._pool.end_all("the lease of its runner could not be renewed", grace=0.0)
