"""Figures: what the processes' cells come to."""

import math
import os
import signal
import time

import pytest

from hvd.core.block import Block
from hvd.core.own.catalogue import OwnCatalogue
from hvd.core.own.definition import Definition
from hvd.core.own.figures import OwnReader
from hvd.core.own.gauges import merged
from hvd.core.own.notes import Exemplar, Notes
from tests.support.waiting import until
from tests.unit.core.own.support import ORDERS, PARTS, TURNS, family, gauge, store_in, values
from tests.unit.core.support import fork, standing


def setting(block: Block, mode: str, value: float, time: float = 0.0) -> None:
    """Set a gauge in a slot of this process."""
    level = store_in(block).declare(gauge(mode))
    block.kept = level  # type: ignore[attr-defined]  # as long as the process lives
    level.place().set(value, time)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("mode", "alive", "dead"),
    [
        ("sum", 8, 8), ("livesum", 8, 3), ("min", 3, 3), ("livemin", 3, 3), ("max", 5, 5), ("livemax", 5, 3),
        ("mostrecent", 5, 5), ("livemostrecent", 5, 3),
    ],
)  # fmt: skip
def test_modes_with_the_living_and_the_dead(block: Block, mode: str, alive: float, dead: float) -> None:
    """A live mode shows what the dead had no more, at the next reading, with no hook called."""
    reader = OwnReader(block)
    setting(block, mode, 3, time=1.0)
    with standing(lambda: setting(block, mode, 5, time=2.0)) as pid:
        assert values(block, "level", reader) == {(): alive}
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert values(block, "level", reader) == {(): dead}


@pytest.mark.parametrize("mode", ["all", "liveall"])
def test_all_is_by_process(block: Block, mode: str) -> None:
    """Each with its pid, while it lives."""
    setting(block, mode, 3)
    with standing(lambda: setting(block, mode, 5)) as pid:
        assert values(block, "level") == {(str(os.getpid()),): 3.0, (str(pid),): 5.0}
    assert values(block, "level") == {(str(os.getpid()),): 3.0}
    assert family(block, "level").labels == ("pid",)


def test_a_label_pid_of_the_apps_stays(block: Block) -> None:
    """No series has two labels of one name."""
    level = store_in(block).declare(gauge("all", "level", "pid"))
    level.place(("7",)).set(1)  # type: ignore[attr-defined]
    assert family(block, "level").labels == ("pid", "process_pid")
    assert values(block, "level") == {("7", str(os.getpid())): 1.0}


def test_what_is_the_same_is_the_same_object(block: Block) -> None:
    """So its text can be kept."""
    store, reader = store_in(block), OwnReader(block)
    orders, turns = store.declare(ORDERS), store.declare(TURNS)
    orders.place(("a",)).add(0, 1)
    turns.place().add(0, 1)
    before = reader.read().families
    assert all(one is other for one, other in zip(before, reader.read().families, strict=True))
    orders.place(("a",)).add(0, 1)
    assert reader.read().families[0].samples[0].value == 2


def test_a_removed_series_comes_back_from_0_on(block: Block) -> None:
    """As soon as it grows again, in whatever process: created then, without the examples of before."""
    store = store_in(block)
    orders = store.declare(ORDERS)
    orders.place(("a",)).add(0, 5)
    orders.place(("b",)).add(0, 1)
    assert store.catalogue
    assert orders.in_block
    series = store.catalogue.find(orders.in_block, ("a",))
    assert series
    Notes(block).write(series.offset, Exemplar({"id": "1"}, 1.0, time.time()))
    created = [sample.created for sample in family(block, "orders").samples]
    until(lambda: time.time() > created[0], "the catalogue says it to a millisecond")
    orders.remove(("a",))
    assert values(block, "orders") == {("b",): 1}
    orders.place(("a",)).add(0, 2)
    assert values(block, "orders") == {("a",): 2, ("b",): 1}
    back, other = family(block, "orders").samples
    assert back.created > created[0]
    assert other.created == created[1]
    assert not back.exemplars
    Notes(block).write(series.offset, Exemplar({"id": "2"}, 1.0, time.time()))
    assert family(block, "orders").samples[0].exemplars


