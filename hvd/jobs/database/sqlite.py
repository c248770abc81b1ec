"""SQLite as the jobs' database: of one machine, and one writer at a time."""

import contextlib
import os
import sqlite3
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

BUSY = 4.0  # s that SQLite waits for another's write, and anybody for a connection

READS = "hvd_reads"
"""The execution option of a connection whose transactions only read."""


def open_engine(url: URL, connections: int) -> Engine:
    """An engine of that many connections at least. Raises OSError."""
    path = url.database or ""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # gunicorn's umask is 0: SQLite would make the file, and those beside it, writable by all
    with contextlib.suppress(OSError):  # to be told by SQLite, which may still be able to read it
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY},
        pool_size=connections,
        max_overflow=connections,
        pool_timeout=BUSY,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def file_identity(url: URL) -> tuple[int, int] | None:
    """Device and inode of the database's file; None where there is none."""
    try:
        status = os.stat(url.database or "")
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are ours, see _begin
    connection.create_function("lower", 1, _lower, deterministic=True)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        try:
            connection.execute(f"PRAGMA {pragma}").close()
        except sqlite3.OperationalError:  # a file that is read-only stays in the mode that it has
            continue


def _lower(text: str | None) -> str | None:
    """SQLite's own knows the letters of ASCII only."""
    return text.lower() if isinstance(text, str) else text


def _begin(connection: Connection) -> None:
    """A write that begins as a read fails at once when another has written since; so it begins as a write."""
    reads = connection.get_execution_options().get(READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
