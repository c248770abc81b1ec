"""A metric as one process has it."""

from typing import Any

from hvd.core.block import Block
from hvd.core.own.store import OwnStore
from tests.unit.core.own.support import ORDERS, SHAPE, TURNS, in_child, store_in, values


def test_a_series_has_one_place(block: Block) -> None:
    """As long as the process has it; what was removed gets another one."""
    orders = store_in(block).declare(ORDERS)
    place = orders.place(("a",))
    assert orders.place(("a",)) is place
    orders.remove(("a",))
    assert orders.place(("a",)) is not place


def test_what_has_no_room_is_not_kept() -> None:
    """All that comes at the limit has one place, in a process without a slot too."""
    store = OwnStore()
    orders: Any = store.declare(ORDERS)
    orders.places = dict.fromkeys(((str(number),) for number in range(10 * 1024)), None)
    assert orders.place(("a",)) is orders.place(("b",)) is orders.rest()
    assert ("a",) not in orders.places


def test_all_series_are_known(block: Block) -> None:
    """Those of other processes too, the overflow series left out."""

    def work() -> None:
        store_in(block).declare(ORDERS).place(("theirs",))

    in_child(work)
    orders = store_in(block).declare(ORDERS)
    for number in range(SHAPE.own_series):
        orders.place((str(number),))
    known = orders.known()
    assert ("theirs",) in known
    assert len(known) == len({*known}) == SHAPE.own_series // 2


def test_a_reset_begins_at_0_for_all(block: Block) -> None:
    """And the place goes on."""
    stores = store_in(block), store_in(block)
    places: Any = [store.declare(TURNS) for store in stores]
    first, second = (family.place() for family in places)
    first.inc(3)
    second.inc(4)
    places[0].reset(())
    first.inc()
    second.inc()
    assert values(block, "turns") == {(): 2}


def test_clear_removes_all_series(block: Block) -> None:
    """Of this family alone."""
    store = store_in(block)
    orders, turns = store.declare(ORDERS), store.declare(TURNS)
    orders.place(("a",)).add(0, 1)
    turns.place().add(0, 1)
    orders.clear()
    assert (values(block, "orders"), values(block, "turns")) == ({}, {(): 1})
