"""The sums at the end of the newest span: whole or not there, whatever happens to their writer."""

import pytest

from hvd.core import layout
from hvd.core.baseline import Baseline, read_baseline, write_baseline
from hvd.core.block import Block
from hvd.errors import BlockFull


def baseline(number: int, cells: int = 50) -> Baseline:
    return Baseline(number, number + 1, number + 2, memoryview(bytes(range(8)) * cells).cast("q"))


def test_a_new_block_has_an_empty_one(block: Block) -> None:
    """From which the first span begins; of records that are not there yet there is none."""
    first = read_baseline(block, 0)
    assert first
    assert (first.time_ns, first.errors, len(first.cells)) == (0, 0, 0)
    assert read_baseline(block, 1) is None
    assert read_baseline(block, 2) is None


def test_the_newest_two_are_there(block: Block) -> None:
    """So the one of the newest record stays whole while the next is written."""
    for sequence in range(1, 6):
        with block.locked():
            write_baseline(block, sequence, baseline(sequence, 40 + sequence))
    assert [number for number in range(8) if read_baseline(block, number)] == [4, 5]
    assert read_baseline(block, 5) == baseline(5, 45)
    assert read_baseline(block, 4) == baseline(4, 44)


def test_one_that_is_half_written_is_none(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer had no memory, or was killed; the other one stays."""
    with block.locked():
        write_baseline(block, 1, baseline(1))

        def full(*_: object) -> None:
            raise BlockFull("full")

        monkeypatch.setattr(block, "reserve", full)
        with pytest.raises(BlockFull):
            write_baseline(block, 2, baseline(2))
    assert read_baseline(block, 1) == baseline(1)
    assert read_baseline(block, 2) is None
    assert read_baseline(block, 0) is None


def test_it_has_room_for_a_whole_row(block: Block) -> None:
    """And overwrites nothing of what is beside it."""
    shape = block.layout
    before = block.cells[shape.baselines // layout.CELL - 1], block.cells[shape.first_row // layout.CELL]
    for sequence in (1, 2):
        with block.locked():
            write_baseline(block, sequence, Baseline(1, 1, 1, memoryview(b"\1" * shape.row_cells * 8).cast("q")))
    assert (block.cells[shape.baselines // layout.CELL - 1], block.cells[shape.first_row // layout.CELL]) == before
    assert layout.H_BASELINES + 2 * layout.BASELINE_CELLS <= layout.PAGE // layout.CELL
