"""What is told of a block that this version can't use, and where it goes."""

import fcntl
import os
from array import array
from pathlib import Path

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.foreign import KEPT, is_of_hvd, last_totals, set_aside
from tests.unit.core.support import SMALL


@pytest.fixture
def counted(block: Block) -> Block:
    """A block whose every row has counted something."""
    for number in range(SMALL.slots * SMALL.rows):
        head = SMALL.first_row // layout.CELL + number * SMALL.row_cells
        block.cells[head : head + 4] = memoryview(array("q", [7, 5, 1, number]))
    return block


ROWS = SMALL.slots * SMALL.rows
TOTALS = (7 * ROWS, 5 * ROWS, ROWS, ROWS * (ROWS - 1) // 2)


@pytest.mark.parametrize(("form", "row_cells"), [(2, 0), (3, SMALL.row_cells), (99, SMALL.row_cells)])
def test_the_totals_of_any_format_are_told(counted: Block, form: int, row_cells: int) -> None:
    """Of the one before the header said how long rows are, too; whatever the rest of the block is like."""
    counted.cells[layout.H_FORMAT], counted.cells[layout.H_ROW_CELLS] = form, row_cells
    counted.raw[SMALL.slot_table : SMALL.first_row] = os.urandom(SMALL.first_row - SMALL.slot_table)
    assert is_of_hvd(counted.fd)
    assert last_totals(counted.fd) == TOTALS


@pytest.mark.parametrize(
    ("cell", "value"), [("SLOTS", 0), ("ROWS", 2**62), ("SERIES", -1), ("ROW_CELLS", 2**50), ("ROW_CELLS", 8)]
)
def test_a_header_that_cannot_be_tells_no_totals(counted: Block, cell: str, value: int) -> None:
    """None, and no error."""
    counted.cells[getattr(layout, f"H_{cell}")] = value
    assert last_totals(counted.fd) is None


def test_what_begins_otherwise_is_not_of_hvd(counted: Block, tmp_path: Path) -> None:
    """Nor is what is too short to tell."""
    counted.cells[layout.H_MAGIC] += 1
    assert not is_of_hvd(counted.fd)
    with (tmp_path / "short").open("wb+") as file:
        file.write(b"HVDBLOC")
        file.flush()
        assert not is_of_hvd(file.fileno())
        assert last_totals(file.fileno()) is None


def test_what_is_set_aside_is_renamed_and_bounded(tmp_path: Path) -> None:
    """The newest stay, and so does one that somebody holds, and what has another name."""
    path, other = tmp_path / "hvd-x", tmp_path / "hvd-x2.aside-1"
    other.touch()
    kept = list[str]()

    def put_aside(number: int) -> Path:
        path.write_text(str(number))
        with path.open() as file:
            clause = set_aside(path, file.fileno())
        kept.append(clause.removeprefix("it is kept as ").partition(", its totals can't be read")[0])
        assert Path(kept[-1]).read_text() == str(number)
        return Path(kept[-1])

    with put_aside(0).open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        for number in range(1, KEPT + 3):
            put_aside(number)
    assert {str(path) for path in tmp_path.iterdir()} == {str(other), kept[0], *kept[-KEPT:]}
