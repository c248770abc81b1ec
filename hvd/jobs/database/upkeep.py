"""What one runner does for the whole queue: it takes over from runners that are gone, and deletes what is old."""

import time
from collections.abc import Container, Mapping, Sequence

from sqlalchemy import Connection, and_, delete, or_, select, update

from hvd.jobs.database import clock
from hvd.jobs.database.connection import Database
from hvd.jobs.database.ends import end_attempt, loss_of, put_back
from hvd.jobs.database.leases import Leases, Runner
from hvd.jobs.database.schema import jobs, runners, submissions, totals
from hvd.jobs.database.totals import EndCounts
from hvd.jobs.job import Job
from hvd.jobs.states import ENDED, RUNNING

KEY_SECONDS = 86_400  # how long an idempotency key is known
GONE_DAYS = 30  # after which a daemon that ended no job and pruned nothing is taken for gone
STEP = 60.0  # s that the queue's clock may be off between two prunings
PRUNED_AT_ONCE = 1000  # rows, so that a long overdue cleaning doesn't hold up submissions


class QueueUpkeep:
    """One daemon's part in it. Every method raises StoreUnavailable, StoreNewer. One thread at a time."""

    def __init__(self, database: Database, leases: Leases, daemon: str) -> None:
        """`daemon` is the name that its totals are kept under."""
        self._database = database
        self._leases = leases
        self._daemon = daemon
        self._clocks: tuple[float, float] | None = None  # the queue's and the monotonic one, s, at the last pruning

    def recover(self, runner: Runner, started: Container[tuple[str, int]] | None = None) -> list[Job]:
        """Give the jobs of a runner that is gone another attempt, where they have one left, or end them as failed.

        Gives the jobs as they are then; none where another was quicker, or the runner has come back.

        `started` has the ids and attempts that it had started, where that is known: what it had only claimed goes back,
        and has had no attempt. On this machine, what the runner had started must be ended before.
        """
        recovered = []
        with self._database.writing() as connection:
            at, counts = clock.now(connection), EndCounts(self._daemon)
            query = select(runners).where(runners.c.id == runner.id).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None or (runner.machine != self._leases.runner.machine and not self._leases.is_over(row)):
                return []  # another was quicker, or it has come back
            lost = select(jobs).where(jobs.c.runner == runner.id, jobs.c.status == RUNNING)
            for job in connection.execute(lost.order_by(jobs.c.id).with_for_update()).all():
                if started is not None and (job.id, job.attempt) not in started:
                    recovered.append(put_back(connection, job, at, 0.0, counts))
                else:
                    end = loss_of(job, f"its runner on {runner.host} (pid {runner.pid}) died")
                    recovered.append(end_attempt(connection, job, end, at, counts))
            counts.store(connection, at)
            connection.execute(delete(runners).where(runners.c.id == runner.id))
        return recovered

    def reclaim(self, running: Mapping[str, object]) -> list[Job]:
        """Take back running jobs without a runner -> the jobs as they are then. `running` has the ids that run here.

        Jobs that are noted as ours and not known here were claimed by a statement whose answer never reached us: they
        never ran, and go back. Those of an unknown runner get another attempt, or fail.
        """
        with self._database.writing() as connection:
            at, counts = clock.now(connection), EndCounts(self._daemon)
            lost_claim = and_(jobs.c.runner == self._leases.runner.id, jobs.c.id.not_in(running))
            nobodys = jobs.c.runner.not_in(select(runners.c.id))
            query = select(jobs).where(jobs.c.status == RUNNING, or_(lost_claim, nobodys))
            recovered = []
            for row in connection.execute(query.order_by(jobs.c.id).with_for_update()).all():
                if row.runner == self._leases.runner.id:
                    recovered.append(put_back(connection, row, at, 0.0, counts))
                else:
                    end = loss_of(row, "its runner is gone, and nobody knows how")
                    recovered.append(end_attempt(connection, row, end, at, counts))
            counts.store(connection, at)
        return recovered

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
            deletion = delete(jobs).where(jobs.c.id.in_(old.scalar_subquery())).returning(jobs.c.id)
            deleted = list(connection.scalars(deletion))
            connection.execute(delete(submissions).where(submissions.c.created < at - KEY_SECONDS * 1_000_000))
            self._fold(connection, at)
        return deleted

    def _fold(self, connection: Connection, at: int) -> None:
        """Add up, under no name, the totals of daemons that were not there for long: the queue's own don't change.

        Else each container without a state folder to keep its name in would leave rows for ever.
        """
        in_use = or_(totals.c.daemon == self._daemon, totals.c.updated == 0)  # 0: from before this was noted
        connection.execute(update(totals).where(in_use).values(updated=at))
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
