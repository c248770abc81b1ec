"""Figures of the block → samples, as prometheus_client's metrics and its MultiProcessCollector give them."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from hvd.core.own.definition import COUNTER, GAUGE, HISTOGRAM, INFO, STATESET, SUMMARY, Definition
from hvd.core.own.figures import PID, Amounts, FamilyFigures
from hvd.core.own.figures import Sample as Figure
from hvd.core.own.gauges import family_is_by_process
from hvd.core.own.store import ProcessFamily, own_store
from hvd.metrics.instruments.lines import cumulative

Labels = dict[str, str]


def add_samples(metric: Metric, figures: FamilyFigures, *, as_files: bool = False) -> None:
    """Give the metric the samples of all processes. With `as_files` those which prometheus_client's files would give,
    in their order: without `_created`, exemplars too, which the files don't have.
    """
    make = _MAKERS[figures.definition.kind]
    definition, name = figures.definition, metric.name
    has_created = metrics._use_created and not as_files and definition.kind in (COUNTER, SUMMARY, HISTOGRAM)
    for figure in figures.samples:
        labels = dict(zip(figures.labels, figure.labels, strict=False))
        samples = list(make(definition, labels, figure, name))
        if as_files and definition.kind == HISTOGRAM:
            samples.insert(0, samples.pop())
        elif definition.kind == HISTOGRAM and definition.buckets[0] < 0:
            samples.pop()  # a sum that may shrink
        metric.samples += samples
        if has_created:
            metric.add_sample(f"{name}_created", labels, figure.created)


def as_files(families: Iterable[FamilyFigures]) -> Iterator[Metric]:
    """The metrics that a MultiProcessCollector gives: those of the default registry, which have a series."""
    for figures in families:
        definition = figures.definition
        if figures.samples and not definition.registry:
            metric = Metric(definition.name, definition.help, definition.kind)
            add_samples(metric, figures, as_files=True)
            yield metric


def readable(metric: Metric) -> Metric:
    """The same, where label values have only characters that UTF-8 has: a lone surrogate would end each scrape."""
    for index, sample in enumerate(metric.samples):
        if not all(map(str.isascii, sample.labels.values())):
            labels = {name: text.encode("utf-8", "backslashreplace").decode() for name, text in sample.labels.items()}
            metric.samples[index] = sample._replace(labels=labels)
    return metric


def own_families() -> Iterator[FamilyFigures]:
    """What this process has counted, where it counts for itself: the figures would be those of all processes."""
    for family in own_store.families():
        definition, pid = family.definition, (str(os.getpid()),) if family_is_by_process(family.definition) else ()
        if definition.kind == INFO:
            yield FamilyFigures(definition, definition.labels[:-1], tuple(_said(family)))
            continue
        figures = [
            Figure((*(labels or ()), *pid), _counted(definition, place), 0.0)
            for labels, place in family.all()
            if labels is not None or not definition.labels
        ]
        yield FamilyFigures(definition, (*definition.labels, *(PID for _ in pid)), tuple(figures))


def _said(family: ProcessFamily) -> Iterator[Figure]:
    """Of an info, what was said last of each set of label values: the value of a place is when."""
    latest: dict[tuple[str, ...], tuple[float, str]] = {}
    for labels, place in family.all():
        if labels is not None:
            said: Any = place
            latest[labels[:-1]] = max(latest.get(labels[:-1], (-1.0, "{}")), (said.value, labels[-1]))
    for texts, (_, facts) in latest.items():
        yield Figure(texts, json.loads(facts), 0.0)


def _counted(definition: Definition, place: Any) -> Any:
    if definition.kind in (GAUGE, STATESET):
        return place.value
    counted = place.counted()
    if definition.kind == COUNTER:
        return sum(counted)
    if definition.kind == SUMMARY:
        return Amounts((int(counted[0]),), counted[1])
    return Amounts(tuple(map(int, counted[1:])), counted[0])


def _counter(definition: Definition, labels: Labels, figure: Figure, name: str) -> Iterator[Sample]:
    exemplar = _exemplar(figure.exemplars.get(0))
    yield Sample(f"{name}_total", labels, float(figure.value), None, exemplar)  # type: ignore[arg-type]


def _gauge(definition: Definition, labels: Labels, figure: Figure, name: str) -> Iterator[Sample]:
    yield Sample(name, labels, figure.value)  # type: ignore[arg-type]


def _summary(definition: Definition, labels: Labels, figure: Figure, name: str) -> Iterator[Sample]:
    amounts = figure.value
    assert isinstance(amounts, Amounts)
    yield Sample(f"{name}_count", labels, float(amounts.observed))
    yield Sample(f"{name}_sum", labels, float(amounts.sum))


def _histogram(definition: Definition, labels: Labels, figure: Figure, name: str) -> Iterator[Sample]:
    amounts = figure.value
    assert isinstance(amounts, Amounts)
    for bound, total, cells in cumulative(definition, amounts.counts):
        bucket = {**labels, "le": floatToGoString(bound)}  # type: ignore[no-untyped-call]
        noted = max((cell for cell in cells if cell in figure.exemplars), default=0)
        yield Sample(f"{name}_bucket", bucket, float(total), None, _exemplar(figure.exemplars.get(noted)))
    yield Sample(f"{name}_count", labels, float(amounts.observed))
    yield Sample(f"{name}_sum", labels, float(amounts.sum))


def _info(definition: Definition, labels: Labels, figure: Figure, name: str) -> Iterator[Sample]:
    assert isinstance(figure.value, Mapping)
    yield Sample(f"{name}_info", {**labels, **figure.value}, 1.0)


def _stateset(definition: Definition, labels: Labels, figure: Figure, name: str) -> Iterator[Sample]:
    for index, state in enumerate(definition.states):
        yield Sample(name, {**labels, name: state}, 1 if index == figure.value else 0)


_MAKERS: dict[str, Callable[[Definition, Labels, Figure, str], Iterator[Sample]]] = {
    COUNTER: _counter,
    GAUGE: _gauge,
    SUMMARY: _summary,
    HISTOGRAM: _histogram,
    INFO: _info,
    STATESET: _stateset,
}


def _exemplar(kept: Any) -> Exemplar | None:
    return Exemplar(dict(kept.labels), kept.value, kept.time) if kept else None
