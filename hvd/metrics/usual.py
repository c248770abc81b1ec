"""Label values that /metrics shows from the start, as 0: so the first crash is an increase, and not a new series.

Prometheus' increase() and rate() ignore a series' first sample. This is the one list of usual values; others begin a
new series when they first occur. None of the usual ones takes cells in the block.
"""

from itertools import product

from hvd.core import layout

JOB_OPEN = ("pending", "running")
"""Statuses of jobs that have not ended."""

JOB_ENDED = ("completed", "failed", "cancelled")
"""Statuses that stay."""

SIGNALS = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGTERM")
"""By which processes die: of the kernel when memory is short, of their own faults, of operators."""

EXIT_CAUSES = ("exit 0", "exit 1", "exit 3", "exit 4", *SIGNALS, "timeout")
"""How a process ends: 3 and 4 are gunicorn's for a worker that can't boot and an app that can't be loaded."""

JOINED = layout.KIND_NAMES[layout.KIND_JOINED]
"""Processes that are observed, and no part of the daemon."""
UNSEEN = JOINED, layout.KIND_NAMES[layout.KIND_MASTER]
"""Kinds of processes that nobody of the daemon reaps."""
OWN_KINDS = tuple(name for name in layout.KIND_NAMES.values() if name not in UNSEEN)
"""Kinds of processes whose master knows how they end."""

ABORT_CAUSES = (*SIGNALS, "timeout", "exit 1", "exception", "client_left", "unknown")
"""Why a request is aborted: its worker's death, an exception that left the worker's control, or its client's end."""

REFUSALS = ("400", "403", "426", "501", "503")
"""Statuses with which upgrades are refused."""

DISCONNECTIONS = (
    "client",
    "error",
    "ping_timeout",
    "too_slow",
    "flood",
    "message_too_big",
    "protocol",
    "access",
    "going_away",
)
"""Why a WebSocket connection ends, see `Hub.client_left`."""

USUAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "aborted": tuple((cause,) for cause in ABORT_CAUSES),
    "exits": (*product(OWN_KINDS, EXIT_CAUSES), *product(UNSEEN, ("exit", "unknown"))),
    "handoffs_refused": tuple((status,) for status in REFUSALS),
    "ws_disconnected": tuple((reason,) for reason in DISCONNECTIONS),
}
"""The usual label values of a family, by its key."""
