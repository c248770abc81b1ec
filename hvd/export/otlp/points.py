"""The pieces of OpenTelemetry's data model, with what hvd has no figure for left out.

Times are Unix time in ns; a start of 0 says that it is not known since when something is counted. All is cumulative.
The classes are public: opentelemetry.sdk.metrics.export (read in 1.45.1).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    DataPointT,
    DataT,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from hvd.export.otlp.exponential import Exponential

CUMULATIVE = AggregationTemporality.CUMULATIVE

Attributes = Mapping[str, str | int | bool]

UNITS = {"seconds": "s", "bytes": "By", "ratio": "1"}
"""Units as UCUM writes them, by the words that names of metrics end with."""

_INT64 = range(-(2**63), 2**63)
_NOTHING: Any = None
"""The protocol allows points without least and greatest value, which hvd does not keep; the types don't say so."""


def text(value: str) -> str:
    """The text without lone surrogates, which no protobuf takes: the exporter would leave the attribute out."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def attributes(names: Sequence[str], values: Sequence[str]) -> dict[str, str | int | bool]:
    """Labels as attributes."""
    return {text(name): text(value) for name, value in zip(names, values, strict=True)}


def number(
    of: Attributes, value: float, at: int, start: int = 0, exemplars: Sequence[Exemplar] = ()
) -> NumberDataPoint:
    """A point of a sum or a gauge."""
    is_too_long = isinstance(value, int) and value not in _INT64
    return NumberDataPoint(of, start, at, float(value) if is_too_long else value, exemplars)


def explicit(
    of: Attributes,
    counts: Sequence[int],
    bounds: Sequence[float],
    total: float,
    at: int,
    start: int,
    exemplars: Sequence[Exemplar] = (),
) -> HistogramDataPoint:
    """A point of a histogram by bounds; `counts` are not cumulative, and have one more above."""
    return HistogramDataPoint(of, start, at, sum(counts), total, counts, bounds, _NOTHING, _NOTHING, exemplars)


def exponential(
    of: Attributes, run: Exponential, total: float, at: int, start: int, exemplars: Sequence[Exemplar] = ()
) -> ExponentialHistogramDataPoint:
    """A point of an exponential histogram."""
    return ExponentialHistogramDataPoint(
        of,
        start,
        at,
        sum(run.counts) + run.zeros,
        total,
        run.scale,
        run.zeros,
        Buckets(run.offset, run.counts),
        Buckets(0, ()),
        0,
        _NOTHING,
        _NOTHING,
        exemplars,
    )


def metric(name: str, help: str, unit: str, data: DataT) -> Metric:
    """A metric; `unit` is a word of UNITS, or any other."""
    return Metric(text(name), text(help), UNITS.get(unit, text(unit)), data)


def sums(points: Sequence[NumberDataPoint], *, only_grow: bool = True) -> Sum:
    """Points of a counter; those that don't only grow are of what OpenMetrics calls info and stateset."""
    return Sum(points, CUMULATIVE, only_grow)


def gauges(points: Sequence[NumberDataPoint]) -> Gauge:
    """Points of a gauge."""
    return Gauge(points)


def histograms(points: Sequence[HistogramDataPoint]) -> Histogram:
    """Points of a histogram by bounds."""
    return Histogram(points, CUMULATIVE)


def exponentials(points: Sequence[ExponentialHistogramDataPoint]) -> ExponentialHistogram:
    """Points of an exponential histogram."""
    return ExponentialHistogram(points, CUMULATIVE)


def bytes_of(point: DataPointT) -> int:
    """A rough upper bound of the bytes that a point takes."""
    texts = _length(point.attributes or {})
    texts += sum(_length(exemplar.filtered_attributes or {}) + 64 for exemplar in point.exemplars)
    if isinstance(point, HistogramDataPoint):
        return 64 + texts + 16 * len(point.bucket_counts)
    if isinstance(point, ExponentialHistogramDataPoint):
        counts = point.positive.bucket_counts
        return 96 + texts + len(counts) + 8 * (len(counts) - counts.count(0))
    return 48 + texts


def _length(of: Mapping[str, Any]) -> int:
    return sum(len(name) + len(str(value)) * _width(str(value)) + 12 for name, value in of.items())


def _width(value: str) -> int:
    return 1 if value.isascii() else 4


def split(metrics: Iterable[Metric], limit: int) -> Iterable[list[Metric]]:
    """The metrics in pieces of roughly so many bytes; a metric of many points is in several of them."""
    piece: list[Metric] = []
    size = 0
    for one in metrics:
        points: list[DataPointT] = []
        for point in one.data.data_points:
            weight = bytes_of(point)
            if size + weight > limit and (piece or points):
                yield [*piece, *_part(one, points)]
                piece, points, size = [], [], 0
            points.append(point)
            size += weight
        piece += _part(one, points)
    if piece:
        yield piece


def _part(one: Metric, points: Sequence[Any]) -> list[Metric]:
    """The metric with these points; nothing where there are none."""
    if not points:
        return []
    data = one.data
    if isinstance(data, Sum):
        return [Metric(one.name, one.description, one.unit, Sum(points, CUMULATIVE, data.is_monotonic))]
    if isinstance(data, Gauge):
        return [Metric(one.name, one.description, one.unit, Gauge(points))]
    return [Metric(one.name, one.description, one.unit, type(data)(points, CUMULATIVE))]
