"""The head of the screen: health, and how old the numbers are."""

from tests.unit.cli.top.data import frame, metrics, model, text


def test_old_numbers_are_marked() -> None:
    """With their age, and why there are no others; the numbers stay."""
    screen = text(model(), frame(now=160.0))
    assert "STALE 1m" in screen
    lost = text(model().without_connection("connection refused", 103.0), frame(now=101.0))
    assert "STALE" in lost
    assert "No connection, trying again in 2 s: connection refused" in lost
    assert "1,250" in lost


def test_a_pause_is_marked() -> None:
    """With how long it has been."""
    assert "PAUSED 12s" in text(model(), frame(paused_for=12.0))


def test_a_daemon_that_starts_says_so() -> None:
    """Until the first message of its WebSocket, which tells `system_health` alone."""
    known = model().with_snapshot({**metrics(system_health="degraded")["data"]["raw"], "health": "starting"}, 100.0)
    assert "starting" in text(known, frame())
    assert "degraded" in text(known.with_message(metrics(system_health="degraded"), 100.0), frame())


def test_wide_screens_use_words() -> None:
    """Where there is room."""
    assert "12 (10 threads, 2 tasks)" in text(model(), frame(200, 50))
