"""The values of prometheus_client's metrics in cells of places."""

import threading
import time

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, values
from prometheus_client.samples import Exemplar
from prometheus_client.values import MutexValue

from hvd.core.block import Block
from hvd.core.own.store import OwnStore
from hvd.metrics.prometheus.values import Value
from tests.support.waiting import until
from tests.unit.core.own import support

pytestmark = pytest.mark.usefixtures("store")


def test_each_kind_counts_in_its_cells(registry: CollectorRegistry) -> None:
    """As those of prometheus_client do."""
    counter, gauge = Counter("a", "A.", registry=registry), Gauge("b", "B.", registry=registry)
    summary, histogram = Summary("c", "C.", registry=registry), Histogram("d", "D.", registry=registry, buckets=(1, 2))
    counter.inc()
    counter.inc(0.5)
    gauge.set(3)
    gauge.dec(0.25)
    for amount in (0.5, 2, 9, float("nan")):
        histogram.observe(amount)
        summary.observe(amount)
    assert isinstance(counter._value, Value)
    assert counter._value.get() == 1.5
    assert gauge._value.get() == 2.75
    assert summary._sum.get() == histogram._sum.get() == 11.5
    assert summary._count.get() == 4
    assert [bucket.get() for bucket in histogram._buckets] == [1, 1, 1]
    assert all(type(value.get()) is float for value in (counter._value, gauge._value, summary._count))


def test_a_counter_is_set(registry: CollectorRegistry) -> None:
    """What is above goes on, what is below begins anew."""
    counter = Counter("a", "A.", registry=registry)
    counter._value.set(7)
    counter._value.set(9)
    assert counter._value.get() == 9
    counter._value.set(2)
    assert counter._value.get() == 2
    counter.reset()
    assert counter._value.get() == 0
    counter.inc()
    assert registry.get_sample_value("a_total") == 1


def test_a_reset_is_one_of_all_processes(block: Block, attached: OwnStore, registry: CollectorRegistry) -> None:
    """As cells only grow; others go on from there. It is created anew."""
    counter = Counter("a", "A.", registry=registry)
    created = registry.get_sample_value("a_created") or 0
    until(lambda: time.time() > created, "the catalogue says it to a millisecond")
    other = support.store_in(block).declare(counter._hvd_family.definition)
    other.place().inc(5)
    counter.inc()
    assert registry.get_sample_value("a_total") == 6
    counter.reset()
    assert registry.get_sample_value("a_total") == 0
    assert (registry.get_sample_value("a_created") or 0) > created
    other.place().inc()
    counter.inc()
    assert registry.get_sample_value("a_total") == 2
    assert counter._value.get() == 1


def test_a_value_beside_a_metric_is_prometheus_clients() -> None:
    """Nobody can say what else it belongs to."""
    value = values.ValueClass("counter", "a", "a_total", (), (), "A.", multiprocess_mode="")
    assert isinstance(value, MutexValue)


def test_exemplars_are_kept(block: Block, attached: OwnStore, registry: CollectorRegistry) -> None:
    """Here as they were given, and in the block for readers."""
    counter = Counter("a", "A.", registry=registry)
    counter.inc(3, {"trace": "x"})
    kept = counter._value.get_exemplar()
    assert isinstance(kept, Exemplar)
    assert support.family(block, "a").samples[0].exemplars[0].labels == {"trace": "x"}
    histogram = Histogram("b", "B.", registry=registry, buckets=(1, 2))
    histogram.observe(2, {"trace": "y"})
    exemplars = [sample.exemplar for metric in registry.collect() for sample in metric.samples if sample.exemplar]
    assert [(one.labels, one.value) for one in exemplars] == [({"trace": "x"}, 3), ({"trace": "y"}, 2)]


def test_an_exemplar_neither_asks_the_kernel_nor_fails(
    block: Block, attached: OwnStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its page has memory; and where the catalogue is damaged."""
    counter = Counter("a", "A.", registry=registry)
    counter.inc(1, {"trace": "x"})
    monkeypatch.setattr(block, "reserve", None)
    counter.inc(1, {"trace": "y"})
    assert support.family(block, "a").samples[0].exemplars[0].labels == {"trace": "y"}
    monkeypatch.undo()
    support.store_in(block).declare(support.TURNS)
    support.damage_last_record(block)
    counter.inc(1, {"trace": "z"})
    assert counter._value.get() == 3


def test_threads_add_up(registry: CollectorRegistry) -> None:
    """Gauges too."""
    gauge = Gauge("a", "A.", registry=registry)
    summary = Summary("b", "B.", registry=registry)

    def work() -> None:
        for _ in range(2000):
            gauge.inc()
            summary.observe(0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gauge._value.get() == summary._count.get() == 8000
    assert summary._sum.get() == 4000
