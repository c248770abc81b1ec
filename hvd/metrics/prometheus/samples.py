"""Figures of the block → samples, as prometheus_client's metrics and its MultiProcessCollector give them."""

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.metrics_core import Metric

from hvd.core.own.definition import COUNTER, GAUGE, INFO, STATESET, SUMMARY, Definition
from hvd.core.own.figures import PID, Amounts, FamilyFigures
from hvd.core.own.figures import Sample as Figure
from hvd.core.own.gauges import family_is_by_process
from hvd.core.own.store import ProcessFamily, own_store
from hvd.metrics.instruments.lines import Line, lines_of

Labels = dict[str, str]


def add_samples(metric: Metric, figures: FamilyFigures, *, as_files: bool = False) -> None:
    """Give the metric the samples of all processes. With `as_files` those which prometheus_client's files would give,
    in their order: without `_created`. Exemplars, which the files don't have, are there.
    """
    for figure in figures.samples:
        labels = dict(zip(figures.labels, figure.labels, strict=False))
        lines = lines_of(figures.definition, labels, figure)
        for line in _of_files(lines, labels, figure.value) if as_files else lines:
            metric.add_sample(f"{metric.name}{line.suffix}", line.labels, float(line.value), None, line.exemplar)


def _of_files(lines: Iterable[Line], labels: Labels, value: object) -> Iterator[Line]:
    """The sum of a histogram comes first, also where it may shrink; nothing says when a series was created."""
    left_out = {"_created"}
    if isinstance(value, Amounts) and len(value.counts) > 1:
        left_out.add("_sum")
        yield Line("_sum", labels, value.sum)
    yield from (line for line in lines if line.suffix not in left_out)


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
            yield FamilyFigures(definition, definition.labels[:-1], tuple(_info_figures(family)))
            continue
        figures = [
            Figure((*(labels or ()), *pid), _counted(definition, place), 0.0)
            for labels, place in family.all()
            if labels is not None or not definition.labels
        ]
        yield FamilyFigures(definition, (*definition.labels, *(PID for _ in pid)), tuple(figures))


def _info_figures(family: ProcessFamily) -> Iterator[Figure]:
    """Of an info, what was said last of each set of label values: the value of a place is when."""
    latest: dict[tuple[str, ...], tuple[float, str]] = {}
    for labels, place in family.all():
        if labels is not None:
            info: Any = place
            latest[labels[:-1]] = max(latest.get(labels[:-1], (-1.0, "{}")), (info.value, labels[-1]))
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
