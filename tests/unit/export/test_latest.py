"""The text of a registry is what prometheus_client makes of the same."""

import prometheus_client
import prometheus_client.core
import pytest

import hvd
from hvd.export.latest import generate_latest
from hvd.export.notation import ESCAPINGS
from tests.unit.metrics.test_registries_of_prometheus_client import Custom


@pytest.mark.parametrize("escaping", ESCAPINGS)
def test_the_same_bytes(escaping: str) -> None:
    """Of every kind of metric, of names and values with any characters, with and without time."""
    registry = hvd.CollectorRegistry(target_info={"a": "b"})
    named = hvd.Counter("größe.x", 'Help "quoted" \\ \n', ["läbel", "b"], registry=registry)
    named.labels('x"\n\\', "ü").inc(1.5)
    hvd.Counter("orders", "Orders.", registry=registry).inc(12345678)
    hvd.Gauge("level", "Level.", registry=registry).set(-0.25)
    hvd.Histogram("took", "Took.", ["a"], registry=registry).labels("x").observe(3)
    hvd.Summary("sizes", "Sizes.", registry=registry).observe(1e9)
    hvd.Info("build", "Build.", registry=registry).info({"version": "1"})
    hvd.Enum("state", "State.", states=["on", "off"], registry=registry)
    histogram = prometheus_client.core.GaugeHistogramMetricFamily("gh", "GH", buckets=[("+Inf", 2)], gsum_value=3)
    unknown = prometheus_client.core.UnknownMetricFamily("u", "U")
    unknown.add_metric([], float("nan"), timestamp=1234.5)
    registry.register(Custom(histogram, unknown))
    assert generate_latest(registry, escaping) == prometheus_client.generate_latest(registry, escaping)  # type: ignore[arg-type]


def test_any_text_can_be_a_label_value() -> None:
    """A lone surrogate does not end the scrape."""
    registry = hvd.CollectorRegistry()
    hvd.Counter("orders", "Orders.", ["a"], registry=registry).labels("\ud800").inc()
    assert b'orders_total{a="\\\\ud800"} 1.0\n' in hvd.generate_latest(registry)
