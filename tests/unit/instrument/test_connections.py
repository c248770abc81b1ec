"""Connections of an app that stay open."""

import pytest

from hvd.core.block import Block
from hvd.core.totals import Reader
from hvd.instrument import connections
from hvd.instrument.connections import Connection
from hvd.instrument.counting import Counting
from hvd.metrics.table import CONNECTION_DURATIONS, CONNECTIONS
from tests.unit.core.support import own_rows


def test_a_connection_is_open_until_it_is_closed(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """By kind and route; its duration counts then."""
    counting = Counting()
    counting.fill(own_rows(block))
    monkeypatch.setattr(connections, "counting", counting)

    def cells(family: str) -> dict[tuple[str, ...], list[int]]:
        totals = Reader(block).read()
        return {series.labels: totals.run(series).tolist() for series in totals.of(family)}

    first, second = Connection("websocket", "/a"), Connection("websocket", "/a")
    Connection("sse", "/b")
    assert cells(CONNECTIONS.key) == {("websocket", "/a"): [2, 0], ("sse", "/b"): [1, 0]}
    first.close()
    second.close()
    assert cells(CONNECTIONS.key)["websocket", "/a"] == [2, 2]
    ((count, ns, *buckets),) = cells(CONNECTION_DURATIONS.key).values()
    assert (count, sum(buckets)) == (2, 2)
    assert ns > 0
