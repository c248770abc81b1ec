"""Since when the health is what it is, and the last death."""

from typing import Any

import pytest

from hvd.cli.happenings import health_since, last_death

NOW = 1_769_200_200  # 2026-01-23T20:30:00Z
RAW: dict[str, Any] = {"timestamp": "2026-01-23T20:30:00Z"}
START = {"time": NOW - 3600, "kind": "start", "text": "started"}
DEATH = {"time": NOW - 182, "kind": "death", "text": "worker 4711 was killed (SIGKILL)"}
ALERT = {"time": NOW - 177, "kind": "alert", "text": "degraded"}
WORSE = {"time": NOW - 100, "kind": "alert", "text": "unhealthy"}
OVER = {"time": NOW - 50, "kind": "alert_over", "text": "healthy"}


def test_health_is_what_it_is_since_an_event() -> None:
    """The start, the end of an alert, or the first alert after them."""
    assert health_since(RAW, [START, DEATH], is_healthy=True) == "since 19:30:00 UTC, 1h 0m ago"
    assert health_since(RAW, [START, ALERT, OVER], is_healthy=True) == "since 20:29:10 UTC, 50s ago"
    assert health_since(RAW, [START, ALERT, WORSE], is_healthy=False) == "since 20:27:03 UTC, 2m 57s ago"
    yesterday = START | {"time": NOW - 86_400}
    assert health_since(RAW, [yesterday], is_healthy=True) == "since 2026-01-22 20:30:00 UTC, 1d 0h ago"


@pytest.mark.parametrize("events", [None, [], [START], [ALERT | {"time": "x"}], [ALERT | {"time": 1e18}]])
def test_nothing_is_said_where_it_is_not_known(events: list[dict[str, Any]] | None) -> None:
    """An older daemon, or events that don't tell."""
    assert health_since(RAW, events, is_healthy=False) == ""
    assert health_since({}, events, is_healthy=True) == ""


def test_the_last_death_is_told() -> None:
    """With how many there were."""
    assert last_death(RAW, [START, DEATH, ALERT]) == "3m 2s ago: worker 4711 was killed (SIGKILL)"
    again = DEATH | {"until": NOW - 60, "number": 5}
    assert last_death(RAW, [again]).startswith("1m 0s ago: "), "of several alike the last one"
    ends = {"planned": 4, "unplanned": 2, "failed_boots": 3}
    counted = last_death(RAW | {"ends": ends}, [DEATH])
    assert counted.endswith("(SIGKILL); 2 unplanned since the start; 3 failed to boot")
    assert last_death(RAW | {"ends": {"planned": 4, "unplanned": 0, "failed_boots": 0}}, []) == "none"
    assert last_death({}, [DEATH | {"text": "\x1b[2J"}]) == r"\x1b[2J"


def test_an_older_daemon_has_post_mortems() -> None:
    """Without any it is not known whether there was a death."""
    entry = {"time": "2026-01-23T20:29:00Z", "kind": "worker", "pid": 7, "cause": "killed by SIGKILL"}
    assert last_death(RAW | {"post_mortems": [entry]}, None) == "1m 0s ago: worker 7 (killed by SIGKILL)"
    assert last_death(RAW | {"post_mortems": [{"time": 7}]}, None) == "- - (-)"
    assert last_death(RAW, None) == "-"
