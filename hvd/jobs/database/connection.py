"""Connections to the jobs' database: opened at first use, and again after it failed."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, exc, make_url

from hvd.errors import StoreUnavailable
from hvd.jobs.database import sqlite
from hvd.jobs.database.clock import OPTION, Clock, clock_of
from hvd.jobs.database.schema import migrate
from hvd.jobs.database.threads import ticket
from hvd.texts import as_toml


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
        """True for SQLite: all its users are on this machine."""
        return self._url.get_backend_name() == "sqlite"

    @property
    def name(self) -> str:
        """The database as messages show it: without its password."""
        return as_toml(self._url.render_as_string(hide_password=True))

    @property
    def clock(self) -> Clock:
        """The queue's clock, which is known once the database is open. Raises StoreUnavailable, StoreNewer."""
        with self._as_unavailable():
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
        with self._as_unavailable():
            engine = self._opened()
            if reads:
                engine = engine.execution_options(**{sqlite.READS: True})
            with engine.begin() as connection:
                holder.use(connection.connection.info.get("socket"))
                try:
                    yield connection
                    holder.check()
                finally:
                    holder.use(None)

    @contextlib.contextmanager
    def _as_unavailable(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError:
            raise
        except (exc.DBAPIError, exc.TimeoutError) as error:
            if _is_fault(error):
                raise
            if _is_read_only(error):
                with self._opening:
                    self.close()
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()
            raise StoreUnavailable(
                f"the jobs' database {self.name} can't be used: {reason[0] if reason else 'no reason given'}"
            ) from None
        except OSError as error:
            raise StoreUnavailable(f"the jobs' database {self.name} can't be used: {error.strerror}") from None

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is not None and self.is_local and sqlite.file_identity(self._url) != self._file:
                self._engine.dispose()  # its file was removed or replaced: writes would be lost
                self._engine = None
            if self._engine is None:
                self._engine = self._open()
                self._file = sqlite.file_identity(self._url) if self.is_local else None
            return self._engine

    def _open(self) -> Engine:
        engine = self._engine_of_backend()
        try:
            with engine.begin() as connection:
                migrate(connection, self.name)
                self._clock = clock_of(connection)
        except BaseException:
            engine.dispose()
            raise
        return engine.execution_options(**{OPTION: self._clock})

    def _engine_of_backend(self) -> Engine:
        if self.is_local:
            return sqlite.open_engine(self._url, self._connections)
        try:
            from hvd.jobs.database import postgresql  # here: psycopg is wanted where there is PostgreSQL only
        except ImportError:
            raise StoreUnavailable(
                f"the jobs' database {self.name} needs the package psycopg: pip install 'hvd[postgresql]'"
            ) from None
        return postgresql.open_engine(self._url, self._connections)

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        if self._engine:
            self._engine.dispose()
            self._engine = None


def _is_fault(error: exc.DBAPIError | exc.TimeoutError) -> bool:
    """True where the statement is wrong, which is a fault of ours, and not the database's state."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.OperationalError):
        return original.sqlite_errorcode == sqlite3.SQLITE_ERROR and "no such table" not in str(original)
    # a table that was dropped, a right that was taken away
    is_operators = getattr(original, "sqlstate", None) in ("42P01", "42501")
    return isinstance(error, exc.ProgrammingError | exc.DataError | exc.NotSupportedError) and not is_operators


def _is_read_only(error: exc.DBAPIError | exc.TimeoutError) -> bool:
    """True where SQLite can't write. What a process has opened of such a file stays so until all of it is closed."""
    original = getattr(error, "orig", None)
    if not isinstance(original, sqlite3.OperationalError):
        return False
    return original.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY
