"""A process's store: from its own memory into a slot, over forks, when there is no room."""

import logging
import os

import pytest

from hvd.core.block import Block
from hvd.core.layout import KIND_WORKER
from hvd.core.own.definition import Definition
from hvd.core.own.store import OwnStore
from hvd.core.slots import Slots
from tests.unit.core.own.support import (
    ORDERS,
    SHAPE,
    SIZES,
    TURNS,
    damage_last_record,
    gauge,
    in_child,
    store_in,
    values,
)


def claim(block: Block) -> int:
    return Slots(block).claim(KIND_WORKER, os.getpid(), os.getpid())


def test_what_was_counted_before_moves_along(block: Block) -> None:
    """Counters are added to what the slot has; a gauge is what it was set to."""
    store = OwnStore()
    orders, sizes, level = store.declare(ORDERS), store.declare(SIZES), store.declare(gauge("livesum"))
    orders.place(("a",)).add(0, 2)
    sizes.place().observe(5.0)  # type: ignore[attr-defined]
    level.place().set(7)  # type: ignore[attr-defined]
    store.attach(block, claim(block))
    orders.place(("a",)).add(0, 1)
    assert values(block, "orders") == {("a",): 3}
    assert values(block, "sizes") == {(): ((0, 1, 0), 5.0)}
    assert values(block, "level") == {(): 7.0}


def test_a_slot_goes_on_from_what_it_has(block: Block) -> None:
    """The next process of it adds."""
    number = claim(block)

    def work() -> None:
        store = OwnStore()
        store.attach(block, number)
        orders = store.declare(ORDERS)
        orders.place(("a",)).add(0, 2)

    for _ in range(3):
        in_child(work)
    assert values(block, "orders") == {("a",): 6}


def test_a_forked_child_begins_anew(block: Block) -> None:
    """Its parent's slot and counts are not its own; in a slot of its own they add up."""
    store = store_in(block)
    orders = store.declare(ORDERS)
    orders.place(("a",)).add(0, 5)

    def work() -> None:
        store.after_fork()
        place = orders.place(("a",))
        place.add(0, 1)
        assert place.counted()[0] == 1
        assert values(block, "orders") == {("a",): 5}
        store.attach(block, claim(block))
        assert values(block, "orders") == {("a",): 6}

    in_child(work)
    assert values(block, "orders") == {("a",): 6}


def test_a_kept_gauge_is_merged_with_what_the_slot_had(block: Block) -> None:
    """A sum goes on growing over the processes of the slot; a set again replaces only one's own."""
    number = claim(block)
    in_child(lambda: _set(block, number, "sum", 4))
    store = OwnStore()
    level = store.declare(gauge("sum"))
    Slots(block).free(number)
    store.attach(block, claim(block))
    level.place().set(1)  # type: ignore[attr-defined]
    level.place().set(2)  # type: ignore[attr-defined]
    assert values(block, "level") == {(): 6.0}


def _set(block: Block, number: int, mode: str, value: float) -> None:
    store = OwnStore()
    store.attach(block, number)
    level = store.declare(gauge(mode))
    level.place().set(value)  # type: ignore[attr-defined]


def test_too_many_series_share_one_and_it_is_said_once(block: Block, caplog: pytest.LogCaptureFixture) -> None:
    """By all processes together. Nothing is lost, and nothing raised."""
    orders, others = (store_in(block).declare(ORDERS) for _ in range(2))
    with caplog.at_level(logging.ERROR, "hvd"):
        for number in range(SHAPE.own_series):
            (orders if number % 2 else others).place((str(number),)).add(0, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "hvd: the metric orders has too many series: the rest share one; set own_series higher"
    ]
    assert sum(values(block, "orders").values()) == SHAPE.own_series  # type: ignore[arg-type]


def test_two_definitions_are_said_once(block: Block, caplog: pytest.LogCaptureFixture) -> None:
    """By all processes together, with what they differ in."""
    first, second, third = (store_in(block) for _ in range(3))
    kept = [first.declare(ORDERS)]
    with caplog.at_level(logging.ERROR, "hvd"):
        kept += [store.declare(Definition("orders", "gauge", "", mode="sum")) for store in (second, second, third)]
    assert len(caplog.records) == 1
    assert "orders is declared in two ways: kind 'counter' and 'gauge'" in caplog.text


def test_a_damaged_catalogue_is_said_and_counting_goes_on(block: Block, caplog: pytest.LogCaptureFixture) -> None:
    """In memory of the process's own."""
    in_child(lambda: store_in(block).declare(ORDERS))
    damage_last_record(block)
    with caplog.at_level(logging.ERROR, "hvd"):
        turns = store_in(block).declare(TURNS)
        turns.place().add(0, 1)
    assert turns.place().counted()[0] == 1
    assert "turns counts nowhere" in caplog.text


def test_a_family_lasts_as_long_as_it_is_referred_to() -> None:
    """A test that makes metrics again and again leaves none."""
    store = OwnStore()
    kept = store.declare(ORDERS)
    store.declare(TURNS)
    assert store.families() == [kept]
