"""What every export shows of a counter of the block: the series that have counted, and 0 for what usually counts."""

from collections.abc import Mapping, Sequence

from hvd.core.catalogue import Family, Series
from hvd.metrics.table import Metric
from hvd.metrics.usual import USUAL

_NO_LABELS: dict[tuple[str, ...], int] = {(): 0}
_USUAL = {key: dict.fromkeys(labels, 0) for key, labels in USUAL.items()}


def counter_samples(metric: Metric, series: Sequence[Series], cells: memoryview) -> Mapping[tuple[str, ...], float]:
    """Values by label values, in the metric's unit; of an info 1."""
    usual = _usual(metric)
    values = usual | {run.labels: cells[run.offset] for run in series}
    shown = {labels: value for labels, value in values.items() if value or labels in usual}
    if metric.kind == "info":
        return dict.fromkeys(shown, 1)
    return {labels: value / 1e9 for labels, value in shown.items()} if metric.unit == "seconds" else shown


def _usual(metric: Metric) -> dict[tuple[str, ...], int]:
    """0 for the label values with which a counter of the block is shown from the start, in order."""
    if not metric.labels:
        return _NO_LABELS
    return _USUAL.get(metric.source.key, {}) if isinstance(metric.source, Family) else {}
