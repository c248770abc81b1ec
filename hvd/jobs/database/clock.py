"""The queue's clock: PostgreSQL's own, so that several machines agree.

On SQLite it is as even as the time since the machine's start, whatever becomes of the machine's wall clock. Due times,
durations, order and ages are of the queue's clock. Where it and the wall clock differ by now, people are shown times by
the wall clock: `shift` says by how much.
"""

import time

from sqlalchemy import Connection, delete, func, insert, select, text

from hvd.jobs.database.schema import clocks, jobs
from hvd.jobs.ids import micros_of

SERVER_TIME = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""PostgreSQL's time as `now` has it."""

OPTION = "hvd_clock"
"""The execution option of a connection that holds its `Clock`."""

SETTLED = 1_000_000  # µs; a smaller difference is none: a step of less is not one that people see


class Clock:
    """The time since the boot, and what is to be added to it, µs. Safe everywhere."""

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead

    def micros(self) -> int:
        """The time now, µs since the Unix epoch as they were known when the clock was set."""
        return since_boot() + self._ahead

    def shift(self) -> int:
        """How far the wall clock is ahead of this one, µs; whole seconds, so that it is the same at each call."""
        return round((wall_time() - self.micros()) / SETTLED) * SETTLED


def now(connection: Connection) -> int:
    """The queue's time, µs."""
    return _own(connection).micros() if connection.dialect.name == "sqlite" else _server_time(connection)


def shift(connection: Connection) -> int:
    """What is to be added to a time of the queue where people read it, µs."""
    return _own(connection).shift() if connection.dialect.name == "sqlite" else 0


def _own(connection: Connection) -> Clock:
    own: Clock = connection.get_execution_options()[OPTION]
    return own


def _server_time(connection: Connection) -> int:
    return int(connection.scalar(text(f"SELECT {SERVER_TIME}")) or 0)


def clock_of(connection: Connection) -> Clock:
    """The clock of a database that has just been opened: never behind what was noted by it before."""
    if connection.dialect.name == "postgresql":
        newest = connection.scalar(select(func.max(jobs.c.id)))
        return Clock(max(_server_time(connection), micros_of(newest) if newest else 0) - since_boot())
    boot = boot_id()
    ahead = connection.scalar(select(clocks.c.ahead).where(clocks.c.boot == boot))
    newest = connection.scalar(select(func.max(jobs.c.updated))) or 0
    if ahead is None or (not boot and since_boot() + ahead < newest):  # of a hidden boot that is over
        ahead = max(wall_time(), newest) - since_boot()
        connection.execute(delete(clocks))
        connection.execute(insert(clocks).values(boot=boot, ahead=ahead))
    return Clock(ahead)


def since_boot() -> int:
    """µs, those included for which the machine slept."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def wall_time() -> int:
    """µs since the Unix epoch, as the machine believes."""
    return time.time_ns() // 1000


def boot_id() -> str:
    """Names this run of the machine; empty where /proc hides it (systemd's ProcSubset=pid)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
