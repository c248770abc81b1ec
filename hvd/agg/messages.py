"""What WebSocket clients are told, as JSON texts. Pure."""

import json
from collections.abc import Mapping

from hvd import __version__
from hvd.metrics.columns import DETAILS
from hvd.read.jobs import JOB_COUNTS
from hvd.read.snapshot import Raw


def message(kind: str, timestamp: str, data: Mapping[str, object]) -> str:
    """A message of that type."""
    return json.dumps({"type": kind, "timestamp": timestamp, "data": data}, separators=(",", ":"))


def first_messages(raw: Raw, reasons: list[str]) -> tuple[str, str, str]:
    """What a new client gets at once; the first of them, `metrics`, is what all get with each tick."""
    at = raw["timestamp"]
    status: dict[str, object] = {
        "version": __version__,
        "system_health": raw["system_health"],
        "uptime_seconds": raw["uptime_seconds"],
        "requests": raw["requests"],
        **{name: raw[name] for name in JOB_COUNTS},
        "reasons": reasons,
        "columns": DETAILS,
    }
    return (
        message("metrics", at, {"raw": raw}),
        message("status", at, status),
        message("jobs", at, {"jobs": raw["recent_jobs"]}),
    )
