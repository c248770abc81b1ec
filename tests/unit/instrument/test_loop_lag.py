"""How late an event loop is."""

import asyncio
import time

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.instrument import loop_lag
from hvd.instrument.counting import Counting
from hvd.instrument.loop_lag import LoopWatch
from hvd.read.stacks import LOOP_PERIOD
from tests.unit.core.support import own_rows


@pytest.fixture
def cells(block: Block, monkeypatch: pytest.MonkeyPatch) -> memoryview:
    """S_LOOP_NS and S_LOOP_LAG_NS of the slot of this process."""
    counting = Counting()
    counting.fill(own_rows(block))
    monkeypatch.setattr(loop_lag, "counting", counting)
    cell = block.layout.slot_cell(counting.rows.slot)
    return block.cells[cell + layout.S_LOOP_NS : cell + layout.S_LOOP_LAG_NS + 1]


def test_a_loop_tells_when_it_turned_and_how_late_it_was(cells: memoryview) -> None:
    """Its lateness is that of the latest of some turns; when it ends it tells nothing."""

    async def run() -> None:
        watch = LoopWatch(asyncio.get_running_loop())
        turned = cells[0]
        assert time.monotonic_ns() - turned < 1e9
        stand_still(2 * LOOP_PERIOD)
        await asyncio.sleep(LOOP_PERIOD / 2)
        assert cells[0] > turned
        assert 0.9 * LOOP_PERIOD < cells[1] / 1e9 < 20
        late = cells[1]
        await asyncio.sleep(2 * LOOP_PERIOD)
        assert cells[1] >= late
        watch.stop()
        assert cells[0] == 0

    stand_still = time.sleep
    asyncio.run(run())
