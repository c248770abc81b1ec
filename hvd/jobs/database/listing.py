"""Lists of jobs in the database: the newest, what is open first, how many."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select, union_all

from hvd.jobs.database.schema import jobs
from hvd.jobs.listing import COUNTED, GROUPS, OPEN_FIRST, Filter, Wanted


def page(connection: Connection, wanted: Wanted) -> list[Row[Any]]:
    """The jobs of the page, and one more where another page follows."""
    if wanted.order == OPEN_FIRST:
        return _open_first(connection, wanted)
    return newest(connection, wanted.filter, wanted.limit + 1, wanted.after.job_id if wanted.after else None)


def newest(connection: Connection, filter: Filter, limit: int, before: str | None) -> list[Row[Any]]:
    """The newest jobs of the filter, older than the one of id `before`."""

    def newest_of(status: str | None) -> Select[Any]:
        query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if status:
            query = query.where(jobs.c.status == status)
        if filter.kinds:
            query = query.where(jobs.c.kind.in_(filter.kinds))
        if filter.text:
            query = query.where(_has(filter.text))
        return query if before is None else query.where(jobs.c.id < before)

    query: Any = newest_of(None)
    if filter.statuses:  # of each by itself: the index has them in order, and nothing else is read
        queries = [select(newest_of(status).subquery()) for status in sorted(set(filter.statuses))]
        either = union_all(*queries).subquery()
        query = select(either).order_by(either.c.id.desc()).limit(limit)
    return list(connection.execute(query).all())


def _open_first(connection: Connection, wanted: Wanted) -> list[Row[Any]]:
    rows: list[Row[Any]] = []
    groups = list(GROUPS)
    if wanted.after:
        groups = groups[groups.index(wanted.after.group) :]
    for group in groups:
        statuses = [
            status for status in GROUPS[group] if not wanted.filter.statuses or status in wanted.filter.statuses
        ]
        missing = wanted.limit + 1 - len(rows)
        if statuses and missing:
            before = wanted.after.job_id if wanted.after and wanted.after.group == group else None
            rows += newest(connection, wanted.filter._replace(statuses=statuses), missing, before)
    return rows


def count(connection: Connection, filter: Filter) -> int | None:
    """How many jobs the filter has; None where more than COUNTED would have to be looked at."""
    query = select(jobs.c.id, *((jobs.c.name, jobs.c.kind) if filter.text else ())).limit(COUNTED + 1)
    if filter.statuses:
        query = query.where(jobs.c.status.in_(filter.statuses))
    if filter.kinds:
        query = query.where(jobs.c.kind.in_(filter.kinds))
    some = query.subquery()
    matching = func.sum(case((_has(filter.text, some.c), 1), else_=0)) if filter.text else func.count()
    looked_at, matches = connection.execute(select(func.count(), matching).select_from(some)).one()
    return None if looked_at > COUNTED else int(matches or 0)


def _has(text: str, columns: Any = jobs.c) -> ColumnElement[bool]:
    """The name, the kind or the id contains it, whatever its case. One comparison of all three takes a third of the
    time; a line break is in none of them, nor in what is searched for.
    """
    texts: ColumnElement[str] = columns.name + "\n" + columns.kind + "\n" + columns.id
    return texts.icontains(text, autoescape=True)
