"""The history of a daemon: the block's ring, with points that have hvd's columns."""

from hvd.core.block import Block
from hvd.core.history import History
from hvd.metrics.bounds import COARSE
from hvd.metrics.columns import VALUES


def history_of(block: Block) -> History:
    """The ring of a block: a point's values are those of columns.VALUES, its counts by the buckets of bounds.COARSE."""
    return History(block, len(VALUES), len(COARSE) + 1)
