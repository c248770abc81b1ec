"""The app's own metrics as JSON, and percentiles of what histograms counted. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NotRequired, TypedDict

from hvd.core.own.definition import HISTOGRAM, STATESET, Definition
from hvd.core.own.figures import Amounts, FamilyFigures, OwnFigures, Sample
from hvd.core.own.logarithmic import PER_OCTAVE
from hvd.core.own.notes import Exemplar

MIDDLE = 2 / (1 + 2 ** (1 / PER_OCTAVE))
"""The upper bound of a logarithmic bucket times this is the harmonic mean of its bounds: no amount in it is further
away than 4.4 % (as hvd/read/requests.py, percentile).
"""

Number = float | str
"""A value: JSON has no numbers for what is "NaN", "+Inf" or "-Inf"."""


class OwnExemplar(TypedDict):
    """An example of what was counted: its labels, the amount, and when (Unix time in s). `le` is the upper bound of its
    bucket in a histogram.
    """

    labels: dict[str, str]
    value: Number
    time: float
    le: NotRequired[Number]


class OwnSeries(TypedDict):
    """A series: its labels, when it was created (Unix time in s), and by the kind of the metric

    - counter, gauge: `value`
    - summary: `count`, `sum`
    - histogram: `count`, `sum`, percentiles of all that was observed (null where that is nothing), and `buckets`: upper
      bound and count, not cumulative, of those that have counted
    - info: `info`, what it says
    - stateset: `state`
    """

    labels: dict[str, str]
    created: float
    value: NotRequired[Number]
    count: NotRequired[int]
    sum: NotRequired[Number]
    buckets: NotRequired[list[list[Number]]]
    p50: NotRequired[float | None]
    p90: NotRequired[float | None]
    p99: NotRequired[float | None]
    info: NotRequired[dict[str, str]]
    state: NotRequired[str]
    exemplars: NotRequired[list[OwnExemplar]]


class OwnMetric(TypedDict):
    """A metric of the app: `name` is without `_total`, `mode` how a gauge's processes combine, else "". `bounds` are
    the upper bounds of a histogram's buckets without the last, unbounded one; none where they are hvd's logarithmic
    ones, each of which begins at its upper bound / 2^(1/8). Of `series_total` series `series` may have the first ones
    only.
    """

    name: str
    kind: str
    help: str
    unit: str
    labels: list[str]
    mode: str
    bounds: list[float]
    logarithmic: bool
    series_total: int
    series: list[OwnSeries]


def shown_families(own: OwnFigures) -> list[FamilyFigures]:
    """The families of the default registry: those of another one are for its owner to show."""
    return [family for family in own.families if not family.definition.registry]


def build_own(families: Iterable[FamilyFigures], each: int | None = None, most: int | None = None) -> list[OwnMetric]:
    """The metrics, of which each has so many series at most, and all together so many."""
    metrics, series = list[OwnMetric](), 0
    for family in families:
        samples = family.samples[:each]
        metrics.append(_metric(family, samples if most is None else samples[: max(0, most - series)]))
        series += len(samples)
    return metrics


def _metric(family: FamilyFigures, samples: Sequence[Sample]) -> OwnMetric:
    definition = family.definition
    return {
        "name": definition.name,
        "kind": definition.kind,
        "help": definition.help,
        "unit": definition.unit,
        "labels": list(family.labels),
        "mode": definition.mode if definition.kind == "gauge" else "",
        "bounds": [] if definition.is_logarithmic else list(definition.buckets),
        "logarithmic": definition.is_logarithmic,
        "series_total": len(family.samples),
        "series": [_series(family, sample) for sample in samples],
    }


def _series(family: FamilyFigures, sample: Sample) -> OwnSeries:
    definition, value = family.definition, sample.value
    series: OwnSeries = {
        "labels": dict(zip(family.labels, sample.labels, strict=True)),
        "created": sample.created,
    }
    if isinstance(value, Amounts):
        series["count"], series["sum"] = value.observed, _number(value.sum)
        if definition.kind == HISTOGRAM:
            bounds = (*definition.buckets, math.inf)
            series["buckets"] = [[_number(bounds[at]), count] for at, count in enumerate(value.counts) if count]
            series["p50"], series["p90"], series["p99"] = percentiles(definition, value.counts, (0.5, 0.9, 0.99))
    elif isinstance(value, Mapping):
        series["info"] = dict(value)
    elif definition.kind == STATESET:
        series["state"] = next((state for number, state in enumerate(definition.states) if number == value), "")
    else:
        series["value"] = _number(value)
    if sample.exemplars:
        series["exemplars"] = [_exemplar(definition, *item) for item in sorted(sample.exemplars.items())]
    return series


def _exemplar(definition: Definition, cell: int, example: Exemplar) -> OwnExemplar:
    shown: OwnExemplar = {"labels": dict(example.labels), "value": _number(example.value), "time": example.time}
    if definition.kind == HISTOGRAM:
        shown["le"] = _number((*definition.buckets, math.inf)[cell - 1])
    return shown


def _number(value: float) -> Number:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def percentiles(definition: Definition, counts: Sequence[int], shares: Sequence[float]) -> list[float | None]:
    """The amounts that these shares of what a histogram counted don't exceed; None where it has counted nothing.

    Of logarithmic buckets within 5 %, from a nanosecond to 17 billion; 0 for what is not above 0. Of given ones as
    Prometheus's histogram_quantile has them: as if amounts were spread evenly between a bucket's bounds, the highest
    bound where there are more.
    """
    cumulative = list(accumulate(counts))
    if not cumulative or cumulative[-1] <= 0:
        return [None] * len(shares)
    estimate = _logarithmic if definition.is_logarithmic else _linear
    return [estimate(definition.buckets, cumulative, share * cumulative[-1]) for share in shares]


def _bucket(cumulative: Sequence[int], rank: float) -> int:
    return next(index for index, count in enumerate(cumulative) if count >= rank and count)


def _logarithmic(bounds: Sequence[float], cumulative: Sequence[int], rank: float) -> float:
    index = _bucket(cumulative, rank)
    return bounds[-1] if index == len(bounds) else bounds[index] * MIDDLE


def _linear(bounds: Sequence[float], cumulative: Sequence[int], rank: float) -> float | None:
    index = _bucket(cumulative, rank)
    if index == len(bounds):
        return bounds[-1] if bounds else None
    below, upper = cumulative[index - 1] if index else 0, bounds[index]
    lower = bounds[index - 1] if index else min(0.0, upper)
    return lower + (upper - lower) * (rank - below) / (cumulative[index] - below)
