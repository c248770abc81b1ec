"""The badge says what is known: unknown is not healthy."""

import pytest

from hvd.cli.top.badge import badge, is_stale
from hvd.cli.top.model import Model
from tests.unit.cli.top.data import frame, metrics, model


@pytest.mark.parametrize("health", ["healthy", "starting", "degraded", "unhealthy"])
def test_it_is_what_the_daemon_said_last(health: str) -> None:
    """While that is fresh: two intervals and a second."""
    known = model().with_message(metrics(health=health, system_health="degraded"), 100.0)
    assert badge(known, frame(now=104.9)) == health
    assert badge(known, frame(now=105.1)) == "unknown"


def test_an_older_daemon_has_system_health_alone() -> None:
    """And one that says neither, or something odd, is unknown."""
    assert badge(model(), frame()) == "healthy"
    assert badge(model().with_message(metrics(system_health=None), 100.0), frame()) == "unknown"
    assert badge(model().with_message(metrics(health="fine"), 100.0), frame()) == "unknown"
    assert badge(Model(), frame()) == "unknown"


def test_nobody_answers() -> None:
    """Until somebody does: over HTTP or the WebSocket. What was asked before the last news is no news."""
    lost = model(100.0).without_answer("connection refused", 100.5)
    assert badge(lost, frame()) == "unreachable"
    assert badge(lost.with_snapshot({"system_health": "healthy"}, 101.0), frame(now=101.0)) == "healthy"
    assert badge(lost.with_message(metrics(), 101.0).with_connection(), frame(now=101.0)) == "healthy"
    assert badge(model(100.0).without_answer("timed out", 95.0), frame()) == "healthy"


def test_a_lost_socket_alone_changes_nothing() -> None:
    """HTTP tells the same."""
    assert badge(model().without_connection("refused", 101.0), frame()) == "healthy"


def test_during_a_pause_it_is_of_now() -> None:
    """The numbers are old, the state of the daemon is not."""
    assert badge(model(), frame(now=900.0, state="degraded")) == "degraded"
    states = ("healthy", "unhealthy", "unknown", "unreachable")
    assert [is_stale(model(), frame(state=state)) for state in states] == [False, False, True, True]
