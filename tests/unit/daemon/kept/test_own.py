"""The app's own metrics go over to another block, each count once."""

import json
import math
import os
from collections.abc import Iterator
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.layout import Layout
from hvd.core.own import logarithmic
from hvd.core.own.definition import Definition
from hvd.core.own.figures import OwnReader
from hvd.core.own.store import OwnStore
from hvd.daemon.kept.own import LARGEST, Restoring, check_own, collect_own
from tests.unit.core.own.support import ORDERS, PARTS, SHAPE, SIZES, TURNS, gauge, store_in, values

LATENCY = Definition("latency", "histogram", "Latency.", buckets=logarithmic.BUCKETS)
ALL = [ORDERS, TURNS, SIZES, PARTS, LATENCY]
GAUGES = [gauge(mode, mode) for mode in ("sum", "min", "max", "mostrecent", "livesum", "all")]


@pytest.fixture
def block(name: str) -> Iterator[Block]:
    """One in which own metrics find room."""
    block, _ = acquire(name, SHAPE)
    yield block
    block.release_claim()
    os.close(block.fd)


@pytest.fixture
def other(name: str) -> Iterator[Block]:
    """Another one, without any process."""
    other, _ = acquire(f"{name}.aside-1", SHAPE)
    yield other
    other.release_claim()
    os.close(other.fd)


def count(store: OwnStore, times: int) -> list[object]:
    """Count in all of them -> what has to live meanwhile."""
    families = {definition.name: store.declare(definition) for definition in (*ALL, *GAUGES)}
    place: Any = {name: family.place(("a",) if name == "orders" else ()) for name, family in families.items()}
    for number in range(times):
        place["orders"].inc()
        place["turns"].inc(0.5)
        for name in ("sizes", "parts", "latency"):
            place[name].observe(number)
    for one in GAUGES:
        place[one.name].set(times, 100.0 + times)
    return [*families.values()]


def through_a_file(block: Block, other: Block) -> Restoring:
    """As keep_totals does it."""
    restoring = Restoring(other, 0)
    for kept in check_own(json.loads(json.dumps(collect_own(block)))):
        restoring.take(kept)
    return restoring


def shown(block: Block) -> dict[str, object]:
    return {
        family.definition.name: [(sample.labels, sample.value, sample.created) for sample in family.samples]
        for family in OwnReader(block).read().families
    }


def test_all_that_outlives_processes_is_there_again(block: Block, other: Block) -> None:
    """With the labels, the sums of all processes, and when it was created; live gauges are gone with them."""
    kept = count(store_in(block), 3), count(store_in(block), 20), store_in(block).declare(ORDERS)
    kept[2].place(("counted nothing",))
    before = shown(block)
    restoring = through_a_file(block, other)
    assert (restoring.left_out, restoring.overflowed) == ([], 0)
    assert before.pop("livesum") != []
    assert before.pop("all") != []
    assert shown(other) == before
    assert values(other, "sum") == {(): 23.0}
    assert values(other, "mostrecent") == {(): 20.0}
    assert kept


def test_processes_go_on_from_there(block: Block, other: Block) -> None:
    """In whatever slots; and once more."""
    kept = [count(store_in(block), 3)]
    through_a_file(block, other)
    kept += [count(store_in(other, layout.KIND_AGGREGATOR), 4), count(store_in(other), 2)]
    assert values(other, "orders") == {("a",): 9}
    assert values(other, "sizes")[()] == ((2 + 2 + 2, 1 + 2, 0), 3 + 6 + 1.0)
    assert values(other, "sum") == {(): 9.0}
    assert values(other, "min") == {(): 2.0}
    assert values(other, "max") == {(): 4.0}
    assert kept


def test_what_was_removed_is_not_kept(block: Block, other: Block) -> None:
    """What has come back counts from there on."""
    orders: Any = store_in(block).declare(ORDERS)
    for label in ("a", "b"):
        orders.place((label,)).inc(5)
        orders.remove((label,))
    orders.place(("b",)).inc(2)
    through_a_file(block, other)
    assert values(other, "orders") == {("b",): 2}


def test_large_and_odd_numbers(block: Block, other: Block) -> None:
    """More than an integer cell holds, together; infinities."""
    stores = store_in(block), store_in(block)
    families: Any = [store.declare(definition) for store in stores for definition in (TURNS, PARTS)]
    for family in families:
        if family.definition is TURNS:
            family.place().inc(LARGEST)
        else:
            family.place().observe(math.inf)
    through_a_file(block, other)
    assert values(other, "turns") == {(): 2.0**64}
    assert values(other, "parts") == {(): ((2,), math.inf)}


def test_without_slots_whose_processes_move_their_counts_themselves(block: Block) -> None:
    """As joined processes do where the block has lost its name."""
    store = store_in(block)
    kept = [count(store, 3), count(store_in(block), 4)]
    (orders,) = [part for part in collect_own(block, [store.slot]) if part["definition"]["name"] == "orders"]
    assert [(labels, cells) for labels, _, cells in orders["series"]] == [(["a"], [0, 4])]
    assert kept


def test_where_there_is_less_room_series_share_one(name: str, block: Block) -> None:
    """And metrics for which there is none at all are named; all the rest is there."""
    orders: Any = store_in(block).declare(ORDERS)
    for number in range(30):
        orders.place((str(number),)).inc()
    small, _ = acquire(f"{name}.aside-1", shape(16))
    none, _ = acquire(f"{name}.aside-2", shape(0))
    restoring = through_a_file(block, small)
    assert restoring.overflowed == 22
    assert values(small, "orders")[("overflow",)] == 22
    assert through_a_file(block, none).left_out == ["orders"]
    for one in (small, none):
        one.release_claim()
        os.close(one.fd)


def shape(own_series: int) -> Layout:
    return Layout(SHAPE.slots, SHAPE.rows, SHAPE.series, SHAPE.run_cells, SHAPE.entries, own_series)


@pytest.mark.parametrize(
    "wrong",
    [
        {"definition": {}},
        {"definition": {"name": "a", "kind": "nothing"}},
        {"series": [[["a", "b"], 1.0, [0, 1]]]},
        {"series": [[["a"], 1.0, [9, 1]]]},
        {"series": [[["a"], 1.0, [0, -1]]]},
        {"series": [[["a"], 1.0, [0, 1.5]]]},
        {"series": [[["a"], 1.0, [0, LARGEST + 1]]]},
        {"series": [[["a"], 1.0, [1, "x"]]]},
        {"series": [[["a"], "x", [0, 1]]]},
        {"series": [[["a"], 1.0, [0]]]},
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """Before anything of it is in a block."""
    part: Any = {"definition": ORDERS.as_record(), "series": [[["a"], 1.0, [0, 1]]]}
    assert check_own([part])
    with pytest.raises((KeyError, TypeError, ValueError)):
        check_own([{**part, **wrong}])
