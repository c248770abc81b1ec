"""Sums: they are right after every change, and only pages that changed are read again."""

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.definition import INT
from hvd.core.own.sums import SLACK, Sums
from hvd.core.slots import Slots
from tests.unit.core.own.support import ORDERS, SHAPE, store_in

PAGES = range(SHAPE.own_marks // layout.PAGE_CELLS, SHAPE.own_row_cells // layout.PAGE_CELLS)
KINDS = bytearray([INT]) * SHAPE.own_row_cells


def test_only_what_changed_is_added_up(block: Block) -> None:
    """Once a page has been at rest for as long as a writer may be on its way."""
    first, second = store_in(block), store_in(block)
    places = [store.declare(ORDERS).place(("a",)) for store in (first, second)]
    heads = [SHAPE.own_row_cell(slot.number) for slot in Slots(block).taken()]
    sums = Sums(block.raw, SHAPE.own_row_cells)
    for place in places:
        place.add(0, 1)
    assert sums.read(heads, PAGES, KINDS) == [*PAGES]  # at first all
    assert 2 in sums.cells.tolist()
    for _ in range(SLACK + 1):
        changed = sums.read(heads, PAGES, KINDS)
    assert changed == []
    places[1].add(0, 1)
    assert sums.read(heads, PAGES, KINDS) == [PAGES.start]
    assert 3 in sums.cells.tolist()
