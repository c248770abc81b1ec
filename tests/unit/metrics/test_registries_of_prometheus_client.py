"""What tests/test_core.py of prometheus_client 0.26.0 checks of labels, removal and registries, with each kit.

What differs is in docs/instruments.md.
"""

from typing import Any

import prometheus_client
import prometheus_client.core
import prometheus_client.validation
import pytest

import hvd
from tests.unit.metrics.kit import DUPLICATES, Kit, attached, block, kit, slot, store

__all__ = ["attached", "block", "kit", "slot", "store"]  # fixtures


def test_labels(kit: Kit) -> None:
    """By position and by name, as many as were declared, and as texts."""
    counter, two = kit.Counter("c_total", ["l"]), kit.Counter("two", labelnames=["a", "b"])
    counter.labels("x").inc()
    counter.labels(l="x").inc()
    assert kit.value("c_total", l="x") == 2
    two.labels(a="x", b="y").inc()
    two.labels("x", "y").inc(2)
    assert kit.value("two_total", a="x", b="y") == 3
    counter.labels(None).inc()
    counter.labels(l=None).inc()
    counter.labels([1]).inc()
    assert (kit.value("c_total", l="None"), kit.value("c_total", l="[1]")) == (2, 1)
    for values in ((), ("a", "b")):
        with pytest.raises(ValueError, match="label count"):
            counter.labels(*values)
        with pytest.raises(ValueError, match="label count"):
            counter.remove(*values)
    for names in ({"l": "x", "m": "y"}, {"m": "y"}):
        with pytest.raises(ValueError, match="label names"):
            counter.labels(**names)
    with pytest.raises(ValueError, match="both"):
        two.labels({"a": "x"}, b="y")
    with pytest.raises(ValueError, match="already has labels"):
        counter.labels("a").labels("b")
    with pytest.raises(ValueError, match="No label names"):
        kit.Counter("none").labels("a")

    class NoText:
        __str__ = None

    for value in ({"args": (NoText(),)}, {"named": {"l": NoText()}}):
        with pytest.raises(TypeError):
            counter.labels(*value.get("args", ()), **value.get("named", {}))


def test_removal(kit: Kit) -> None:
    """Of one series, of all that have some of the label values, of all."""
    counter = kit.Counter("c", ["tenant", "path"])
    for tenant, path in (("acme", "/"), ("acme", "/checkout"), ("globex", "/"), ("None", "/")):
        counter.labels(tenant, path).inc()
    counter.remove(None, "/")
    assert kit.value("c_total", tenant="None", path="/") is None
    counter.remove("nobody", "/")
    counter.remove_by_labels({})
    with pytest.raises(ValueError, match="Unknown label names"):
        counter.remove_by_labels({"badkey": "x"})
    with pytest.raises(TypeError, match="dict"):
        counter.remove_by_labels(["tenant"])
    assert kit.value("c_total", tenant="acme", path="/") == 1
    counter.remove_by_labels({"tenant": "acme"})
    assert (
        kit.value("c_total", tenant="acme", path="/") is kit.value("c_total", tenant="acme", path="/checkout") is None
    )
    assert kit.value("c_total", tenant="globex", path="/") == 1
    counter.clear()
    assert kit.value("c_total", tenant="globex", path="/") is None
    counter.labels("globex", "/").inc(2)
    assert kit.value("c_total", tenant="globex", path="/") == 2
    for call in (lambda: kit.Counter("d").remove("x"), lambda: kit.Counter("e").remove_by_labels({"x": "y"})):
        with pytest.raises(ValueError, match="No label names"):
            call()


def test_duplicates(kit: Kit) -> None:
    """A registry has each name once, whichever metric gives it; what is unregistered frees its names."""
    kit.Counter("c_total")
    summary = kit.Summary("s")
    kit.Histogram("h")
    kit.Info("i")
    kit.Gauge("g_created")
    for kind, name in (
        *(("Counter", "c_total"), ("Gauge", "c_total"), ("Gauge", "c_created"), ("Counter", "g")),
        *(("Summary", "s"), ("Gauge", "s_created"), ("Gauge", "s_sum"), ("Gauge", "s_count"), ("Gauge", "s")),
        *(("Summary", "h"), *(("Gauge", f"h{suffix}") for suffix in ("", "_count", "_sum", "_bucket", "_created"))),
        *(("Gauge", "i_info"),),
    ):
        with pytest.raises(DUPLICATES, match="Duplicated timeseries in CollectorRegistry"):
            getattr(kit, kind)(name)
    kit.registry.unregister(summary)
    kit.Gauge("s_count")


def test_restricted_registry(kit: Kit) -> None:
    """It has what the registry has when it is read, of the samples that were named."""
    restricted = kit.registry.restricted_registry(["s_sum", "target_info"])
    kit.Counter("c_total")
    kit.Summary("s").observe(7)
    metric = hvd.Metric("s", "help", "summary")
    metric.samples = [hvd.Sample("s_sum", {}, 7)]
    assert [metric] == list(restricted.collect())
    kit.registry.set_target_info({"foo": "bar"})
    assert [each.name for each in restricted.collect()] == ["target", "s"]
    for _ in restricted.collect():
        assert not kit.registry._lock.locked()


def test_target_info(kit: Kit) -> None:
    """It is given first, and nobody else may have its name."""
    kit.registry.set_target_info({"foo": "bar"})
    assert kit.value("target_info", foo="bar") == 1
    with pytest.raises(ValueError, match="target_info"):
        kit.Info("target")
    kit.registry.set_target_info({})
    info = kit.Info("target")
    with pytest.raises(ValueError, match="target_info"):
        kit.registry.set_target_info({"foo": "bar"})
    kit.registry.unregister(info)
    kit.registry.set_target_info({"foo": "bar"})
    assert kit.registry.get_target_info() == {"foo": "bar"}


class Custom:
    """A collector of an app's own."""

    def __init__(self, *metrics: Any) -> None:
        self._metrics = metrics
        self.calls = 0

    def collect(self) -> Any:
        self.calls += 1
        return self._metrics


class Described(Custom):
    """One that says which names it has."""

    def describe(self) -> Any:
        return self._metrics


def test_custom_collectors(kit: Kit) -> None:
    """Whatever families of prometheus_client they give; in a restricted registry only those that have the names."""
    counter = prometheus_client.core.CounterMetricFamily("c_total", "help", value=23, exemplar={"bob": "osbourne"})
    registry = kit.registry
    registry.register(Custom(counter))
    registry.register(Custom(counter))  # nobody described it
    registry.register(foo := Described(hvd.Metric("foo", "help", "summary")))
    registry.register(nameless := Described())
    assert kit.value("c_total") == 23
    assert next(registry.collect()).samples[0].exemplar == {"bob": "osbourne"}
    calls = foo.calls, nameless.calls
    assert list(registry.restricted_registry(["metric"]).collect()) == []
    assert (foo.calls, nameless.calls) == calls

    describing = type(registry)(auto_describe=True, support_collectors_without_names=True)
    describing.register(Custom(counter))
    with pytest.raises(DUPLICATES):
        describing.register(Custom(counter))
    describing.register(nameless := Described())
    assert list(describing.restricted_registry(["metric"]).collect()) == []
    assert nameless.calls == 1
