"""From instruments to metrics with samples: what a registry gives of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from hvd.core.limits import OVERFLOW
from hvd.core.own.samples import NO_EXEMPLARS, Exemplar, FamilyFigures, Sample
from hvd.metrics.instruments.base import Instrument
from hvd.metrics.instruments.lines import lines_of
from hvd.metrics.instruments.reading import Reading


def metric_of(instrument: Instrument, reading: Reading | None = None) -> Any:
    """The metric with its samples, as this reading has them, or a new one. Of a child only its own, without labels."""
    metric = instrument.describe()[0]
    family = instrument._family
    if family is None:  # just being declared
        return metric
    names, values = instrument._labelnames, instrument._labelvalues
    figures = (reading or Reading()).of(family) or FamilyFigures(
        instrument._definition, names, tuple(instrument.own_samples())
    )
    for sample in figures.samples:
        labels = dict(zip(figures.labels, sample.labels, strict=False))
        if values:
            if sample.labels[: len(names)] != values:
                continue
            labels = dict(list(labels.items())[len(names) :])
        for line in lines_of(instrument._definition, labels, sample):
            metric.add_sample(instrument._name + line.suffix, line.labels, line.value, None, line.exemplar)
    return metric


def samples_of_places(instrument: Instrument) -> Iterator[Sample]:
    """What this process counted, by the places of the family."""
    assert instrument._family
    place: Any
    for labels, place in instrument._family.all():
        texts = (OVERFLOW,) * len(instrument._labelnames) if labels is None else labels
        yield Sample(texts, place.own_value(), place._created, _exemplars_of(place))


def _exemplars_of(place: Any) -> Mapping[int, Exemplar]:
    exemplars = place._exemplars
    return {index: Exemplar(*exemplar) for index, exemplar in exemplars.items()} if exemplars else NO_EXEMPLARS
