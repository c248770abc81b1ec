"""The app's own metrics → OpenTelemetry's metrics, under the names that /metrics has for them.

As the specification has it, "Prometheus and OpenMetrics Compatibility": an info and a stateset are sums that don't only
grow. The data model has no summary; one that has no quantiles, as those of prometheus_client, is a histogram without
bounds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import DataT, Metric, NumberDataPoint

from hvd.core.catalogue import OVERFLOW
from hvd.core.own import notes
from hvd.core.own.definition import COUNTER, GAUGE, HISTOGRAM, INFO, STATESET
from hvd.core.own.figures import Amounts, FamilyFigures, Sample
from hvd.export.otlp import exponential, points
from hvd.export.otlp.starts import Starts

OVERFLOWED = "otel.metric.overflow"
"""The attribute of an overflow series: specification of the metrics SDK, cardinality limits."""


def metrics_of(families: Iterable[FamilyFigures], at: int, starts: Starts) -> Iterator[Metric]:
    """The metrics of these families, as of that time; families without a series are left out."""
    starts.begin(at)
    for family in families:
        if family.samples:
            known = family.definition
            suffix = {COUNTER: "_total", INFO: "_info"}.get(known.kind, "")
            yield points.metric(f"{known.name}{suffix}", known.help, known.unit, _data(family, at, starts))


def _data(family: FamilyFigures, at: int, starts: Starts) -> DataT:
    kind, samples, name = family.definition.kind, family.samples, family.definition.name
    if kind == COUNTER:
        return points.sums(
            [
                points.number(
                    _attributes(family, one), cast(float, one.value), at, starts.of(name, one), _exemplars(one)
                )
                for one in samples
            ]
        )
    if kind == GAUGE:
        return points.gauges([points.number(_attributes(family, one), cast(float, one.value), at) for one in samples])
    if kind == INFO:
        infos = (_attributes(family, one) | _text_attributes(cast(Mapping[str, str], one.value)) for one in samples)
        return points.sums([points.number(of, 1, at) for of in infos], only_grow=False)
    if kind == STATESET:
        return points.sums(list(_states(family, at)), only_grow=False)
    return _distribution(family, at, starts)


def _states(family: FamilyFigures, at: int) -> Iterator[NumberDataPoint]:
    for sample in family.samples:
        for number, state in enumerate(family.definition.states):
            of = _attributes(family, sample) | _text_attributes({family.definition.name: state})
            yield points.number(of, int(sample.value == number), at)


def _distribution(family: FamilyFigures, at: int, starts: Starts) -> DataT:
    """The data of a histogram or a summary."""
    known, name = family.definition, family.definition.name
    amounts = [(one, cast(Amounts, one.value)) for one in family.samples]
    if known.is_logarithmic:
        return points.exponentials(
            [
                points.exponential(
                    *(_attributes(family, one), exponential.of_own(value.counts), value.sum, at, starts.of(name, one)),
                    _exemplars(one),
                )
                for one, value in amounts
            ]
        )
    bounds = known.buckets if known.kind == HISTOGRAM else ()
    return points.histograms(
        [
            points.explicit(
                _attributes(family, one), value.counts, bounds, value.sum, at, starts.of(name, one), _exemplars(one)
            )
            for one, value in amounts
        ]
    )


def _attributes(family: FamilyFigures, sample: Sample) -> dict[str, str | int | bool]:
    labels = points.attributes(family.labels, sample.labels)
    if sample.labels and set(sample.labels) == {OVERFLOW}:
        labels[OVERFLOWED] = True
    return labels


def _text_attributes(pairs: Mapping[str, str]) -> dict[str, str | int | bool]:
    return dict(points.attributes(list(pairs), list(pairs.values())))


def _exemplars(sample: Sample) -> Sequence[Exemplar]:
    return [_exemplar(one) for one in sample.exemplars.values()] if sample.exemplars else ()


def _exemplar(one: notes.Exemplar) -> Exemplar:
    """The ids of trace and span are no attributes, where they are such ids."""
    trace, span = _id(one.labels.get("trace_id"), 32), _id(one.labels.get("span_id"), 16)
    labels = dict(one.labels)
    if trace and span:  # the official encoder takes both, or none
        del labels["trace_id"], labels["span_id"]
    else:
        trace = span = None
    return Exemplar(_text_attributes(labels), float(one.value), round(one.time * 1e9), span, trace)


def _id(value: str | None, digits: int) -> int | None:
    """The number that so many hexadecimal digits are; None for anything else."""
    if value is None or len(value) != digits or not set(value) <= set("0123456789abcdefABCDEF"):
        return None
    return int(value, 16)
