"""A registry → Prometheus text 0.0.4, as prometheus_client 0.26.0 writes it: for an app that has a handler of its own.

The source is its exposition.py. A lone surrogate in a label value is written with a backslash, where theirs fails.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hvd.export.notation import UNDERSCORES, help_text, labels_text, metric_name, series_name
from hvd.metrics.instruments.registry import REGISTRY
from hvd.metrics.numbers import number

CONTENT_TYPE_LATEST = "text/plain; version=0.0.4; charset=utf-8"

_HEADS = {
    "counter": ("_total", "counter"),
    "info": ("_info", "gauge"),
    "stateset": ("", "gauge"),
    "gaugehistogram": ("", "histogram"),
    "unknown": ("", "untyped"),
}
"""Of each kind that text 0.0.4 doesn't have: what is added to the name, and what it is called there."""

_APART = "_created", "_gsum", "_gcount"
"""Samples of OpenMetrics that are no part of such a metric in text 0.0.4: they come after it, as gauges."""


def generate_latest(registry: Any = REGISTRY, escaping: str = UNDERSCORES) -> bytes:
    """All metrics of a registry, the sums of all processes. Raises whatever a custom collector raises."""
    texts = (line for metric in registry.collect() for line in _lines(metric, escaping))
    return "".join(texts).encode()


def _lines(metric: Any, escaping: str) -> Iterator[str]:
    suffix, kind = _HEADS.get(metric.type, ("", metric.type))
    yield _head(metric.name + suffix, metric.documentation, kind, escaping)
    apart: defaultdict[str, list[str]] = defaultdict(list)
    for sample in metric.samples:
        ending = next((ending for ending in _APART if sample.name == metric.name + ending), "")
        if ending:
            apart[ending].append(_line(sample, escaping))
        else:
            yield _line(sample, escaping)
    for ending, lines in sorted(apart.items()):
        yield _head(metric.name + ending, metric.documentation, "gauge", escaping)
        yield from lines


def _head(name: str, documentation: str, kind: str, escaping: str) -> str:
    name = metric_name(name, escaping)
    return f"# HELP {name} {help_text(documentation, openmetrics=False)}\n# TYPE {name} {kind}\n"


def _line(sample: Any, escaping: str) -> str:
    labels = labels_text({name: _encodable(value) for name, value in sample.labels.items()}, escaping)
    time = "" if sample.timestamp is None else f" {int(float(sample.timestamp) * 1000)}"
    return f"{series_name(sample.name, escaping).line_start(labels)} {number(sample.value)}{time}\n"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
