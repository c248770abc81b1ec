"""Whose request a client was that was handed over."""

import time

import pytest

from hvd.agg import handoff
from hvd.agg.answers import count_answer
from hvd.core.block import Block
from hvd.core.totals import Reader
from hvd.metrics.table import ADMIN, HTTP
from tests.unit.core.support import counts, own_rows


@pytest.mark.parametrize("headers", [{}, {handoff.ADMIN: ""}, {handoff.ADMIN: "-1"}, {handoff.ADMIN: "x"}])
def test_a_client_of_the_service_counts_there(block: Block, headers: dict[str, str]) -> None:
    """Its worker counts how long it took."""
    count_answer(own_rows(block), headers, "503")
    assert counts(block) == {("GET", "/ws", "503"): 1}
    assert counts(block, ADMIN.key) == {}
    assert Reader(block).read().heads.errors == 1


def test_a_client_of_the_admin_server_counts_apart(block: Block) -> None:
    """With the time since it came; nothing of it in the service's requests."""
    count_answer(own_rows(block), {handoff.ADMIN: str(time.monotonic_ns() - 5_000_000)}, "503")
    assert counts(block) == {}
    assert counts(block, ADMIN.key) == {("GET", "/ws", "503"): 1}
    totals = Reader(block).read()
    (series,) = (one for one in totals.of(ADMIN.key) if totals.cells[one.offset])
    assert 5_000_000 <= totals.cells[series.offset + 1] < 5_000_000_000
    assert (totals.heads.errors, totals.heads.started) == (0, 0)
    assert HTTP.key != ADMIN.key
