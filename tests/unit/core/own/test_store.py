"""A process's store: from its own memory into a slot, over forks, when there is no room."""

import logging
import os
import threading

import pytest

from hvd.core.acquire import acquire
from hvd.core.block import Block, open_block
from hvd.core.catalogue import OVERFLOW
from hvd.core.layout import KIND_WORKER
from hvd.core.own import catalogue
from hvd.core.own import store as module
from hvd.core.own.definition import Definition
from hvd.core.own.figures import OwnReader
from hvd.core.own.store import OwnStore
from hvd.core.slots import Slots
from hvd.errors import BlockFull
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
from tests.unit.core.support import in_thread, keeping_locked


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


def test_the_first_count_of_a_forked_child_looks_for_a_slot(block: Block) -> None:
    """Once for all that it has: what counts nothing takes none. What has no hope is not asked again."""
    store, asked = store_in(block), list[int]()
    orders, turns = store.declare(ORDERS), store.declare(TURNS)
    orders.place(("a",)).inc()  # type: ignore[attr-defined]

    def first() -> bool:
        asked.append(os.getpid())
        store.attach(block, claim(block))
        return False

    def work() -> None:
        store.first = first
        store.after_fork()
        assert not asked
        for _ in range(3):
            orders.place(("a",)).inc()  # type: ignore[attr-defined]
            turns.place().inc()  # type: ignore[attr-defined]
        assert asked == [os.getpid()]
        assert (values(block, "orders"), values(block, "turns")) == ({("a",): 4}, {(): 3})

    in_child(work)
    store.first = lambda: len(asked.append(0) or asked) > 1  # type: ignore[func-returns-value]
    store.after_fork()
    for _ in range(3):
        orders.place(("a",)).inc()  # type: ignore[attr-defined]
    assert asked == [0]


