"""Exemplars: written into the block that the process counts in."""

from hvd.core.block import Block
from hvd.core.own.notes import Exemplar, Notes
from hvd.metrics.instruments import exemplars


def test_written_into_the_block(block: Block, slot: int) -> None:
    """For whoever reads it."""
    exemplars.write(200, {"trace": "x"}, 1, 2.0)
    notes = Notes(block)
    notes.read()
    assert notes.of(200, 201) == {0: Exemplar({"trace": "x"}, 1, 2.0)}


def test_without_a_block_nothing_happens() -> None:
    """As in a plain interpreter."""
    exemplars.write(200, {"trace": "x"}, 1, 2.0)
