"""The lines of a series: what its figures come to as names, labels and values, in the order of prometheus_client."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hvd.core.own.definition import COUNTER, HISTOGRAM, INFO, STATESET, SUMMARY, Definition
from hvd.core.own.logarithmic import octave_ends
from hvd.core.own.samples import Amounts, Exemplar, Sample
from hvd.metrics.instruments.sample import make_exemplar
from hvd.metrics.numbers import number

Labels = dict[str, str]

_has_created = True


class Line(NamedTuple):
    """One line, without the metric's name before the suffix."""

    suffix: str
    labels: Labels
    value: float
    exemplar: Any = None


def enable_created_metrics() -> None:
    """Give the lines _created, as at the start."""
    global _has_created
    _has_created = True


def disable_created_metrics() -> None:
    """Leave the lines _created out."""
    global _has_created
    _has_created = False


def shows_created() -> bool:
    """Whether lines _created are given; they can also be turned off in prometheus_client, if that is loaded."""
    other = sys.modules.get("prometheus_client.metrics")
    return _has_created and bool(getattr(other, "_use_created", True))  # private there in 0.26.0


def lines_of(definition: Definition, labels: Labels, sample: Sample) -> Iterator[Line]:
    """The lines of one series."""
    kind, value = definition.kind, sample.value
    if kind == COUNTER:
        assert isinstance(value, int | float)
        yield Line("_total", labels, value, _exemplar(sample.exemplars.get(0)))
    elif isinstance(value, Amounts):
        yield from _amounts(definition, labels, value, sample)
    elif kind == INFO:
        assert isinstance(value, Mapping)
        yield Line("_info", {**labels, **value}, 1.0)
    elif kind == STATESET:
        for number, state in enumerate(definition.states):
            yield Line("", {**labels, definition.name: state}, 1 if number == value else 0)
    else:
        assert isinstance(value, int | float)
        yield Line("", labels, value)
    if kind in (COUNTER, SUMMARY, HISTOGRAM) and shows_created():
        yield Line("_created", labels, sample.created)


def _amounts(definition: Definition, labels: Labels, amounts: Amounts, sample: Sample) -> Iterator[Line]:
    if definition.kind == SUMMARY:
        yield Line("_count", labels, amounts.observed)
        yield Line("_sum", labels, amounts.sum)
        return
    for bound, count, cells in _cumulative(definition, amounts.counts):
        exemplars = [sample.exemplars[cell] for cell in cells if cell in sample.exemplars]
        latest = max(exemplars, key=lambda exemplar: exemplar.time, default=None)
        yield Line("_bucket", {**labels, "le": number(bound)}, count, _exemplar(latest))
    yield Line("_count", labels, amounts.observed)
    if definition.buckets[0] >= 0:
        yield Line("_sum", labels, amounts.sum)


def _cumulative(definition: Definition, counts: tuple[int, ...]) -> Iterator[tuple[float, int, range]]:
    """The buckets of a histogram for which lines are given; logarithmic ones by octave.

    -> upper bound, how many up to there, and the cells of the series that are in this bucket alone.
    """
    total, first = 0, 0
    ends = (*octave_ends(counts), len(counts)) if definition.is_logarithmic else range(1, len(counts) + 1)
    for end in ends:
        total += sum(counts[first:end])
        yield (definition.buckets[end - 1] if end < len(counts) else math.inf), total, range(first + 1, end + 1)
        first = end


def _exemplar(exemplar: Exemplar | None) -> Any:
    return make_exemplar(dict(exemplar.labels), exemplar.value, exemplar.time) if exemplar else None
