"""Leases of runners: a runner holds one, and its running jobs with it.

On one machine a runner is gone when its process is; of another machine's, only the lease tells: it is over when it was
seen unrenewed for its whole length, by the watcher's own monotonic clock, and with a database that answered. So neither
a clock that steps nor a database that was away makes a living runner lose its jobs.
"""

import os
import socket
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from hvd.core.proc import is_alive, start_ticks
from hvd.jobs.database import clock
from hvd.jobs.database.clock import boot_id
from hvd.jobs.database.connection import Database
from hvd.jobs.database.schema import runners, totals
from hvd.jobs.ids import new_id


@dataclass(frozen=True)
class Runner:
    """A job runner: a process of a machine."""

    id: str
    host: str
    machine: str
    pid: int
    pid_start: int

    @classmethod
    def here(cls) -> "Runner":
        """This process, as a new runner."""
        return cls(new_id(), socket.gethostname(), machine(), os.getpid(), start_ticks(os.getpid()))


def machine() -> str:
    """Where a pid means what it means here: this boot of this machine, and this pid namespace (namespaces(7)).

    Where /proc hides the boot (subset=pid), no other runner is known to be here, and leases alone count.
    """
    return f"{boot_id() or new_id()}/{os.readlink('/proc/self/ns/pid')}"


class Leases:
    """One runner's lease, and what it knows of those of others. One thread at a time.

    Every method raises StoreUnavailable, StoreNewer.
    """

    def __init__(self, database: Database, runner: Runner, daemon: str, length: float) -> None:
        """`daemon` is the name that totals are kept under, `length` that of the lease in s."""
        self.runner = runner
        self.length = length
        self.name_before = daemon  # under which an older hvd counted, until `renew` was called once
        self.has_rivals = False  # whether a runner of another machine was there when the lease was renewed last
        self._database = database
        self._daemon = daemon
        self._seen: dict[str, tuple[int, float]] = {}  # others: the end of a lease, and when that was first seen

    def renew(self) -> bool:
        """Hold the lease from now on. False if it was lost, or never had: what we ran isn't ours any more."""
        with self._database.writing() as connection:
            until = clock.now(connection) + round(self.length * 1e6)
            own = update(runners).where(runners.c.id == self.runner.id).values(lease_until=until, lease=self.length)
            is_held = bool(connection.execute(own).rowcount)
            if not is_held:
                me = {name: getattr(self.runner, name) for name in ("id", "host", "machine", "pid", "pid_start")}
                connection.execute(insert(runners).values(**me, lease_until=until, lease=self.length))
                self._take_name(connection)
            rival = select(runners.c.id).where(runners.c.machine != self.runner.machine).limit(1)
            self.has_rivals = connection.scalar(rival) is not None
            return is_held

    def _take_name(self, connection: Connection) -> None:
        if self.name_before != self._daemon:
            connection.execute(update(totals).where(totals.c.daemon == self.name_before).values(daemon=self._daemon))
            self.name_before = self._daemon

    def leave(self) -> None:
        """Give the lease up: at a clean stop, once nothing runs any more."""
        with self._database.writing() as connection:
            connection.execute(delete(runners).where(runners.c.id == self.runner.id))

    def dead_runners(self) -> list[Runner]:
        """The runners that are gone: dead on this machine, or silent for a whole lease on another."""
        with self._database.reading() as connection:
            rows = connection.execute(select(runners).where(runners.c.id != self.runner.id)).all()
        known = {row.id for row in rows}
        self._seen = {name: seen for name, seen in self._seen.items() if name in known}
        return [Runner(row.id, row.host, row.machine, row.pid, row.pid_start) for row in rows if self.is_over(row)]

    def is_over(self, row: Row[Any]) -> bool:
        """True if the runner of that row is gone, or silent for its whole lease."""
        if row.machine == self.runner.machine:
            return not is_alive(row.pid, row.pid_start)
        now = time.monotonic()
        if self._seen.get(row.id, (None,))[0] != row.lease_until:
            self._seen[row.id] = row.lease_until, now
        return now - self._seen[row.id][1] > float(row.lease)