def test_infinity_hides_no_series_that_was_removed(block: Block) -> None:
    """Of whatever sign; what is observed then is counted."""
    one, other = (store_in(block).declare(PARTS) for _ in range(2))
    one.place().observe(math.inf)  # type: ignore[attr-defined]
    one.remove(())
    assert values(block, "parts") == {}
    one.place().observe(3)  # type: ignore[attr-defined]
    assert values(block, "parts") == {(): ((1,), 0.0)}
    other.place().observe(-math.inf)  # type: ignore[attr-defined]
    other.remove(())
    assert values(block, "parts") == {}


def test_what_counts_while_it_is_removed_is_never_below_0(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the sums of a reading may be older than what was removed."""
    turns, reader = store_in(block).declare(TURNS), OwnReader(block)
    turns.place().add(0, 5)
    add_up = reader._add_up

    def remove_then() -> list[int]:
        changed = add_up()
        turns.place().add(0, 1)
        turns.remove(())
        return changed

    assert values(block, "turns", reader) == {(): 5}
    turns.remove(())
    turns.place().add(0, 1)
    monkeypatch.setattr(reader, "_add_up", remove_then)
    assert values(block, "turns", reader) == {}


def test_of_two_definitions_of_a_name_the_first_one_alive_is_shown(block: Block) -> None:
    """The other one is a conflict, as long as the first has a living process."""
    newer = Definition("orders", "counter", "Orders.", labels=("shop", "country"))

    def declare() -> None:
        block.kept = store_in(block).declare(ORDERS)  # type: ignore[attr-defined]

    with standing(declare):
        newest = store_in(block).declare(newer)
        newest.place(("a", "b")).add(0, 1)
        figures = OwnReader(block).read()
        assert [one.definition.labels for one in figures.families] == [("shop",)]
        assert figures.conflicts == {"orders": 1}
    assert values(block, "orders") == {("a", "b"): 1}


def test_merged_leaves_out_what_is_no_number() -> None:
    """One process's NaN does not hide what the others have."""
    nan = float("nan")
    assert merged("sum", [(nan, 0), (2.0, 0)]) == 2.0
    assert merged("livemax", [(nan, 0), (2.0, 0), (1.0, 0)]) == 2.0
    assert merged("mostrecent", [(3.0, 1.0), (2.0, 2.0)]) == 2.0


def test_only_what_changed_is_another_object(block: Block) -> None:
    """Among many series: a series that was counted, one with a new exemplar, and one that was removed."""
    store, reader = store_in(block), OwnReader(block)
    orders = store.declare(ORDERS)
    places = [orders.place((name,)) for name in "abcde"]
    for place in places:
        place.add(0, 1)
    before = family(block, "orders", reader).samples
    places[1].add(1, 0.5)
    Notes(block).write(orders_offset(block, "c"), Exemplar({"trace": "x"}, 1.0, 2.0))
    now = family(block, "orders", reader).samples
    assert [one is other for one, other in zip(before, now, strict=True)] == [True, False, False, True, True]
    assert (now[1].value, now[2].exemplars[0].labels) == (1.5, {"trace": "x"})
    orders.remove(("d",))
    places[4].add(0, 1)
    later = family(block, "orders", reader).samples
    assert [sample.labels[0] for sample in later] == ["a", "b", "c", "e"]
    assert [later[index] is now[index] for index in range(3)] == [True, True, True]
    assert later[3].value == 2


def test_a_reader_beside_writers_misses_nothing(block: Block) -> None:
    """No sum falls, and once they have ended all is there: however their stores and its readings fall together."""
    count, reader, last = 20_000, OwnReader(block), dict[tuple[str, ...], float]()

    def work() -> None:
        store = store_in(block)
        orders = store.declare(ORDERS)
        places = [orders.place((str(shop),)) for shop in range(20)]
        for step in range(count):
            places[step % 20 if step % 500 else 0].inc()  # type: ignore[attr-defined]

    pids = [fork(work) for _ in range(2)]
    while pids:
        if os.waitpid(pids[0], os.WNOHANG)[0]:
            pids.pop(0)
        now = {sample.labels: sample.value for one in reader.read().families for sample in one.samples}
        assert all(now[labels] >= value for labels, value in last.items())  # type: ignore[operator]
        last = now  # type: ignore[assignment]
    assert sum(last.values()) == 2 * count


def orders_offset(block: Block, shop: str) -> int:
    """The first cell of that series."""
    catalogue = OwnCatalogue(block)
    catalogue.refresh()
    return next(series.offset for series in catalogue.series if series.labels == (shop,))
