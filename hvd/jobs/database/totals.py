"""Totals of ended jobs: added to in the transaction that ends the jobs, under a name that each daemon keeps."""

import contextlib
import os
import socket
import uuid
from pathlib import Path
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


def short_name(database_url: str, instance: str) -> str:
    """The instance, with the host where machines share a database. SQLite is one machine's, and so are its names."""
    return instance if database_url.startswith("sqlite:") else f"{socket.gethostname()}/{instance}"


def daemon_name(database_url: str, state_dir: str, instance: str) -> str:
    """The name for totals. In a shared database it is kept in the state folder: a container may have a new host name at
    each start, and another one that of before. Where nothing can be kept, the short name has to do.
    """
    name = short_name(database_url, instance)
    if name == instance:
        return name
    path = Path(state_dir) / f"daemon-{instance}"
    with contextlib.suppress(OSError):
        if not path.exists():
            _keep(path, f"{name[:240]}/{uuid.uuid4().hex[:8]}")
        return path.read_text(encoding="utf-8")
    return name


def _keep(path: Path, name: str) -> None:
    """Write the name into the file, unless another process was first, whose name all use then."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        file.write(name)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink()
