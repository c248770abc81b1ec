"""What WebSocket clients are told first."""

import json

from hvd.agg.messages import first_messages
from hvd.metrics.columns import COLUMNS
from hvd.read.snapshot import build_raw
from tests.unit.figures import make_jobs, make_reading, make_totals


def test_new_clients_get_the_figures_what_is_wrong_and_the_jobs() -> None:
    """All of one moment; the columns of the history are in it, so that a client can draw any."""
    jobs = make_jobs(recent=[{"id": "a", "kind": "convert", "status": "pending"}])
    raw = build_raw(make_reading(make_totals({}), jobs=jobs), healthy=False)
    metrics, status, recent = map(json.loads, first_messages(raw, ["disk full: jobs wait"]))
    assert [message["type"] for message in (metrics, status, recent)] == ["metrics", "status", "jobs"]
    assert {message["timestamp"] for message in (metrics, status, recent)} == {raw["timestamp"]}
    assert metrics["data"] == {"raw": raw}
    assert status["data"]["reasons"] == ["disk full: jobs wait"]
    assert (status["data"]["system_health"], status["data"]["jobs_active"]) == ("degraded", 0)
    assert [column["name"] for column in status["data"]["columns"]] == [column.name for column in COLUMNS]
    assert recent["data"] == {"jobs": raw["recent_jobs"]}
