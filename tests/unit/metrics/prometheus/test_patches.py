"""What of prometheus_client is replaced."""

import inspect
import threading
import time
import warnings
from enum import Enum as PythonEnum

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from hvd.core.block import Block
from hvd.core.own.definition import Definition
from hvd.core.own.figures import OwnReader
from hvd.core.own.store import OwnStore
from hvd.metrics.prometheus import families, folder, patches
from tests.unit.core.own import support

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def other(block: Block, attached: OwnStore) -> OwnStore:
    """Another process that counts in the block."""
    return support.store_in(block)


def test_it_is_the_version_that_was_read() -> None:
    """Of another one, read what is replaced and used again, then say so here, in setup.cfg and in the docstrings."""
    import importlib.metadata

    assert importlib.metadata.version("prometheus_client") == "0.26.0"


def test_its_internals_are_those_that_were_read() -> None:
    """Names that hvd replaces, and attributes that it reads."""
    for owner, name, _ in patches._replacements:
        assert callable(vars(owner)[name])
    counter = Counter("a", "A.", ["x"], registry=None)
    assert type(counter._metrics) is dict
    assert counter._labelnames == ("x",)
    assert counter._is_parent()
    assert not counter._is_observable()
    child = counter.labels("y")
    assert counter._metrics == {("y",): child}
    assert child._labelvalues == ("y",)
    assert Histogram("b", "B.", buckets=[1], registry=None)._upper_bounds == [1.0, float("inf")]
    assert Enum("c", "C.", states=["x"], registry=None)._states == ["x"]
    assert Enum("c", "C.", states=["x"], registry=None)._value == 0
    assert Gauge("d", "D.", registry=None)._multiprocess_mode == "all"
    parameters = [*inspect.signature(MultiProcessCollector.__init__).parameters]
    assert parameters == ["self", "registry", "path"]
    source = inspect.getsource(prometheus_client.metrics)
    assert {line.strip() for line in source.splitlines() if "os." in line} == {
        "return os.environ.get(\"PROMETHEUS_DISABLE_CREATED_SERIES\", 'False').lower() not in ('true', '1', 't')",
        "if 'prometheus_multiproc_dir' in os.environ or 'PROMETHEUS_MULTIPROC_DIR' in os.environ:",
    }


def test_a_registry_gives_the_sums_of_all_processes(other: OwnStore, registry: CollectorRegistry) -> None:
    """Series that only another process has, too."""
    counter = Counter("orders", "Orders.", ["shop"], registry=registry)
    counter.labels("a").inc()
    theirs = other.declare(counter._hvd_family.definition)
    theirs.place(("a",)).inc(2)
    theirs.place(("b",)).inc(0.5)
    assert registry.get_sample_value("orders_total", {"shop": "a"}) == 3
    assert registry.get_sample_value("orders_total", {"shop": "b"}) == 0.5
    assert b'orders_total{shop="b"} 0.5\n' in generate_latest(registry)
    assert [metric.name for metric in registry.restricted_registry(["orders_total"]).collect()] == ["orders"]


def test_children_are_found_as_without_hvd(registry: CollectorRegistry) -> None:
    """By values of any type, by name, and with the same errors."""

    class Shop(str, PythonEnum):  # noqa: UP042  # whose text is another one
        FIRST = "a"

    counter = Counter("orders", "Orders.", ["shop", "till"], registry=registry)
    child = counter.labels("a", "1")
    assert counter.labels("a", 1) is counter.labels(till=1, shop="a") is counter.labels(till="1", shop="a") is child
    assert counter.labels(Shop.FIRST, "1") is not child
    assert counter.labels(["a"], "1") is counter.labels("['a']", "1")
    for values, named in (
        (("a",), {}),
        (("a", "1"), {"till": "1"}),
        ((), {"shop": "a"}),
        ((), {"shop": "a", "x": "1"}),
    ):
        with pytest.raises(ValueError, match=r"Incorrect|both"):
            counter.labels(*values, **named)
    with pytest.raises(ValueError, match="Incorrect label names"):
        counter.labels(shop="a", till="1", more="x")
    with pytest.raises(ValueError, match="can not chain"):
        child.labels("a", "1")
    with pytest.raises(ValueError, match="No label names"):
        Counter("a", "A.", registry=registry).labels("a")


