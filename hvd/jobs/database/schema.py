"""The tables of the jobs' database, and their versions. SQLAlchemy 2 Core.

Times are microseconds since the Unix epoch, by the queue's clock: see clock.py.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
)

from hvd.errors import StoreNewer
from hvd.jobs.job import Job

_MIGRATION_LOCK = 0x6876646A  # "hvdj": the advisory lock that two daemons starting on one new database share

metadata = MetaData()

schema_version = Table("hvd_schema", metadata, Column("version", Integer, nullable=False))

runners = Table(
    "hvd_runners",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("machine", String(255), nullable=False),  # boot and pid namespace: where a pid means something
    Column("pid", Integer, nullable=False),
    Column("pid_start", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("lease", Double, nullable=False, server_default=text("15")),  # s: so long it may be silent
)

jobs = Table(
    "hvd_jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("progress", Double, nullable=False, default=0.0),
    Column("attempt", Integer, nullable=False, default=0),
    Column("retries", Integer, nullable=False),
    Column("backoff", Double, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("runner", String(36)),
    Column("host", String(255), nullable=False, default=""),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("exit_code", Integer),
    Column("error", Text, nullable=False, default=""),
    Column("output", Text, nullable=False, default=""),
    Column("revision", Integer, nullable=False, default=1),
    Column("retry_of", String(36)),
    Index("hvd_jobs_by_update", "updated"),
)

by_status = Index("hvd_jobs_by_status_and_id", jobs.c.status, jobs.c.id, jobs.c.kind)
"""The oldest and the newest of a status are found in it; with the kind, it alone answers how many there are of each."""

totals = Table(
    "hvd_job_totals",
    metadata,
    # who ended the job: a daemon's own counters are its own, and those of all add up to the queue's
    Column("daemon", String(255), primary_key=True),
    Column("kind", String(64), primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("bucket", Integer, primary_key=True),  # of the duration, see states.py
    Column("count", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("updated", BigInteger, nullable=False, server_default=text("0")),
)

submissions = Table(
    "hvd_submissions",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created", BigInteger, nullable=False, index=True),
)


clocks = Table(
    "hvd_clock",
    metadata,
    Column("boot", String(64), primary_key=True),
    Column("ahead", BigInteger, nullable=False),  # µs, of the queue's clock against the time since that boot
)


def _to_2(connection: Connection) -> None:
    connection.execute(text("DROP INDEX hvd_jobs_by_status"))
    by_status.create(connection)
    clocks.create(connection)
    connection.execute(text("ALTER TABLE hvd_runners ADD COLUMN lease DOUBLE PRECISION NOT NULL DEFAULT 15"))
    connection.execute(text("ALTER TABLE hvd_job_totals ADD COLUMN updated BIGINT NOT NULL DEFAULT 0"))
    if connection.dialect.name == "sqlite":
        _drop_hosts(connection)


def _drop_hosts(connection: Connection) -> None:
    """Totals on SQLite were HOST/INSTANCE's: a container with a new host name at each start began new ones."""
    sums: dict[tuple[Any, ...], tuple[int, float]] = {}
    for daemon, *of, count, seconds, _ in connection.execute(select(totals)).all():
        key = (daemon.rpartition("/")[2], *of)
        before = sums.get(key, (0, 0.0))
        sums[key] = before[0] + count, before[1] + seconds
    connection.execute(delete(totals))
    for (daemon, kind, status, bucket), (count, seconds) in sums.items():
        row = {"daemon": daemon, "kind": kind, "status": status, "bucket": bucket}
        connection.execute(insert(totals).values(**row, count=count, seconds=seconds, updated=0))


def _to_3(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE hvd_jobs ADD COLUMN retry_of VARCHAR(36)"))


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {2: _to_2, 3: _to_3}
"""What brings a database of the version before to each version; a new one is made at once as it is to be."""

VERSION = 3


def migrate(connection: Connection, name: str) -> None:
    """Make the tables, or bring them to this version. Raises StoreNewer, which gives the database that name."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # an index of a long table takes its time
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    before = 0
    if inspect(connection).has_table(schema_version.name):
        before = connection.scalar(select(func.max(schema_version.c.version))) or 0
    if before > VERSION:
        raise StoreNewer(
            f"the jobs' database {name} has schema version {before}, and this hvd knows {VERSION}: "
            "upgrade hvd, or set another database_url"
        )
    if not before:
        metadata.create_all(connection)
    for version in range(before + 1 if before else VERSION + 1, VERSION + 1):
        MIGRATIONS[version](connection)
    if before < VERSION:
        connection.execute(insert(schema_version).values(version=VERSION))


def job_of(row: Row[Any], shift: int, at: int | None = None) -> Job:
    """The job that a row of the table is; `shift` as clock.py gives it, `at` when the row was read, µs."""
    fields = dict(row._mapping) | {"read_at": at}
    for time in ("created", "updated", "started", "ended", "read_at"):
        fields[time] = None if fields[time] is None else (fields[time] + shift) / 1e6
    fields["progress"] = float(fields["progress"])  # SQLite's RETURNING gives a whole number as an int
    fields["params"] = json.loads(fields["params"])
    fields["output"] = fields["output"].splitlines()
    return Job(**{name: fields[name] for name in Job.__dataclass_fields__})
