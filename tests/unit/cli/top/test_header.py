"""The head of the screen: health, how old the numbers are, and what is wrong."""

from hvd.cli.top.header import message_lines
from tests.unit.cli.top.data import event, frame, metrics, model, text


def test_old_numbers_a_pause_and_words_where_there_is_room() -> None:
    """What is old is marked with its age, and why there is nothing newer; the numbers stay."""
    assert "STALE 1m" in text(model(), frame(now=160.0))
    known = model().without_connection("connection refused", 103.0)
    assert "No WebSocket, asking by HTTP, trying again in 2 s: connection refused" in text(known, frame(120, now=101.0))
    assert "degraded · asked" in text(known.with_message(metrics(health="degraded"), 100.0), frame())
    lost = text(known.without_answer("connection refused", 100.5), frame(now=101.0))
    for part in (
        "unreachable",
        "STALE",
        "No connection, asking every 2 s: connection refused. Last heard of it 1s ago.",
        "1,250",
    ):
        assert part in lost
    assert "PAUSED 12s" in text(model(), frame(paused_for=12.0))


def test_a_daemon_that_starts_says_so() -> None:
    """Until the first message of its WebSocket, which tells `system_health` alone."""
    known = model().with_snapshot({**metrics(system_health="degraded")["data"]["raw"], "health": "starting"}, 100.0)
    assert "starting" in text(known, frame())
    assert "degraded" in text(known.with_message(metrics(system_health="degraded"), 100.0), frame())


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


def test_red_is_for_errors_of_the_server() -> None:
    """And dim for what was wrong when something was last heard."""
    known = model().with_health({"reasons": ["failing: 98 % are 5xx", "stuck: worker 7"]})
    styles = [[str(line.style) for line in message_lines(known, frame(now=now))] for now in (100.5, 160.0)]
    assert styles == [["bold red", "bold yellow"], ["dim", "dim"]]


def test_all_of_a_reason_is_printed() -> None:
    """Where there is no screen whose room it would take; on one it is a line."""
    known = model().with_message(metrics(health="degraded", reasons=["saturated: " + "word " * 30 + "end"]), 100.0)
    assert "\n  word" in text(known, frame(80, None))
    assert "end\n" in text(known, frame(80, None))
    assert "…" in text(known, frame(80, 24))


def test_a_death_without_a_request_is_told_too() -> None:
    """Of an idle worker, or of a companion: the event is all that there is. Nobody's death is told twice."""
    died = {"time": "2026-01-23T20:29:00Z", "kind": "worker", "pid": 9, "cause": "SIGKILL", "requests": []}
    events = [event(6, "death", pid=9), event(7, "boot_failed"), event(8, "death", pid=7, text="aggregator 7 died")]
    known = model().with_post_mortems({"post_mortems": [died]}).with_events({"events": events, "newest": 8})
    assert "! 40s ago: aggregator 7 died; 2 before" in text(known, frame())
    lines = [line for line in text(known, frame(80, 60)).splitlines() if line.startswith("!")]
    assert [line.split(" ago")[0] for line in lines] == ["! 40s", "! worker 9 died 1m 0s", "! 1m 0s"]


def test_a_death_of_long_ago_is_no_news() -> None:
    """It is in the list of events."""
    died = {"kind": "worker", "pid": 9, "cause": "SIGKILL", "requests": []}
    at = "2026-01-23T%s:00Z"
    known = model().with_post_mortems(
        {"post_mortems": [{**died, "time": at % "20:20"}, {**died, "pid": 8, "time": at % "19:29"}]}
    )
    screen = text(known, frame(80, None))
    assert "worker 9 died 10m 0s ago" in screen
    assert "worker 8" not in screen