def test_removed_series_are_gone_whoever_counted_them(
    other: OwnStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come back from 0 on. Nothing warns that several processes can't do this."""
    monkeypatch.setenv(folder.VARIABLE, f"/tmp/{folder.PREFIX}x")
    counter = Counter("orders", "Orders.", ["shop", "till"], registry=registry)
    theirs = other.declare(counter._hvd_family.definition)
    for shop, till in (("a", "1"), ("a", "2"), ("b", "1"), ("\ud800", "1")):
        counter.labels(shop, till).inc()
        theirs.place((shop, till)).inc()

    def shown() -> dict[tuple[str, str], float]:
        return {
            (sample.labels["shop"], sample.labels["till"]): sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == "orders_total"
        }

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counter.remove("b", "1")
        assert set(shown()) == {("a", "1"), ("a", "2"), ("\\ud800", "1")}
        counter.labels("b", 1).inc()
        assert shown()["b", "1"] == 1
        counter.remove_by_labels({"shop": "a"})
        assert set(shown()) == {("b", "1"), ("\\ud800", "1")}
        counter.remove("\ud800", "1")
        theirs.place(("c", "1")).inc()
        assert set(shown()) == {("b", "1"), ("c", "1")}
        counter.clear()
    assert shown() == {}
    generate_latest(registry)


def test_infos_and_enums_are_those_that_were_set_last(other: OwnStore, registry: CollectorRegistry) -> None:
    """By whichever process; a process that begins changes nothing."""
    info, enum = (
        Info("build", "B.", ["x"], registry=registry),
        Enum("state", "S.", states=["a", "b"], registry=registry),
    )
    assert registry.get_sample_value("state", {"state": "a"}) == 1
    info.labels("y").info({"version": "1"})
    enum.state("b")
    for definition in (enum._hvd_family.definition, info._hvd_family.definition):
        assert definition.mode == "mostrecent"
    other.declare(enum._hvd_family.definition).place().set(0.0, 0.0)  # type: ignore[attr-defined]
    assert registry.get_sample_value("state", {"state": "b"}) == 1
    assert registry.get_sample_value("build_info", {"x": "y", "version": "1"}) == 1
    info.labels("y").info({"version": "2"})
    assert registry.get_sample_value("build_info", {"x": "y", "version": "1"}) is None
    assert registry.get_sample_value("build_info", {"x": "y", "version": "2"}) == 1
    with pytest.raises(ValueError, match="Overlapping"):
        info.labels("y").info({"x": "2"})
    with pytest.raises(ValueError, match="not in list"):
        enum.state("c")


def test_a_multi_process_collector_gives_the_default_registrys_metrics(
    other: OwnStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those too that only another process has; in a registry that has metrics besides, nothing twice."""
    monkeypatch.setenv(folder.VARIABLE, f"/tmp/{folder.PREFIX}x")
    counter = Counter("a", "A.", registry=registry)
    counter.inc()
    hidden = Counter("b", "B.", registry=CollectorRegistry())
    theirs = other.declare(Definition("c", "counter", "C."))
    theirs.place().inc()
    own = CollectorRegistry()
    MultiProcessCollector(own)
    beside = Counter("d", "D.", registry=own)
    beside.inc()
    text = generate_latest(own).decode()
    assert [line for line in text.splitlines() if line[0] != "#"] == ["a_total 1.0", "c_total 1.0", "d_total 1.0"]
    assert b"hidden" not in generate_openmetrics(own)
    assert hidden._value.get() == 0
    mark_process_dead(1)


def test_files_of_prometheus_client_are_read_as_without_hvd(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Of a folder that is named, or that the environment names."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))
    assert list(registry.collect()) == []
    monkeypatch.setenv(folder.VARIABLE, "/no/such/folder")
    with pytest.raises(ValueError, match="not set or not a directory"):
        MultiProcessCollector(registry)


def test_a_gauges_function_is_called_for_other_processes(
    block: Block, attached: OwnStore, registry: CollectorRegistry
) -> None:
    """By a thread; what is set besides is nothing. Where this process is asked, it is called at once."""
    gauge, values = Gauge("a", "A.", ["x"], registry=registry, multiprocess_mode="sum"), iter(range(1, 1000))
    gauge.labels("y").set_function(lambda: next(values))
    gauge.labels("y").set(5000)
    gauge.labels("y").inc(5000)
    first = registry.get_sample_value("a", {"x": "y"})
    assert first is not None
    assert 0 < first < 1000
    reader, deadline = OwnReader(block), time.monotonic() + 20
    while support.values(block, "a", reader)["y",] == first:
        assert time.monotonic() < deadline, "nobody calls it"
        time.sleep(0.05)
    gauge.labels("y").set_function(lambda: 1 // 0)
    assert registry.get_sample_value("a", {"x": "y"}) >= first  # type: ignore[operator]
    gauge.remove("y")


def test_without_a_block_a_gauges_function_is_called_as_before(registry: CollectorRegistry) -> None:
    """Its errors are those of whoever collects."""
    gauge = Gauge("a", "A.", registry=registry)
    gauge.set_function(lambda: 7)
    gauge.set(1)
    assert registry.get_sample_value("a") == 7
    gauge.set_function(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        registry.get_sample_value("a")


def test_what_is_unregistered_makes_room_for_another_of_its_name(
    block: Block, attached: OwnStore, registry: CollectorRegistry
) -> None:
    """As soon as no process has it; registered again, it is there again."""
    first = Counter("a", "A.", registry=registry)
    first.inc(2)
    registry.unregister(first)
    second = Gauge("a", "A.", registry=registry, multiprocess_mode="sum")
    second.set(5)
    assert registry.get_sample_value("a") == 5
    assert support.values(block, "a") == {(): 5.0}
    registry.unregister(second)
    registry.register(first)
    first.inc()
    assert registry.get_sample_value("a_total") == 3


def test_the_default_mode_of_gauges_can_be_another(
    other: OwnStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So code that says nothing gives one series, without a pid."""
    monkeypatch.setattr(families.registries, "default_gauge_mode", "livesum")
    gauge, said = Gauge("a", "A.", registry=registry), Gauge("b", "B.", registry=registry, multiprocess_mode="max")
    gauge.set(5)
    other.declare(gauge._hvd_family.definition).place().set(3)  # type: ignore[attr-defined]
    assert registry.get_sample_value("a") == 8
    assert said._hvd_family.definition.mode == "max"


def test_metrics_of_before_and_of_a_subclass_give_their_own(
    attached: OwnStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads in its own way goes on to; so does a child that is collected by itself."""

    class Double(Counter):
        def _child_samples(self):  # type: ignore[no-untyped-def]
            for sample in super()._child_samples():
                yield sample._replace(value=2 * sample.value)

    double = Double("a", "A.", registry=registry)
    double.inc()
    assert registry.get_sample_value("a_total") == 2
    child = Counter("b", "B.", ["x"], registry=registry).labels("y")
    child.inc()
    assert next(iter(child.collect())).samples[0].value == 1
    assert MetricWrapperBase.collect.__wrapped__  # what tools see is theirs


def test_children_that_threads_make_are_one(attached: OwnStore, registry: CollectorRegistry) -> None:
    """And all of what they count is there."""
    counter, start = Counter("a", "A.", ["x"], registry=registry), threading.Barrier(8)

    def work() -> None:
        start.wait()
        for number in range(20):
            counter.labels(str(number)).inc()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [registry.get_sample_value("a_total", {"x": str(number)}) for number in range(20)] == [8] * 20


def test_another_value_class_that_comes_later_is_in_force(
    attached: OwnStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of somebody's tests: its values are those that are shown."""
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.MutexValue)
    counter = Counter("a", "A.", registry=registry)
    labelled = Counter("b", "B.", ["x"], registry=registry)
    counter.inc(2)
    labelled.labels("y").inc(3)
    assert registry.get_sample_value("a_total") == 2
    assert registry.get_sample_value("b_total", {"x": "y"}) == 3


def test_a_lone_surrogate_breaks_no_scrape(registry: CollectorRegistry) -> None:
    """Without a block too."""
    Counter("a", "A.", ["x"], registry=registry).labels("\ud800é").inc()
    assert 'a_total{x="\\\\ud800é"} 1.0\n' in generate_latest(registry).decode()


def test_summaries_without_a_block_are_as_before(registry: CollectorRegistry) -> None:
    """In a plain interpreter a registry gives what prometheus_client gives."""
    summary = Summary("a", "A.", registry=registry)
    summary.observe(2)
    assert generate_latest(registry).decode().splitlines()[2:4] == ["a_count 1.0", "a_sum 2.0"]
    assert registry.get_sample_value("a_created") == summary._created
