"""Metrics as registries give them."""

import subprocess
import sys

import prometheus_client
import pytest

import hvd
from hvd.metrics.instruments.metric import make_metric


def test_theirs_where_they_are_loaded() -> None:
    """So whoever compares them finds his own types."""
    assert type(make_metric("a", "A.", "counter")) is prometheus_client.Metric


def test_own_where_they_are_not() -> None:
    """And all works without them."""
    code = (
        "import hvd, sys; c = hvd.Counter('a', 'A.'); c.inc(1, {'b': 'c'}); m = list(hvd.REGISTRY.collect())[0];"
        "assert type(m) is hvd.Metric and type(m.samples[0].exemplar) is hvd.Exemplar, m;"
        "assert 'prometheus_client' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_metric() -> None:
    """Equal where all is equal, also to one of theirs."""
    metric, other = hvd.Metric("a", "A.", "untyped", "s"), prometheus_client.Metric("a", "A.", "unknown", "s")
    assert metric.name == "a_s"
    assert metric == other
    metric.add_sample("a_s", {}, 1)
    assert metric != other
    assert metric != 1
    assert "A." in repr(metric)
    assert metric._restricted_metric({"b"}) is None
    with pytest.raises(ValueError, match="Invalid metric type: x"):
        hvd.Metric("a", "A.", "x")
