"""Notes: exemplars by cell."""

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.notes import Exemplar, Notes
from tests.unit.core.own.support import in_child
from tests.unit.core.support import Watched


def found(block: Block, first: int, end: int) -> dict[int, Exemplar]:
    notes = Notes(block)
    notes.read()
    return dict(notes.of(first, end))


def test_the_last_note_of_a_cell_is_kept(block: Block) -> None:
    """Whichever process wrote it; by its distance from the first cell that is asked for."""
    Notes(block).write(1030, Exemplar({"trace_id": "a"}, 1.5, 100.0))
    last = Exemplar({"trace_id": "ü"}, 2.5, 101.0)
    in_child(lambda: Notes(block).write(1030, last))
    assert found(block, 1028, 1032) == {2: last}
    assert found(block, 1031, 1040) == {}
    assert Notes(block).written == 2


def test_of_two_cells_with_one_place_the_later_note_is_kept(block: Block) -> None:
    """None of them is shown for the other."""
    for cell in (600, 600 + layout.NOTES):
        Notes(block).write(cell, Exemplar({"cell": str(cell)}, 1.0, 1.0))
    assert found(block, 600, 601) == {}
    assert found(block, 600 + layout.NOTES, 601 + layout.NOTES)[0].labels == {"cell": str(600 + layout.NOTES)}


@pytest.mark.parametrize("labels", [{"a": "x" * layout.NOTE_BYTES}, {"a": "\ud800"}], ids=["too long", "surrogate"])
def test_no_text_is_an_error(block: Block, labels: dict[str, str]) -> None:
    """What is too long is left out; what UTF-8 can't have is written in another way."""
    Notes(block).write(700, Exemplar(labels, 1.0, 1.0))
    assert len(found(block, 700, 701)) <= 1


def test_a_note_that_is_half_written_is_none(block: Block) -> None:
    """Its checksum is another one, at each moment of the write."""
    notes = Notes(block)
    notes.write(800, Exemplar({"a": "first"}, 1.0, 1.0))
    start = block.layout.notes + 800 % layout.NOTES * layout.NOTE_BYTES
    block.raw[start + 20] ^= 255
    assert found(block, 800, 801) == {}
    block.raw[start : start + layout.NOTE_BYTES] = b"\xff" * layout.NOTE_BYTES
    assert found(block, 800, 801) == {}


def test_a_record_is_stored_at_once(block: Block) -> None:
    """One store of the bytes, then its mark."""
    notes, stored = Notes(block), list[object]()
    block.raw = Watched(block.raw, stored.append)  # type: ignore[assignment]
    notes.write(900, Exemplar({"a": "b"}, 1.0, 1.0))
    assert len(stored) == 2


def test_only_what_was_written_since_is_read(block: Block) -> None:
    """And which cells it is about is told."""
    writer, reader = Notes(block), Notes(block)
    assert reader.read() == set()
    for _ in range(300):  # a mark has 255 values
        writer.write(1030, Exemplar({"a": "b"}, 1.0, 1.0))
        assert reader.read() == {1030}
    writer.write(1030 + layout.NOTES, Exemplar({"a": "c"}, 1.0, 1.0))
    assert reader.read() == {1030, 1030 + layout.NOTES}
    assert reader.read() == set()
