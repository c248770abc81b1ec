"""Counting what clients that were handed over are answered: by the hub, or by a worker that turns them away."""

import time
from collections.abc import Mapping

from hvd.agg import handoff
from hvd.core.rows import Rows
from hvd.metrics.table import ADMIN, error_of

METHOD, ROUTE = "GET", "/ws"


def count_answer(rows: Rows, headers: Mapping[str, str], status: str) -> None:
    """Count an answer before its first byte leaves: as the service's, whose worker counts its duration; or as the admin
    server's, where the hand-off's headers say that the client came there.
    """
    began = headers.get(handoff.ADMIN, "")
    if began.isdecimal():
        rows.record(ADMIN, (METHOD, ROUTE, status), max(0, time.monotonic_ns() - int(began)))
    else:
        rows.count_response((METHOD, ROUTE, status), error_of(status))
