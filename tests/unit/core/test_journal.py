"""A ring of records: in order, the newest ones, whatever a killed writer leaves."""

import random

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.journal import Journal, events_of, spans_of


def test_the_newest_records_are_read_in_order(block: Block) -> None:
    """As many as there are places for, of any length up to the room."""
    journal = events_of(block)
    assert (journal.newest, journal.read()) == (0, [])
    order = random.Random(5)
    written = [order.randbytes(order.randrange(journal.room + 1)) for _ in range(layout.EVENTS + 40)]
    with block.locked():
        assert [journal.append(data) for data in written] == [*range(1, len(written) + 1)]
    records = journal.read()
    assert [record.data for record in records] == written[-layout.EVENTS :]
    assert [record.sequence for record in records] == [*range(41, len(written) + 1)]
    assert [record.data for record in events_of(block).read(after=len(written) - 2)] == written[-2:]
    assert spans_of(block).read() == []


def test_what_is_too_long_is_refused(block: Block) -> None:
    """And nothing is written."""
    journal = spans_of(block)
    with block.locked(), pytest.raises(ValueError, match="don't fit into a record"):
        journal.append(bytes(journal.room + 1))
    assert journal.read() == []


@pytest.mark.parametrize("cell", range(4))
def test_a_record_that_is_half_written_is_passed_over(block: Block, cell: int) -> None:
    """Whichever of its cells is not what it should be; the next one is written as ever."""
    journal = events_of(block)
    with block.locked():
        for number in range(5):
            journal.append(b"record %d" % number)
    block.cells[(block.layout.events + 3 * layout.EVENT_BYTES) // layout.CELL + cell] -= 3
    assert [record.sequence for record in journal.read()] == [1, 2, 4, 5]
    with block.locked():
        assert journal.append(b"more") == 6


def test_a_ring_of_a_few_places(block: Block) -> None:
    """Each place is used in turn."""
    journal = Journal(block, block.layout.events, 2, layout.EVENT_BYTES)
    with block.locked():
        for number in range(7):
            journal.append(b"%d" % number)
    assert [record.data for record in journal.read()] == [b"5", b"6"]


def test_a_record_may_be_written_anew(block: Block) -> None:
    """It keeps its sequence, and has another checksum; so may records of another block be written as what they were."""
    journal = events_of(block)
    with block.locked():
        for sequence in (41, 42):
            journal.write(sequence, b"first")
        before = journal.checks()
        journal.write(42, b"second")
        assert journal.append(b"next") == 43
    assert [record.data for record in journal.read(41)] == [b"second", b"next"]
    assert {*before} == {41, 42}
    assert [sequence for sequence, check in journal.checks().items() if before.get(sequence) != check] == [42, 43]
