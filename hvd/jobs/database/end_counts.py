"""Counts of ended jobs: the totals are added to in the transaction that ends the jobs."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from hvd.jobs.database.schema import totals


class EndCounts:
    """The jobs that a transaction ends; `store` adds them to the totals in it, so that jobs and totals always agree."""

    def __init__(self, daemon: str) -> None:
        self._daemon = daemon
        self._counts: dict[tuple[str, str, int], tuple[int, float]] = {}

    def add(self, kind: str, status: str, bucket: int, seconds: float, count: int = 1) -> None:
        """So many more, which lasted so many seconds together."""
        before, sum_before = self._counts.get((kind, status, bucket), (0, 0.0))
        self._counts[kind, status, bucket] = before + count, sum_before + seconds

    def store(self, connection: Connection, at: int) -> None:
        """To be called last in the transaction, at that time (µs).

        All transactions add in one order: two of them could else wait for each other's rows.
        """
        statement = _ADD[connection.dialect.name]
        for (kind, status, bucket), (count, seconds) in sorted(self._counts.items()):
            row = {"daemon": self._daemon, "kind": kind, "status": status, "bucket": bucket}
            connection.execute(statement, {**row, "count": count, "seconds": seconds, "updated": at})


def _adding(dialect: Any) -> Any:
    new = dialect.insert(totals)
    return new.on_conflict_do_update(
        index_elements=["daemon", "kind", "status", "bucket"],
        set_={
            "count": totals.c.count + new.excluded.count,
            "seconds": totals.c.seconds + new.excluded.seconds,
            "updated": new.excluded.updated,
        },
    )


_ADD = {"sqlite": _adding(sqlite), "postgresql": _adding(postgresql)}
