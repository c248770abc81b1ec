"""The app's own metrics → Prometheus text 0.0.4 or OpenMetrics 1.0, as prometheus_client 0.26.0 writes them.

Figures that did not change are the same objects in the next reading (core/own/figures.py): so the text of a family, and
of each of its series, is kept with the object that it was made of.
"""

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from hvd.core.own.definition import COUNTER, GAUGE, HISTOGRAM, INFO, STATESET, SUMMARY, Definition
from hvd.core.own.figures import Amounts, FamilyFigures, Sample
from hvd.core.own.hot import counts_text
from hvd.core.own.logarithmic import octave_ends
from hvd.core.own.notes import Exemplar
from hvd.export.notation import (
    ALLOW_UTF_8,
    UNDERSCORES,
    help_text,
    label_name,
    label_names,
    labels_text,
    metric_name,
    quote,
    series_name,
)
from hvd.metrics.numbers import number


class Style(NamedTuple):
    """How metrics are written: in which format, how names are escaped (notation.py), and whether each series says when
    it was created, which only OpenMetrics has.
    """

    openmetrics: bool = False
    escaping: str = "underscores"
    created: bool = False


PLAIN = Style()

_STEADY = COUNTER, GAUGE, SUMMARY, HISTOGRAM
"""Kinds whose series have a constant set of lines, unless the buckets are logarithmic."""

_HEADS = {
    COUNTER: ("_total", "counter"),
    GAUGE: ("", "gauge"),
    SUMMARY: ("", "summary"),
    HISTOGRAM: ("", "histogram"),
    INFO: ("_info", "gauge"),
    STATESET: ("", "gauge"),
}
"""Of each kind, what text 0.0.4 calls it, and what it adds to the family's name."""


