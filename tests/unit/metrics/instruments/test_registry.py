"""Registries: what ../test_registries_of_prometheus_client.py doesn't have."""

from unittest.mock import MagicMock

import hvd


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
