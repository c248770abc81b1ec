"""Connections of an app that stay open: WebSockets, and streams of server-sent events."""

import time

from hvd.instrument.counting import counting
from hvd.metrics.table import CONNECTION_DURATIONS, CONNECTIONS

OPENED, CLOSED = range(2)
"""Cells of CONNECTIONS: how many were opened, and how many of them are closed by now."""


class Connection:
    """One that is open from now on, of this kind and route. The thread that opened it closes it, once.

    It counts in the rows that the process has at the moment. Connections that a dead process left open are closed when
    its slot is settled.
    """

    __slots__ = ("_begin_ns", "_labels")

    def __init__(self, kind: str, route: str) -> None:
        self._labels = kind, route
        self._begin_ns = time.monotonic_ns()
        self._add(OPENED)

    def close(self) -> None:
        """It is over; its duration counts."""
        self._add(CLOSED)
        counting.rows.record(CONNECTION_DURATIONS, self._labels, time.monotonic_ns() - self._begin_ns)

    def _add(self, cell: int) -> None:
        rows = counting.rows
        rows.mine().add(rows.runs[CONNECTIONS.key][self._labels] + cell, 1)