def test_while_there_is_hope_it_is_asked_again(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """When something is counted, and not too often; then all comes along."""
    monkeypatch.setattr(module, "RETRY", 0.05)
    store, answers = OwnStore(), iter([True, True])

    def first() -> bool:
        if next(answers, False):
            return True
        store.attach(block, claim(block))
        return False

    store.first = first
    family = store.declare(TURNS)
    turns, counted = family.place(), 0
    while not store.block:
        turns.inc()  # type: ignore[attr-defined]
        counted += 1
    assert values(block, "turns") == {(): counted}
    assert counted > 2


def test_one_thread_looks_for_a_slot(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: two would take two slots. The others count on meanwhile."""
    monkeypatch.setattr(module, "RETRY", 0.0)
    store, asked = OwnStore(), list[str]()
    family = store.declare(TURNS)
    turns = family.place()

    def first() -> bool:
        asked.append(threading.current_thread().name)
        in_thread(turns.inc)  # type: ignore[attr-defined]
        store.attach(block, claim(block))
        return False

    store.first = first
    turns.inc()  # type: ignore[attr-defined]
    assert (asked, values(block, "turns")) == ([threading.current_thread().name], {(): 2})


def test_what_is_declared_while_the_block_is_locked_counts_there_later(
    block: Block, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Families and series; nothing is lost meanwhile, and nothing goes to an overflow series."""
    monkeypatch.setattr(module, "RETRY", 0.0)
    store = store_in(block)
    orders = store.declare(ORDERS)
    with keeping_locked(block):
        place, turns = orders.place(("a",)), store.declare(TURNS)
        for one in (place, turns.place()):
            one.inc(2)  # type: ignore[attr-defined]
        assert [one.definition.name for one in OwnReader(block).read().families] == ["orders"]
    monkeypatch.setattr(block, "_no_wait_until", 0.0)
    for one in (place, turns.place()):
        one.inc()  # type: ignore[attr-defined]
    assert (values(block, "orders"), values(block, "turns")) == ({("a",): 3}, {(): 3})
    assert not caplog.records


def test_what_finds_no_memory_counts_in_the_block_later(
    block: Block, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What has labels shares the overflow series meanwhile, and the log says why."""
    monkeypatch.setattr(module, "RETRY", 0.0)
    monkeypatch.setattr(catalogue, "RETRY", 0.0)
    store = store_in(block)
    orders = store.declare(ORDERS)

    def refuse(cell: int, count: int) -> None:
        raise BlockFull("block can't grow: no space")

    with monkeypatch.context() as patch:
        patch.setattr(block, "reserve", refuse)
        orders.place(("a",)).inc()  # type: ignore[attr-defined]
        turns = store.declare(TURNS)
        turns.place().inc()  # type: ignore[attr-defined]
    turns.place().inc()  # type: ignore[attr-defined]
    orders.place(("a",)).inc()  # type: ignore[attr-defined]
    assert values(block, "turns") == {(): 2}
    assert values(block, "orders") == {(OVERFLOW,): 1, ("a",): 1}
    assert [record.getMessage().split(":")[1] for record in caplog.records] == [
        " the metric orders can't have another series, so some share one",
        " the metric turns counts nowhere",
    ]


def test_to_get_the_same_block_again_changes_nothing(block: Block) -> None:
    """The process counts in the slot that it has; nothing is counted twice."""
    store = store_in(block)
    family = store.declare(TURNS)
    turns = family.place()
    turns.inc()  # type: ignore[attr-defined]
    slot, again = store.slot, open_block(block.name)
    store.attach(again, claim(block))
    turns.inc()  # type: ignore[attr-defined]
    assert (store.slot, values(block, "turns")) == (slot, {(): 2})
    os.close(again.fd)


def test_another_block_gets_all_that_the_process_has_counted(block: Block, name: str) -> None:
    """And nothing of what others had counted in the one before; what had no series of its own too."""
    in_child(lambda: store_in(block).declare(TURNS).place().add(0, 100))
    store = store_in(block)
    turns, orders, level = (store.declare(one) for one in (TURNS, ORDERS, gauge("sum", "level", "shop")))
    turns.place().inc(3)  # type: ignore[attr-defined]
    level.place(("a",)).set(4)  # type: ignore[attr-defined]
    for number in range(SHAPE.own_series):
        orders.place((str(number),)).inc()  # type: ignore[attr-defined]
    other, _ = acquire(f"{name}.aside-1", SHAPE)
    in_child(lambda: store_in(other).declare(TURNS).place().add(0, 10))
    store.attach(other, claim(other))
    turns.place().inc()  # type: ignore[attr-defined]
    assert values(other, "turns") == {(): 14}
    assert values(other, "level") == {("a",): 4.0}
    assert sum(values(other, "orders").values()) == SHAPE.own_series  # type: ignore[arg-type]
    other.release_claim()
    os.close(other.fd)


def test_more_series_than_the_block_has_share_one_when_they_come(block: Block, name: str) -> None:
    """Also those that somebody has already, counted before there was a block; and once more in another block."""
    store = OwnStore()
    orders = store.declare(ORDERS)
    places = [orders.place((str(number),)) for number in range(SHAPE.own_series)]
    for place in places:
        place.inc()  # type: ignore[attr-defined]
    store.attach(block, claim(block))
    for place in places:
        place.inc()  # type: ignore[attr-defined]
    assert sum(values(block, "orders").values()) == 2 * SHAPE.own_series  # type: ignore[arg-type]
    other, _ = acquire(f"{name}.aside-1", SHAPE)
    store.attach(other, claim(other))
    for place in places:
        place.inc()  # type: ignore[attr-defined]
    assert sum(values(other, "orders").values()) == 3 * SHAPE.own_series  # type: ignore[arg-type]
    last = next(labels for labels in orders.overflowed if labels)
    orders.reset(last)
    orders.places[last].inc()  # type: ignore[attr-defined]
    assert sum(values(other, "orders").values()) == 3 * SHAPE.own_series + 1  # type: ignore[arg-type]
    large, _ = acquire(f"{name}.aside-2", SHAPE._replace(own_series=4 * SHAPE.own_series))
    store.attach(large, claim(large))  # where each finds its own series
    for place in places:
        place.inc()  # type: ignore[attr-defined]
    total = sum(values(large, "orders").values())  # type: ignore[arg-type]
    again, _ = acquire(f"{name}.aside-3", SHAPE._replace(own_series=4 * SHAPE.own_series))
    store.attach(again, claim(again))
    assert sum(values(again, "orders").values()) == total == 4 * SHAPE.own_series + 1  # type: ignore[arg-type]
    for one in (other, large, again):
        one.release_claim()
        os.close(one.fd)


@pytest.mark.parametrize("work", ["remove", "clear"])
def test_a_place_that_was_removed_counts_in_no_parents_cells(block: Block, work: str) -> None:
    """It comes back when it counts, in whatever process; not beside another one."""
    store = store_in(block)
    orders = store.declare(ORDERS)
    place = orders.place(("a",))
    place.inc(5)  # type: ignore[attr-defined]
    orders.clear() if work == "clear" else orders.remove(("a",))

    def child() -> None:
        store.after_fork()
        place.inc()  # type: ignore[attr-defined]
        assert values(block, "orders") == {}
        store.attach(block, claim(block))
        assert values(block, "orders") == {("a",): 1}

    in_child(child)
    place.inc(2)  # type: ignore[attr-defined]
    assert values(block, "orders") == {("a",): 3}
    assert orders.place(("a",)) is place
    orders.remove(("a",))
    orders.place(("a",)).inc()  # type: ignore[attr-defined]
    place.inc()  # type: ignore[attr-defined]
    assert values(block, "orders") == {("a",): 1}
