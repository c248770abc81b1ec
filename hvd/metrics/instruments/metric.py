"""What a registry gives of a metric when it is read: with its samples, in the form of prometheus_client.

Where the process has prometheus_client loaded, its own types are used, so that code which checks types accepts them.
"""

import sys
from collections.abc import Container, Mapping
from typing import Any

from hvd.metrics.instruments.names import check_metric_name

TYPES = "counter", "gauge", "summary", "histogram", "gaugehistogram", "unknown", "info", "stateset"


class Metric:
    """A metric and its samples; what a collector yields."""

    def __init__(self, name: str, documentation: str, typ: str, unit: str = "") -> None:
        """Raises ValueError where the name or the type can't be."""
        if unit and not name.endswith(f"_{unit}"):
            name = f"{name}_{unit}"
        check_metric_name(name)
        self.name, self.documentation, self.unit = name, documentation, unit
        self.type = "unknown" if typ == "untyped" else typ
        if self.type not in TYPES:
            raise ValueError(f"Invalid metric type: {typ}")
        self.samples: list[Any] = []

    def add_sample(
        self,
        name: str,
        labels: Mapping[str, str],
        value: float,
        timestamp: float | None = None,
        exemplar: Any = None,
        native_histogram: Any = None,
    ) -> None:
        """Add a line, with its whole name."""
        from hvd.metrics.instruments.sample import Sample  # not at the top: only readers need it

        self.samples.append(Sample(name, labels, value, timestamp, exemplar, native_histogram))

    def __eq__(self, other: object) -> bool:
        """Also with a Metric of prometheus_client's."""
        try:
            return self._form(self) == self._form(other)
        except AttributeError:
            return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Metric({', '.join(map(str, self._form(self)))})"

    @staticmethod
    def _form(metric: Any) -> tuple[Any, ...]:
        return metric.name, metric.documentation, metric.type, metric.unit, metric.samples

    def _restricted_metric(self, names: Container[str]) -> "Metric | None":
        """The same with only the samples of these names, None without one: what registries of prometheus_client
        0.26.0 call, too.
        """
        samples = [sample for sample in self.samples if sample.name in names]
        if not samples:
            return None
        metric = Metric(self.name, self.documentation, self.type)
        metric.samples = samples
        return metric


def make_metric(name: str, documentation: str, kind: str, unit: str = "") -> Any:
    """A Metric: prometheus_client's, where the process has that loaded."""
    other = sys.modules.get("prometheus_client.metrics_core")
    return (other.Metric if other else Metric)(name, documentation, kind, unit)
