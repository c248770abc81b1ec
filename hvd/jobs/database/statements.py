"""A runner's statements in each exchange, built once: building them takes SQLAlchemy longer than the answer takes."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, bindparam, literal_column, or_, select, update

from hvd.jobs.database.clock import SERVER_TIME
from hvd.jobs.database.schema import jobs, runners
from hvd.jobs.states import PENDING, RUNNING


def is_due(at: Any) -> ColumnElement[bool]:
    """Whether a job's pause is over; or it was put back in what is now the future, as the clock has stepped back."""
    return or_(jobs.c.not_before <= at, jobs.c.updated > at)


LEASE: Any = select(literal_column(SERVER_TIME)).where(runners.c.id == bindparam("me")).with_for_update(read=True)
LOCAL_LEASE: Any = select(runners.c.lease).where(runners.c.id == bindparam("me"))
OURS = (
    select(jobs)
    .where(
        jobs.c.status == RUNNING,
        jobs.c.runner == bindparam("me"),
        or_(jobs.c.id.in_(bindparam("ids", expanding=True)), jobs.c.cancel_requested),
    )
    .order_by(jobs.c.id)
    .with_for_update()
)
DUE = (
    select(jobs.c.id, jobs.c.kind)
    .where(
        jobs.c.status == PENDING,
        jobs.c.kind.in_(bindparam("kinds", expanding=True)),
        is_due(bindparam("at", type_=BigInteger)),
    )
    .order_by(jobs.c.id)
    .limit(bindparam("wanted", type_=Integer))
    .with_for_update(skip_locked=True)
)


def _starting(ids: Any) -> Any:
    at = bindparam("at", type_=BigInteger)
    return (
        update(jobs)
        .where(jobs.c.id.in_(ids), jobs.c.status == PENDING)
        .values(
            status=RUNNING,
            runner=bindparam("me"),
            host=bindparam("here"),
            attempt=jobs.c.attempt + 1,
            started=at,
            updated=at,
            ended=None,
            progress=0.0,
            exit_code=None,
            error="",
            output="",
            revision=jobs.c.revision + 1,
        )
        .returning(*jobs.c)
    )


START = _starting(bindparam("ids", expanding=True))
CLAIM = _starting(select(DUE.cte("due").c.id))  # an expression of its own, or PostgreSQL may evaluate it twice
_CHANGED = ("exit_code", "error", "output", "progress", "updated", "not_before", "started", "ended", "status")
END = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        runner=None,
        revision=jobs.c.revision + 1,
        **{name: bindparam(f"new_{name}", type_=jobs.c[name].type) for name in _CHANGED},
    )
    .returning(*jobs.c)
)
