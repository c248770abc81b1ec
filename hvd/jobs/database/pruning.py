"""Pruning of what is old: jobs, idempotency keys, the totals of daemons that are gone."""

import time
from collections.abc import Sequence

from sqlalchemy import Connection, delete, or_, select, update

from hvd.jobs.database import clock
from hvd.jobs.database.connection import Database
from hvd.jobs.database.end_counts import EndCounts
from hvd.jobs.database.schema import jobs, submissions, totals
from hvd.jobs.states import ENDED

KEY_SECONDS = 86_400  # how long an idempotency key is known
GONE_DAYS = 30  # after which a daemon that ended no job and pruned nothing is taken for gone
STEP = 60.0  # s that the queue's clock may be off between two prunings
PRUNED_AT_ONCE = 1000  # rows, so that a long overdue cleaning doesn't hold up submissions


class Pruning:
    """One daemon's part in it. Every method raises StoreUnavailable, StoreNewer. One thread at a time."""

    def __init__(self, database: Database, daemon: str) -> None:
        """`daemon` is the name that its totals are kept under."""
        self._database = database
        self._daemon = daemon
        self._clocks: tuple[float, float] | None = None  # the queue's and the monotonic one, s, at the last pruning

    def prune(self, keep_days: float) -> list[str]:
        """Delete jobs that ended, and idempotency keys that were used, long ago -> the jobs' ids.

        Only where the queue's clock has kept step with the monotonic one since the last call: a clock that has stepped
        to next month makes all jobs old at once, and by the next call somebody may have set it right.
        """
        with self._database.writing() as connection:
            at = clock.now(connection)
            if not self._has_kept_step(at / 1e6):
                return []
            old = (
                select(jobs.c.id)
                .where(jobs.c.status.in_(ENDED), jobs.c.ended < at - round(keep_days * 86_400e6))
                .limit(PRUNED_AT_ONCE)
            )
            gone = delete(jobs).where(jobs.c.id.in_(old.scalar_subquery())).returning(jobs.c.id)
            deleted = list(connection.scalars(gone))
            connection.execute(delete(submissions).where(submissions.c.created < at - KEY_SECONDS * 1_000_000))
            self._fold(connection, at)
        return deleted

    def _fold(self, connection: Connection, at: int) -> None:
        """Add up, under no name, the totals of daemons that were not there for long: the queue's own don't change.

        Else each container without a state folder to keep its name in would leave rows for ever.
        """
        seen = or_(totals.c.daemon == self._daemon, totals.c.updated == 0)  # 0: from before this was noted
        connection.execute(update(totals).where(seen).values(updated=at))
        old = select(totals).where(totals.c.daemon != "", totals.c.updated < at - round(GONE_DAYS * 86_400e6))
        counts = EndCounts("")
        for row in connection.execute(old.limit(PRUNED_AT_ONCE).with_for_update(skip_locked=True)).all():
            counts.add(row.kind, row.status, row.bucket, row.seconds, row._mapping["count"])
            same = [column == getattr(row, column.name) for column in totals.primary_key]
            connection.execute(delete(totals).where(*same))
        counts.store(connection, at)

    def _has_kept_step(self, queue: float) -> bool:
        before, self._clocks = self._clocks, (queue, time.monotonic())
        return before is not None and abs(queue - before[0] - (self._clocks[1] - before[1])) < STEP

    def unknown(self, ids: Sequence[str]) -> list[str]:
        """Those of these ids that no job has."""
        known: set[str] = set()
        with self._database.reading() as connection:
            for start in range(0, len(ids), PRUNED_AT_ONCE):
                some = ids[start : start + PRUNED_AT_ONCE]
                known.update(connection.scalars(select(jobs.c.id).where(jobs.c.id.in_(some))))
        return [job_id for job_id in ids if job_id not in known]
