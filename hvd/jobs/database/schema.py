"""The jobs' database: tables, their versions, and how SQLite and PostgreSQL are opened. SQLAlchemy 2 Core.

Times are microseconds since the Unix epoch: on PostgreSQL by its own clock, so that several machines agree; on SQLite
by the queue's clock, which goes on evenly whatever becomes of the machine's (see clock.py).
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    exc,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
)

from hvd.errors import StoreNewer, StoreUnavailable
from hvd.jobs.database import clock
from hvd.jobs.database.clock import Clock
from hvd.jobs.database.threads import ticket
from hvd.jobs.ids import micros_of
from hvd.texts import as_toml

BUSY = 4.0  # s that SQLite waits for another's write, and anybody for a connection
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


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {2: _to_2}
"""What brings a database of the version before to each version; a new one is made at once as it is to be."""

VERSION = 2


def load_library(url: str) -> None:
    """Import what a database of that URL takes, and connect to nothing: before a fork, so that processes share it."""
    with contextlib.suppress(ImportError):
        make_url(url).get_dialect().import_dbapi()
        if not url.startswith("sqlite:"):
            import hvd.jobs.database.postgresql  # noqa: F401


class Database:
    """A database of jobs, opened at first use and again after it failed. Thread-safe; not to be used across a fork."""

    def __init__(self, url: str, connections: int = 5) -> None:
        self._url = make_url(url)
        if self._url.get_backend_name() == "postgresql":
            self._url = self._url.set(drivername="postgresql+psycopg")
        self._connections = connections
        self._clock = Clock(0)
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._file: tuple[int, int] | None = None  # device and inode of an open SQLite database

    @property
    def is_local(self) -> bool:
        """True for SQLite: all who use it are on this machine."""
        return self._url.get_backend_name() == "sqlite"

    @property
    def name(self) -> str:
        """The database as messages show it: without its password."""
        return as_toml(self._url.render_as_string(hide_password=True))

    @property
    def clock(self) -> Clock:
        """The queue's clock, which is known once the database is open. Raises StoreUnavailable, StoreNewer."""
        with self._failing():
            self._opened()
        return self._clock

    def reading(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that only reads. Raises StoreUnavailable, StoreNewer."""
        return self._transaction(reads=True)

    def writing(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that writes: of those on SQLite, one at a time. Raises StoreUnavailable, StoreNewer."""
        return self._transaction(reads=False)

    @contextlib.contextmanager
    def _transaction(self, *, reads: bool) -> Iterator[Connection]:
        holder = ticket()
        with self._failing():
            engine = self._opened()
            with (engine.execution_options(hvd_reads=True) if reads else engine).begin() as connection:
                holder.use(connection.connection.info.get("socket"))
                try:
                    yield connection
                    holder.check()
                finally:
                    holder.use(None)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError:
            raise
        except (exc.DBAPIError, exc.TimeoutError) as error:
            if _is_fault(error):
                raise
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()
            raise StoreUnavailable(
                f"the jobs' database {self.name} can't be used: {reason[0] if reason else 'no reason given'}"
            ) from None
        except OSError as error:
            raise StoreUnavailable(f"the jobs' database {self.name} can't be used: {error.strerror}") from None

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is not None and self.is_local and _file(self._url.database) != self._file:
                self._engine.dispose()  # its file was removed or replaced: what is written there, nobody finds again
                self._engine = None
            if self._engine is None:
                self._engine = self._open()
                self._file = _file(self._url.database) if self.is_local else None
            return self._engine

    def _open(self) -> Engine:
        engine = self._sqlite() if self.is_local else self._postgresql()
        try:
            with engine.begin() as connection:
                self._migrate(connection)
                self._clock = self._set_clock(connection)
        except BaseException:
            engine.dispose()
            raise
        return engine.execution_options(hvd_clock=self._clock)

    def _sqlite(self) -> Engine:
        path = self._url.database or ""
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        # gunicorn's umask is 0: SQLite would make the file, and those beside it, writable by all
        with contextlib.suppress(OSError):  # to be told by SQLite, which may still be able to read it
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        engine = create_engine(
            self._url,
            connect_args={"timeout": BUSY},
            pool_size=self._connections,
            max_overflow=self._connections,
            pool_timeout=BUSY,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgresql(self) -> Engine:
        try:
            from hvd.jobs.database import postgresql as server  # here: psycopg is wanted where there is PostgreSQL only
        except ImportError:
            raise StoreUnavailable(
                f"the jobs' database {self.name} needs the package psycopg: pip install 'hvd[postgresql]'"
            ) from None
        engine = create_engine(
            self._url,
            connect_args=server.ARGUMENTS,
            use_native_hstore=False,
            pool_size=self._connections,
            max_overflow=self._connections,
            pool_timeout=BUSY,
        )
        server.watch(engine)
        return engine

    def _migrate(self, connection: Connection) -> None:
        if not self.is_local:
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # an index of a long table takes its time
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        found = 0
        if inspect(connection).has_table(schema_version.name):
            found = connection.scalar(select(func.max(schema_version.c.version))) or 0
        if found > VERSION:
            raise StoreNewer(
                f"the jobs' database {self.name} has schema version {found}, and this hvd knows {VERSION}: "
                "upgrade hvd, or set another database_url"
            )
        if not found:
            metadata.create_all(connection)
        for version in range(found + 1 if found else VERSION + 1, VERSION + 1):
            MIGRATIONS[version](connection)
        if found < VERSION:
            connection.execute(insert(schema_version).values(version=VERSION))

    def _set_clock(self, connection: Connection) -> Clock:
        """The queue's clock: never behind what was noted by it before."""
        if not self.is_local:
            newest = connection.scalar(select(func.max(jobs.c.id)))
            return Clock(max(_server_time(connection), micros_of(newest) if newest else 0) - clock.since_boot())
        boot = clock.boot_id()
        ahead = connection.scalar(select(clocks.c.ahead).where(clocks.c.boot == boot))
        newest = connection.scalar(select(func.max(jobs.c.updated))) or 0
        if ahead is None or (not boot and clock.since_boot() + ahead < newest):  # of a hidden boot that is over
            ahead = max(clock.wall_time(), newest) - clock.since_boot()
            connection.execute(delete(clocks))
            connection.execute(insert(clocks).values(boot=boot, ahead=ahead))
        return Clock(ahead)

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        if self._engine:
            self._engine.dispose()
            self._engine = None


def _file(path: str | None) -> tuple[int, int] | None:
    try:
        status = os.stat(path or "")
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are ours, see _begin_sqlite
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        try:
            connection.execute(f"PRAGMA {pragma}").close()
        except sqlite3.OperationalError:  # a file that is read-only stays in the mode that it has
            continue


def _begin_sqlite(connection: Connection) -> None:
    """A write that begins as a read fails at once when another has written since; so it begins as a write."""
    reads = connection.get_execution_options().get("hvd_reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _is_fault(error: exc.DBAPIError | exc.TimeoutError) -> bool:
    """True where the statement is wrong, which is a fault of ours, and not the database's state."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.OperationalError):
        return original.sqlite_errorcode == sqlite3.SQLITE_ERROR and "no such table" not in str(original)
    # a table that was dropped, a right that was taken away
    is_operators = getattr(original, "sqlstate", None) in ("42P01", "42501")
    return isinstance(error, exc.ProgrammingError | exc.DataError | exc.NotSupportedError) and not is_operators


def now(connection: Connection) -> int:
    """The queue's time, µs."""
    if connection.dialect.name == "sqlite":
        queue_clock: Clock = connection.get_execution_options()["hvd_clock"]
        return queue_clock.micros()
    return _server_time(connection)


def shift(connection: Connection) -> int:
    """What is to be added to a time of the queue where people read it, µs: see clock.py."""
    if connection.dialect.name == "sqlite":
        queue_clock: Clock = connection.get_execution_options()["hvd_clock"]
        return queue_clock.behind()
    return 0


def _server_time(connection: Connection) -> int:
    return int(connection.scalar(text(f"SELECT {SERVER_TIME}")) or 0)


SERVER_TIME = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""PostgreSQL's time as `now` has it."""