class OwnExposition:
    """Renders families of own metrics. Thread-safe: a lost race only costs time."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str, Style], FamilyText] = {}

    def render(
        self, families: Iterable[FamilyFigures], style: Style, names: Container[str] | None = None
    ) -> Iterator[str]:
        """The text of each family; of these sample names only, where some are named."""
        for family in families:
            key = family.definition.name, family.definition.registry, style
            text = self._texts.get(key)
            if text is None or text.definition is not family.definition:
                text = self._texts[key] = FamilyText(family, style)
            yield text.render(family) if names is None else text.only(family, names)


class Line(NamedTuple):
    """A sample of a series: how its line begins, its value, and what follows it; `suffix` is that of its name."""

    suffix: str
    start: str
    value: float
    end: str = ""

    def __str__(self) -> str:
        return f"{self.start} {number(self.value)}{self.end}\n"


class Template(NamedTuple):
    """The lines of a series without their numbers, for the % operator, and, of most histograms, for `counts_text`;
    nothing where not only their numbers change.
    """

    text: str = ""
    pieces: tuple[str, ...] = ()


_NO_TEMPLATE = Template()


class Written(NamedTuple):
    """The text of a family, and of each series its lines, and their template."""

    samples: tuple[Sample, ...]
    lines: list[str]
    templates: list[Template]
    text: str


class FamilyText:
    """The text of one family in one style."""

    def __init__(self, family: FamilyFigures, style: Style) -> None:
        self.definition, self._style = family.definition, style
        self._head = _head(self.definition, style)
        by_name = sorted((name, index) for index, name in enumerate(family.labels))
        self._names = [name for name, _ in by_name]
        self._own_label = label_name(self.definition.name, style.escaping)  # a stateset's
        reserved = [self._own_label] if self.definition.kind == STATESET else []
        texts = label_names(self._names, style.escaping, reserved)
        self._labels = [(text, index) for text, (_, index) in zip(texts, by_name, strict=True)]
        suffixes = "", "_total", "_info", "_bucket", "_count", "_sum", "_created"
        self._series = {suffix: series_name(self.definition.name + suffix, style.escaping) for suffix in suffixes}
        self._bounds = [number(bound) for bound in self.definition.buckets]
        self._has_sum = not self.definition.buckets or self.definition.buckets[0] >= 0  # else it could fall
        self._has_created = style.created and self.definition.kind in (COUNTER, SUMMARY, HISTOGRAM)
        self._is_steady = self.definition.kind in _STEADY and not self.definition.is_logarithmic
        self._written = Written((), [], [], self._head)

    def render(self, family: FamilyFigures) -> str:
        """The family's head, and the lines of all its series."""
        written = self._written
        if written.samples is not family.samples:
            written = self._written = self._write(written, family.samples)
        return written.text

    def _write(self, before: Written, samples: tuple[Sample, ...]) -> Written:
        """Samples at the same index are of the same series, unless some are gone."""
        known = min(len(before.samples), len(samples))
        lines, templates = before.lines[:known], before.templates[:known]
        pairs = enumerate(zip(before.samples, samples, strict=False))
        for index in [index for index, (earlier, sample) in pairs if earlier is not sample]:
            sample, template = samples[index], templates[index]
            if template.text and not sample.exemplars and sample.labels == before.samples[index].labels:
                lines[index] = self._filled(template, sample)
            else:
                lines[index], templates[index] = self._text_of(sample)
        for text, template in map(self._text_of, samples[known:]):
            lines.append(text)
            templates.append(template)
        return Written(samples, lines, templates, self._head + "".join(lines))

    def _filled(self, template: Template, sample: Sample) -> str:
        """A template with the numbers of a sample."""
        if template.pieces and isinstance(sample.value, Amounts):
            text = counts_text(template.pieces, sample.value.counts)
            if text is not None:
                return f"{text}{number(sample.value.sum)}\n"
        return template.text % self._numbers(sample)

    def _text_of(self, sample: Sample) -> tuple[str, Template]:
        """The lines of a series, and their template."""
        lines = list(self._lines(sample))
        template = _NO_TEMPLATE
        if self._is_steady and not sample.exemplars:
            template = self._template_of([line.start for line in lines])
        return "".join(map(str, lines)), template

    def _template_of(self, starts: list[str]) -> Template:
        text = "".join([f"{start.replace('%', '%%')} %s\n" for start in starts])
        if self.definition.kind != HISTOGRAM or not self._has_sum or self._has_created:
            return Template(text)
        return Template(text, (f"{starts[0]} ", *(f"\n{start} " for start in starts[1:])))

    def _numbers(self, sample: Sample) -> str | tuple[str, ...]:
        """Those of its lines."""
        value = sample.value
        if isinstance(value, (int, float)) and not self._has_created:
            return number(value)
        created = (sample.created,) if self._has_created else ()
        if isinstance(value, Amounts):
            cumulative = [*accumulate(value.counts)]
            sums = (value.sum,) if self._has_sum else ()
            counts = [*cumulative, cumulative[-1]] if self.definition.kind == HISTOGRAM else cumulative
            are_small = cumulative[-1] < 1_000_000  # as nearly all are: no call for each
            texts = [f"{count}.0" for count in counts] if are_small else map(number, counts)
            return (*texts, *map(number, (*sums, *created)))
        assert isinstance(value, int | float)
        return tuple(map(number, (value, *created)))

    def only(self, family: FamilyFigures, names: Container[str]) -> str:
        """The family's head and its lines of these names; nothing where there is no such line."""
        wanted = {suffix for suffix in self._series if self.definition.name + suffix in names}
        if not wanted:
            return ""
        lines = [str(line) for sample in family.samples for line in self._lines(sample) if line.suffix in wanted]
        return self._head + "".join(lines) if lines else ""

    def _lines(self, sample: Sample) -> Iterator[Line]:
        inner = self._inner(sample)
        if isinstance(sample.value, Amounts):
            yield from self._amounts(sample, sample.value, inner)
        elif isinstance(sample.value, Mapping):
            yield from self._info(sample, sample.value)
        elif self.definition.kind == STATESET:
            yield from self._states(sample, sample.value)
        else:
            suffix = "_total" if self.definition.kind == COUNTER else ""
            example = sample.exemplars.get(0) if suffix else None
            yield self._line(suffix, inner, sample.value, example)
        if self._has_created:
            yield self._line("_created", inner, sample.created)

    def _amounts(self, sample: Sample, amounts: Amounts, inner: str) -> Iterator[Line]:
        if self.definition.kind == HISTOGRAM:
            before, after = self._around(sample, "le")
            for bound, count, example in self._buckets(sample, amounts.counts):
                yield self._line("_bucket", f'{before}le="{bound}"{after}', count, example)
        yield self._line("_count", inner, amounts.observed)
        if self._has_sum:
            yield self._line("_sum", inner, amounts.sum)

    def _buckets(self, sample: Sample, counts: tuple[int, ...]) -> Iterator[tuple[str, int, Exemplar | None]]:
        """The upper bound of each bucket that is shown, how many are not above it, and an example."""
        cumulative, notes = list(accumulate(counts)), sample.exemplars
        if not self.definition.is_logarithmic:
            for index, bound in enumerate((*self._bounds, "+Inf")):
                yield bound, cumulative[index], notes.get(1 + index) if notes else None
            return
        ends = list(octave_ends(counts))
        for start, end in zip((0, *ends), (*ends, len(counts)), strict=True):
            examples = [notes[1 + index] for index in range(start, end) if 1 + index in notes] if notes else []
            bound = self._bounds[end - 1] if end < len(counts) else "+Inf"
            yield bound, cumulative[end - 1], max(examples, key=lambda example: example.time, default=None)

    def _info(self, sample: Sample, facts: Mapping[str, str]) -> Iterator[Line]:
        labels = {**dict(zip(self._names, (sample.labels[index] for _, index in self._labels), strict=True)), **facts}
        yield self._line("_info", labels_text(labels, self._style.escaping), 1.0)

    def _states(self, sample: Sample, value: float) -> Iterator[Line]:
        before, after = self._around(sample, self.definition.name)
        for index, state in enumerate(self.definition.states):
            yield self._line("", f'{before}{self._own_label}="{quote(state)}"{after}', float(index == value))

    def _line(self, suffix: str, inner: str, value: float, example: Exemplar | None = None) -> Line:
        exemplar = _exemplar(example, self._style) if example and self._style.openmetrics else ""
        return Line(suffix, self._series[suffix].line_start(inner), value, exemplar)

    def _inner(self, sample: Sample) -> str:
        """Its labels, by name."""
        values = sample.labels
        return ",".join([f'{name}="{quote(values[index])}"' for name, index in self._labels])

    def _around(self, sample: Sample, name: str) -> tuple[str, str]:
        """The labels that come before one of that name, and those after it, with commas between."""
        values, cut = sample.labels, bisect_left(self._names, name)
        texts = [f'{label}="{quote(values[index])}"' for label, index in self._labels]
        return "".join(f"{text}," for text in texts[:cut]), "".join(f",{text}" for text in texts[cut:])


def _head(definition: Definition, style: Style) -> str:
    suffix, kind = ("", definition.kind) if style.openmetrics else _HEADS[definition.kind]
    name = metric_name(definition.name + suffix, style.escaping)
    unit = f"# UNIT {name} {definition.unit}\n" if style.openmetrics and definition.unit else ""
    text = help_text(definition.help, openmetrics=style.openmetrics)
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{unit}"


def _exemplar(example: Exemplar, style: Style) -> str:
    """No scheme of escaping is meant for its labels: a name is changed only where it would not be valid."""
    labels = labels_text(example.labels, ALLOW_UTF_8 if style.escaping == ALLOW_UTF_8 else UNDERSCORES)
    return f" # {{{labels}}} {number(example.value)} {example.time}"
