"""Recovery of jobs whose runner is gone: another attempt, or an end."""

from collections.abc import Container, Mapping

from sqlalchemy import and_, delete, or_, select

from hvd.jobs.database import clock
from hvd.jobs.database.connection import Database
from hvd.jobs.database.end_counts import EndCounts
from hvd.jobs.database.ends import end_attempt, loss_of, put_back
from hvd.jobs.database.leases import Leases, Runner
from hvd.jobs.database.schema import jobs, runners
from hvd.jobs.job import Job
from hvd.jobs.states import RUNNING


class Recovery:
    """What a runner does for the jobs of others. Every method raises StoreUnavailable, StoreNewer."""

    def __init__(self, database: Database, leases: Leases, daemon: str) -> None:
        """`daemon` names whose totals the jobs that end go to."""
        self._database = database
        self._leases = leases
        self._daemon = daemon

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
        """Look after jobs that nobody runs: the jobs as they are then. `running` has the ids of those that run here.

        Those that are noted as ours and not known here were claimed by a question whose answer never reached us: they
        never ran, and go back. Those of a runner that nobody knows get another attempt, or fail.
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
