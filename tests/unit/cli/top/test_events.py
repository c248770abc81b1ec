"""What happened to the daemon."""

import pytest

from hvd.cli.top.events import EVENTS, MARKS, RECENT, ago_text, event_rows, local_time, style_of
from tests.unit.cli.top.data import event, table_texts

NOW = 1769200200.0


def test_the_newest_is_first() -> None:
    """With its letter, and how long ago it was; deaths are red."""
    rows = EVENTS.sort(event_rows([event(1, "reload"), event(2, "death")], NOW))
    _, first, second = table_texts(EVENTS, rows)
    assert first.split()[:2] == ["D", "death"]
    assert "2m 40s ago" in first
    assert second.split()[0] == "R"
    assert [style_of(row) for row in rows] == ["bold red", "bold cyan"]
    assert [EVENTS.what.style(row) for row in rows] == ["red", ""]
    assert [EVENTS.what.style(row) for row in event_rows([event(2, "death")], NOW + RECENT)] == [""], "long ago"
    assert len(set(MARKS.values())) == len(MARKS)


def test_times_have_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no time is unknown."""
    assert local_time(NOW).split()[0].startswith("2026-01-2")
    assert len(local_time(NOW).split()) == 3
    assert [local_time(value) for value in (None, "x", 1e17)] == ["-", "-", "-"]
    assert [ago_text(0.4), ago_text(75.0)] == ["now", "1m 15s ago"]
