"""Figures of the queue: how many jobs there are, what has ended, what has changed last."""

import time

from sqlalchemy import case, func, select

from hvd.jobs.database import clock
from hvd.jobs.database.connection import Database
from hvd.jobs.database.schema import job_of, jobs, totals
from hvd.jobs.states import OPEN
from hvd.metrics.companion_pages import EndedJobs, OpenJobs, QueueFigures

RECENT = 20  # jobs that `recent_jobs` shows


def figures_of(database: Database, daemon: str) -> QueueFigures:
    """What a daemon shows of the queue. Raises StoreUnavailable, StoreNewer."""
    with database.reading() as connection:
        open_counts = select(jobs.c.kind, jobs.c.status, func.count()).where(jobs.c.status.in_(OPEN))
        open_jobs = connection.execute(open_counts.group_by(jobs.c.kind, jobs.c.status)).all()
        own = totals.c.daemon == daemon
        series = (totals.c.kind, totals.c.status, totals.c.bucket)
        sums = (func.sum(totals.c.count), func.sum(totals.c.seconds))
        ours = (func.sum(case((own, totals.c.count), else_=0)), func.sum(case((own, totals.c.seconds), else_=0.0)))
        ends = connection.execute(select(*series, *sums, *ours).group_by(*series).order_by(*series)).all()
        recent = connection.execute(select(jobs).order_by(jobs.c.updated.desc()).limit(RECENT)).all()
        shift = clock.shift(connection)
        at, read_ns = (clock.now(connection) + shift) / 1e6, time.monotonic_ns()
    return {
        "open": [OpenJobs(*row) for row in open_jobs],
        "ends": [EndedJobs(*row[:3], int(row[3]), row[4]) for row in ends],
        "own": [EndedJobs(*row[:3], int(row[5]), row[6]) for row in ends if row[5]],
        "recent": [job_of(row, shift).as_recent(at) for row in recent],
        "read_ns": read_ns,
    }
