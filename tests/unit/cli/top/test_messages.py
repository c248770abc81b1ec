"""What is wrong, in words."""

from tests.unit.cli.top.data import frame, metrics, model, text


def test_what_is_wrong_is_said() -> None:
    """Reasons, alerts, and workers that died at work."""
    known = model().with_message(metrics(system_health="degraded", alerts=[{"message": "hot"}]), 100.0)
    died = {"time": "2026-01-23T20:29:00Z", "kind": "worker", "pid": 9, "cause": "SIGKILL"}
    request = {"method": "GET", "path": "/slow", "age_seconds": 2.0}
    known = known.with_health({"reasons": ["aggregator away"]}).with_post_mortems(
        {"post_mortems": [{**died, "requests": [request]}]}
    )
    screen = text(known, frame())
    for part in ("degraded", "! aggregator away", "! hot", "worker 9 died 1m 0s ago (SIGKILL) at GET /slow 2.0s"):
        assert part in screen, screen
