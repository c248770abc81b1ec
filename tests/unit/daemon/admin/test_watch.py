"""The look at the service that the admin server publishes."""

from collections.abc import Mapping
from typing import Any

import pytest

from hvd.core.backlog import Backlog
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.daemon.admin.watch import SaturationWatch
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
