"""Which requests are found to be slow, each until it is noted."""

import time

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.daemon.stacks.slow import SlowRequests
from tests.unit.core.support import WORKER, own_rows, respond


@pytest.fixture
def rows(block: Block) -> Rows:
    return own_rows(block)


def test_a_request_is_found_until_it_is_noted(block: Block, rows: Rows) -> None:
    """Once it is old enough; the next one of its thread is another one."""
    slow = SlowRequests(block)
    row = rows.mine()
    row.begin("GET", "/x")
    assert slow.find(WORKER, 60, 0.0) == []
    time.sleep(0.002)
    (request,) = slow.find(WORKER, 0.001, 0.0)
    assert request.text == "GET /x"
    assert slow.find(WORKER, 0.001, 0.0) == [request]
    slow.note(WORKER, [request], 0.0)
    assert slow.find(WORKER, 0.001, 0.0) == []
    respond(row, "GET", "/x", "200")
    row.finish()
    assert slow.find(WORKER, 0.001, 0.0) == []
    row.begin("GET", "/y")
    time.sleep(0.002)
    assert [one.text for one in slow.find(WORKER, 0.001, 0.0)] == ["GET /y"]


def test_a_slot_is_left_alone_for_a_time(block: Block, rows: Rows) -> None:
    """What has become slow meanwhile is found then."""
    slow = SlowRequests(block)
    slow.find(WORKER, 0.001, 10.0)
    slow.note(WORKER, [], 11.0)
    rows.mine().begin("GET", "/x")
    time.sleep(0.002)
    assert slow.find(WORKER, 0.001, 10.9) == []
    assert len(slow.find(WORKER, 0.001, 11.0)) == 1


def test_what_waits_as_it_should_is_not_slow(block: Block, rows: Rows) -> None:
    """A request of hvd's own for more of a job's output."""
    rows.mine().begin("GET", "/jobs/20260101-abc/output")
    block.cells[block.layout.row_cell(WORKER, 0) + layout.R_BEGIN_NS] = 1
    assert SlowRequests(block).find(WORKER, 1.0, 0.0) == []
