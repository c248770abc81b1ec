"""Where a process counts."""

from hvd.core.block import Block
from hvd.instrument.counting import Counting
from tests.unit.core.support import own_rows


def test_it_counts_in_the_rows_that_it_was_given(block: Block) -> None:
    """The caller's row is one of them."""
    rows, counting = own_rows(block), Counting()
    counting.fill(rows)
    assert (counting.rows, counting.local.row) == (rows, rows.mine())
