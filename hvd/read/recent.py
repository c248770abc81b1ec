"""What own metrics did lately: rates, values and percentiles between two looks at the figures. Pure.

Each series has a key, by which people know and pin it: its name and labels as /metrics writes them. A family that has
labels has one too, its name alone: it stands for all its series together.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hvd.core.own.definition import COUNTER, GAUGE, HISTOGRAM, STATESET, SUMMARY, Definition
from hvd.core.own.figures import Amounts, FamilyFigures, Sample
from hvd.read.own import percentiles

Recent = dict[str, float]
"""By name of the figure, see FIGURES; what isn't known, as a percentile of nothing, is NaN."""

FIGURES: Mapping[str, tuple[str, ...]] = {
    COUNTER: ("rate",),
    GAUGE: ("value",),
    STATESET: ("value",),
    SUMMARY: ("mean",),
    HISTOGRAM: ("p50", "p99"),
}
"""The figures of a family of each kind: a chart has a line for each. An info has none."""

_SHARES = 0.5, 0.99

Value = float | Amounts | None
"""Of a series, or of all together; None where there is none."""


def name_of(definition: Definition) -> str:
    """The name by which people know a family: a counter's has _total."""
    return key_text(definition.name, definition.kind, {})


def key_of(definition: Definition, labels: Mapping[str, str]) -> str:
    """The key of a series, or without labels of the family."""
    return key_text(definition.name, definition.kind, labels)


def key_text(name: str, kind: str, labels: Mapping[str, str]) -> str:
    """The same of a metric that somebody else has told of."""
    full_name = f"{name}_total" if kind == COUNTER else name
    pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{full_name}{{{pairs}}}" if pairs else full_name


def labels_of(key: str) -> dict[str, str]:
    """The labels that a key names."""
    pairs = _LABEL.findall(key.partition("{")[2])
    return {name: _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], value) for name, value in pairs}


_LABEL = re.compile(r'([^,="]+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


def _escaped(value: str) -> str:
    """As /metrics writes it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def value_of(sample: Sample | None) -> Value:
    """What of a sample can be charted."""
    return None if sample is None or isinstance(sample.value, Mapping) else sample.value


def total_of(samples: Iterable[Sample]) -> Value:
    """The sum of all samples of a family; of a gauge's too, and of their buckets."""
    values = [sample.value for sample in samples]
    amounts = [value for value in values if isinstance(value, Amounts)]
    if amounts:
        counts = tuple(map(sum, zip(*(amount.counts for amount in amounts), strict=True)))
        return Amounts(counts, math.fsum(amount.sum for amount in amounts))
    numbers = [value for value in values if isinstance(value, int | float)]
    return sum(numbers) if numbers else None


def recent_of(definition: Definition, before: Value, now: Value, seconds: float) -> Recent:
    """The figures of FIGURES, of what came in those seconds. `before` is None where the series was not there yet."""
    names = FIGURES.get(definition.kind, ())
    if isinstance(now, Amounts):
        return _of_amounts(definition, names, since(before, now))
    if now is None or not names:  # of an info there is nothing to chart
        return {}
    if definition.kind != COUNTER:
        return {names[0]: float(now)}
    grown = now - before if isinstance(before, int | float) and before <= now else now  # else it was removed meanwhile
    return {names[0]: grown / seconds if seconds > 0 else math.nan}


def since(before: Value, now: Amounts) -> Amounts:
    """What came since; all, where there was nothing before, or more than now: it was removed meanwhile."""
    if not isinstance(before, Amounts) or any(one > two for one, two in zip(before.counts, now.counts, strict=True)):
        return now
    counts = tuple(two - one for one, two in zip(before.counts, now.counts, strict=True))
    return Amounts(counts, now.sum - before.sum)


def _of_amounts(definition: Definition, names: tuple[str, ...], amounts: Amounts) -> Recent:
    if definition.kind == SUMMARY:
        return {names[0]: amounts.sum / amounts.observed if amounts.observed else math.nan}
    values = percentiles(definition, amounts.counts, _SHARES)
    return {name: math.nan if value is None else value for name, value in zip(names, values, strict=True)}


class Look(NamedTuple):
    """The families at a moment (monotonic, ns)."""

    at_ns: int
    families: tuple[FamilyFigures, ...]


class Recently:
    """The figures of one look beside those of the one before. Thread-safe once it is made."""

    def __init__(self, before: Look | None, now: Look) -> None:
        """`before` is None where there was no look before: then no rate is known."""
        self._before = None if before is None else {_identity(family): family for family in before.families}
        self._now = now.families
        self._seconds = 0.0 if before is None else (now.at_ns - before.at_ns) / 1e9

    def of(self, family: FamilyFigures, most: int | None = None) -> list[tuple[str, Recent]]:
        """Key and figures of each series, or of the first ones, in their order."""
        samples = family.samples[:most]
        return [
            (
                key_of(family.definition, dict(zip(family.labels, sample.labels, strict=True))),
                self._figures(family.definition, value_of(past), value_of(sample)),
            )
            for sample, past in zip(samples, self._past_samples(family, samples), strict=True)
        ]

    def _past_samples(self, family: FamilyFigures, samples: Sequence[Sample]) -> Sequence[Sample | None]:
        """What these were. Nearly always they were the first ones, as series are in order of appearance."""
        past = self._past(family)
        if past is None:
            return [None] * len(samples)
        first = past.samples[: len(samples)]
        if [sample.labels for sample in first] == [sample.labels for sample in samples]:
            return first
        known = {sample.labels: sample for sample in past.samples}
        return [known.get(sample.labels) for sample in samples]

    def together(self, family: FamilyFigures) -> Recent:
        """The figures of all series of a family."""
        past, kind = self._past(family), family.definition.kind
        if past is family and family.samples and kind not in (GAUGE, STATESET):  # nothing came: no need to add up
            return dict.fromkeys(FIGURES.get(kind, ()), 0.0 if kind == COUNTER else math.nan)
        before = None if past is None else total_of(past.samples)
        return self._figures(family.definition, before, total_of(family.samples))

    def of_keys(self, keys: Iterable[str]) -> dict[str, Recent]:
        """Those of these keys that there are."""
        families = {name_of(family.definition): family for family in self._now}
        figures = {key: self._of_key(key, families.get(key.partition("{")[0])) for key in keys}
        return {key: recent for key, recent in figures.items() if recent is not None}

    def _of_key(self, key: str, family: FamilyFigures | None) -> Recent | None:
        if family is None:
            return None
        if "{" not in key and family.labels:
            return self.together(family)
        labels = labels_of(key)
        if tuple(labels) != family.labels:
            return None
        wanted = tuple(labels.values())
        sample = next((sample for sample in family.samples if sample.labels == wanted), None)
        past = self._past(family)
        before = next((sample for sample in past.samples if sample.labels == wanted), None) if past else None
        return None if sample is None else self._figures(family.definition, value_of(before), value_of(sample))

    def _past(self, family: FamilyFigures) -> FamilyFigures | None:
        """The family then; none of the same name that was declared in another way."""
        past = None if self._before is None else self._before.get(_identity(family))
        return past if past is not None and past.definition.agrees(family.definition) else None

    def _figures(self, definition: Definition, before: Value, now: Value) -> Recent:
        if now is None:
            return {}
        if self._before is None and definition.kind not in (GAUGE, STATESET):
            return dict.fromkeys(FIGURES.get(definition.kind, ()), math.nan)
        return recent_of(definition, before, now, self._seconds)


def _identity(family: FamilyFigures) -> tuple[str, str]:
    return family.definition.name, family.definition.registry
