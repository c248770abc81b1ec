"""Registries: the keys by which the block tells them apart; the rest is in ../test_core_of_prometheus_client.py."""

from unittest.mock import MagicMock

import prometheus_client

import hvd
from hvd.metrics.instruments.registry import key_of


def test_keys() -> None:
    """Default ones, hvd's and theirs, have the empty one; others keep theirs."""
    assert key_of(hvd.REGISTRY) == key_of(prometheus_client.REGISTRY) == ""
    assert key_of(None) == "-"
    first, second = hvd.CollectorRegistry(), prometheus_client.CollectorRegistry()
    keys = key_of(first), key_of(second)
    assert len({*keys, "", "-"}) == 4
    assert (key_of(first), key_of(second)) == keys


def test_a_restricted_registry_collects_once() -> None:
    """Though two of the names are of one collector."""
    registry = hvd.CollectorRegistry()
    hvd.Summary("s", "S.", registry=registry).observe(2)
    metrics = list(registry.restricted_registry(["s_sum", "s_count"]).collect())
    assert [[sample.value for sample in metric.samples] for metric in metrics] == [[1, 2]]


def test_a_collector_that_answers_to_any_name_is_collected() -> None:
    """As a mock in an app's tests: only hvd's own instruments take a reading."""
    registry, collector = hvd.CollectorRegistry(), MagicMock()
    collector.describe.return_value = []
    collector.collect.return_value = [hvd.Metric("a", "A.", "gauge")]
    registry.register(collector)
    assert [metric.name for metric in registry.collect()] == ["a"]
