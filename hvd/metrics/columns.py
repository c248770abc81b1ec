"""The columns of the history: what a point of it has, beside its buckets of latencies.

A point in the block has its values in this order, so another set of columns needs a new layout.FORMAT. Page and
terminal learn the columns from the daemon: `columns` in the message `status`, `column_details` in /api/v1/history.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Column:
    """One figure of a point. The page draws columns of one `chart` together, and those of none, "", not at all.

    People read its `title`.
    """

    name: str
    unit: str
    title: str
    chart: str


VALUES: tuple[Column, ...] = (
    Column("requests_per_second", "1/s", "requests/s", "Requests"),
    Column("error_rate", "ratio", "errors", ""),
    Column("p50", "ms", "p50", "Latency"),
    Column("p90", "ms", "p90", "Latency"),
    Column("p99", "ms", "p99", "Latency"),
    Column("cpu_usage", "percent", "CPU", "CPU"),
    Column("memory_usage", "bytes", "memory", "Memory"),
    Column("websocket_clients", "count", "clients", "WebSocket clients"),
    Column("jobs_active", "count", "running", "Jobs"),
    Column("jobs_pending", "count", "waiting", "Jobs"),
    Column("in_flight", "count", "in flight", ""),
    Column("busy_ratio", "ratio", "busy threads", "Saturation"),
    Column("server_error_rate", "ratio", "5xx", "Errors"),
    Column("client_error_rate", "ratio", "4xx", "Errors"),
)

COLUMNS = (Column("time", "unix_seconds", "time", ""), *VALUES)
"""A point as clients see it: its time comes first."""

DETAILS = tuple(asdict(column) for column in COLUMNS)
"""The columns as JSON has them."""
