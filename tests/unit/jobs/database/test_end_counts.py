"""Counts of ended jobs, in both databases."""

from hvd.jobs.database.connection import Database
from hvd.jobs.database.end_counts import EndCounts


def stored(database: Database) -> list[tuple[object, ...]]:
    """The rows of totals."""
    query = "SELECT daemon, kind, status, bucket, count, seconds, updated FROM hvd_job_totals ORDER BY kind, bucket"
    with database.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_what_is_added_is_added_to_what_is_there(database: Database) -> None:
    """One row for each kind, status and bucket, which says when it was added to last."""
    for at in (1, 2):
        counts = EndCounts("one")
        counts.add("copy", "completed", 3, 0.5)
        counts.add("copy", "completed", 3, 1.0)
        counts.add("copy", "completed", 4, 9.0, count=5)
        with database.writing() as connection:
            counts.store(connection, at)
    assert stored(database) == [
        ("one", "copy", "completed", 3, 4, 3.0, 2),
        ("one", "copy", "completed", 4, 10, 18.0, 2),
    ]
