"""What instruments share: how they move into the block, and what one process shows of what others count."""

import inspect
import os

import prometheus_client
import pytest

import hvd
from hvd.core.block import Block
from hvd.core.layout import KIND_WORKER
from hvd.core.own.store import own_store
from hvd.core.slots import Slots
from tests.unit.core.own.support import in_child


def other_process(block: Block) -> None:
    """This one, which was just forked, has a slot of its own."""
    own_store.attach(block, Slots(block).claim(KIND_WORKER, os.getpid(), os.getpid()))


def test_a_process_shows_what_all_count(block: Block, slot: int) -> None:
    """Also series that it never had itself; nothing is lost when the other one ends."""
    registry = hvd.CollectorRegistry()
    orders = hvd.Counter("orders", "Orders.", ["shop"], registry=registry)
    sizes = hvd.Histogram("sizes", "Sizes.", registry=registry, buckets=(1, 10))
    parts = hvd.Summary("parts", "Parts.", registry=registry)
    orders.labels("a").inc(2)
    sizes.observe(5)

    def work() -> None:
        other_process(block)
        orders.labels("a").inc()
        orders.labels("b").inc(0.5, {"trace": "x"})
        sizes.observe(0.5)
        parts.observe(3)

    in_child(work)
    value = registry.get_sample_value
    assert value("orders_total", {"shop": "a"}) == 3
    assert value("orders_total", {"shop": "b"}) == 0.5
    assert value("sizes_bucket", {"le": "1.0"}) == 1
    assert (value("sizes_count"), value("sizes_sum")) == (2, 5.5)
    assert (value("parts_count"), value("parts_sum")) == (1, 3)
    assert orders.labels("b").collect()[0].samples[0].exemplar[:2] == ({"trace": "x"}, 0.5)
    orders.remove_by_labels({"shop": "b"})
    assert value("orders_total", {"shop": "b"}) is None
    orders.labels("a").reset()
    assert value("orders_total", {"shop": "a"}) == 0
    orders.labels("a").inc()
    assert value("orders_total", {"shop": "a"}) == 1


def test_what_was_counted_before_there_was_a_slot_moves_along(block: Block) -> None:
    """With its exemplars; children and those without labels."""
    registry = hvd.CollectorRegistry()
    orders = hvd.Counter("orders", "Orders.", ["shop"], registry=registry)
    turns = hvd.Counter("turns", "Turns.", registry=registry)
    child = orders.labels("a")
    child.inc(2, {"trace": "x"})
    turns.inc()
    other_process(block)
    child.inc()
    assert registry.get_sample_value("orders_total", {"shop": "a"}) == 3
    assert registry.get_sample_value("turns_total") == 1
    assert child.collect()[0].samples[0].exemplar[0] == {"trace": "x"}


def test_names_in_two_registries_do_not_mix(block: Block, slot: int) -> None:
    """Nor with metrics that are in none, of which each is its process's own."""
    registries = hvd.CollectorRegistry(), hvd.CollectorRegistry()
    single = [hvd.Counter("orders", "Orders.", registry=None) for _ in range(2)]
    for amount, registry in enumerate((*registries, None)):
        hvd.Counter("orders", "Orders.", registry=registry).inc(amount + 1)
    single[0].inc(5)
    assert [registry.get_sample_value("orders_total") for registry in registries] == [1, 2]
    assert [counter.collect()[0].samples[0].value for counter in single] == [5, 0]


def test_of_two_declarations_that_of_living_processes_is_shown(block: Block, slot: int) -> None:
    """The other one has no samples; who unregisters a metric has it no more."""
    registry = hvd.CollectorRegistry()
    first = hvd.Counter("orders", "Orders.", ["shop"], registry=registry)
    first.labels("a").inc()
    registry.unregister(first)
    second = hvd.Counter("orders", "Orders.", ["city"], registry=registry)
    second.labels("b").inc()
    assert second.collect()[0].samples[0].labels == {"city": "b"}
    assert first.collect()[0].samples == []
    registry.unregister(second)


def test_too_many_series_share_one(block: Block, slot: int, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and no call fails."""
    registry = hvd.CollectorRegistry()
    orders = hvd.Counter("orders", "Orders.", ["shop"], registry=registry)
    for number in range(40):
        orders.labels(number).inc()
    assert registry.get_sample_value("orders_total", {"shop": "overflow"}) == 8
    assert orders.labels("100").collect()[0].samples[0].value == 8
    assert len([record for record in caplog.records if "too many series" in record.message]) == 1


def test_a_forked_child_begins_at_0() -> None:
    """What the parent counted is the parent's."""
    counter = hvd.Counter("orders", "Orders.", registry=None)
    counter.inc(5)

    def work() -> None:
        counter.inc()
        assert counter.collect()[0].samples[0].value == 1

    in_child(work)
    assert counter.collect()[0].samples[0].value == 5


def test_subclasses_count_too() -> None:
    """An app's own kind of counter, whose constructor is another one."""

    class Orders(hvd.Counter):
        def __init__(self) -> None:
            super().__init__("orders", "Orders.", ["shop"], registry=None)

        def place(self) -> None:
            self.inc(2)

    orders = Orders()
    child = orders.labels("a")
    child.place()
    assert isinstance(child, Orders)
    assert orders.collect()[0].samples[0].value == 2


class Shop(str):
    """A text that is written in another way."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"shop {super().__str__()}"


def test_label_values_are_what_str_says() -> None:
    """Also of what equals another value."""
    orders = hvd.Counter("orders", "Orders.", ["shop"], registry=None)
    for value in ("a", Shop("a"), 1, True, 1.0):
        orders.labels(value).inc()
    assert {sample.labels["shop"] for sample in orders.collect()[0].samples} == {"a", "shop a", "1", "True", "1.0"}


METHODS = {"Counter": "inc labels", "Gauge": "set inc dec", "Histogram": "observe", "Summary": "observe"}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in METHODS.items() for name in names.split()])
def test_methods_tell_their_signatures(kind: str, name: str) -> None:
    """Those that are compiled, too: those of prometheus_client, maybe with more at the end."""
    methods = (getattr(getattr(module, kind), name) for module in (hvd, prometheus_client))
    mine, theirs = ([*inspect.signature(method).parameters.values()][1:] for method in methods)
    assert len(mine) >= len(theirs)
    for one, other in zip(mine, theirs, strict=False):
        assert (one.kind, one.default) == (other.kind, other.default)
        assert name == "labels" or one.name == other.name
