"""The look at the service that the admin server publishes."""

from collections.abc import Mapping
from typing import Any

import pytest

from hvd.core.backlog import Backlog
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.daemon.admin.watch import EVERY, HealthWatch, SaturationWatch
from hvd.metrics.events import read_events
from hvd.read.alert import CALM, SURE
from hvd.read.health import HealthState, Status
from hvd.read.reading import BlockReader
from tests.unit.core.support import own_rows


def test_each_look_is_published(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since when all threads are busy, and since when connections wait."""
    pages: list[Mapping[str, Any]] = []
    monkeypatch.setattr("hvd.read.reading.read_backlog", lambda _: Backlog(3, 100))
    watch = SaturationWatch(BlockReader(block), pages.append)
    rows = own_rows(block)
    Slots(block).say_ready(rows.slot, 1)
    watch()
    assert (pages[-1]["busy_since_ns"], pages[-1]["backlog"]) == (0, 3)
    assert pages[-1]["served_ns"] == pages[-1]["monotonic_ns"]
    rows.mine().begin("GET", "/slow")
    watch()
    watch()
    assert pages[-1]["busy_since_ns"] == pages[-2]["monotonic_ns"] < pages[-1]["monotonic_ns"]
    assert pages[-1]["backlog_since_ns"] == pages[0]["monotonic_ns"]
    Slots(block).say_clients(rows.slot, (0, 0, 0, 0, 0, 4))
    watch()
    assert pages[-1]["backlog"] == 7, "those that wait for a thread too"


class Daemon:
    """Its health, the clock, and an admin server's watch, which may be another one's by now."""

    def __init__(self, block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
        self.block, self.state, self.reasons = block, HealthState("healthy", []), ["saturated: all busy"]
        self.now, self.wall, self.is_newest = 1000.0, 1.8e9, True
        self.replace()
        monkeypatch.setattr("hvd.daemon.admin.watch.time.monotonic", lambda: self.now)
        monkeypatch.setattr("hvd.daemon.admin.watch.time.time", lambda: self.wall + self.now)

    def replace(self) -> None:
        self.watch = HealthWatch(self.block, lambda: self.state, lambda: self.is_newest)

    def be(self, status: Status, seconds: float) -> list[str]:
        """What it is for so long -> all that was told."""
        self.state = HealthState(status, self.reasons if status != "healthy" else [])
        for _ in range(round(seconds / EVERY * 4) + 8):
            self.watch()
            self.now += EVERY / 4
        return [event["text"] for event in read_events(self.block)]


def test_alerts_are_told_and_that_they_are_over(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the state, the reasons, and how long it lasted; by whoever is there when it is over."""
    daemon = Daemon(block, monkeypatch)
    assert daemon.be("healthy", 5) == []
    assert daemon.be("degraded", SURE) == ["degraded: saturated: all busy"]
    daemon.replace()
    assert len(daemon.be("degraded", 60)) == 1
    assert daemon.be("healthy", CALM)[1:] == ["healthy again, after 1m 5s"]
    alert, over = read_events(block)
    assert (alert["kind"], alert["state"], alert["reasons"]) == ("alert", "degraded", ["saturated: all busy"])
    assert (over["kind"], over["state"], over["time"] - alert["time"]) == ("alert_over", "healthy", over["seconds"])


@pytest.mark.parametrize("set_by", [-3600.0, 3600.0])
def test_a_clock_that_is_set_delays_and_hastens_nothing(
    block: Block, monkeypatch: pytest.MonkeyPatch, set_by: float
) -> None:
    """What is due comes by the time that has passed; its time is the clock's."""
    daemon = Daemon(block, monkeypatch)
    daemon.state = HealthState("degraded", daemon.reasons)
    daemon.watch()
    daemon.wall += set_by
    daemon.now += EVERY / 4
    daemon.watch()
    assert read_events(block) == []
    assert len(daemon.be("degraded", SURE)) == 1
    daemon.wall -= set_by
    assert daemon.be("healthy", CALM)[1:] == ["healthy again, after 4s"]


def test_only_the_newest_masters_admin_server_tells(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes on where the other one has ended, once it is the newest again."""
    older = Daemon(block, monkeypatch)
    older.is_newest = False
    assert older.be("degraded", 10) == []
    older.is_newest = True
    assert len(older.be("degraded", 10)) == 1
    older.is_newest = False
    newer = Daemon(block, monkeypatch)
    newer.now = older.now
    assert len(newer.be("healthy", 60)) == 2
    older.now, older.is_newest = newer.now, True
    assert len(older.be("healthy", 60)) == 2
