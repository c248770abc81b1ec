"""Figures → Prometheus text 0.0.4 or OpenMetrics 1.0. Pure but for caches of texts, and a line in the log.

Formats: prometheus.io/docs/instrumenting/exposition_formats (text 0.0.4); prometheus/OpenMetrics, specification 1.0.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import TypeVar

from hvd.core.catalogue import Family, Series
from hvd.core.hot import cumulate
from hvd.export.clashes import Clashes, names_of_all
from hvd.export.notation import DOTS, ESCAPINGS, in_dots, only_named, quote
from hvd.export.own import PLAIN, OwnExposition, Style
from hvd.export.samples import counter_samples
from hvd.metrics.sources import Distribution, Figures, Labels
from hvd.metrics.table import METRICS, Metric

log = logging.getLogger("hvd")

_Samples = TypeVar("_Samples")

TEXT = "text/plain; version=0.0.4"
TEXT_1 = "text/plain; version=1.0.0"
"""The same as TEXT, and names may have any characters."""

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

# A counter whose family OpenMetrics would name as a gauge is named already; as of unknown type it keeps its name.
_CLASHING = {
    counter.name
    for counter in METRICS
    if counter.kind == "counter" and any(counter.name == f"{other.name}_total" for other in METRICS)
}


class Exposition:
    """Renders figures. Keeps of each series the text around its numbers. Thread-safe: a lost race only costs time."""

    def __init__(self, more: Iterable[Metric] = ()) -> None:
        """`more` metrics follow hvd's own; then come the app's."""
        self._metrics = (*METRICS, *more)
        names = names_of_all(self._metrics)
        self._clashes = {escaping: Clashes(names, escaping) for escaping in ESCAPINGS}
        self._own = OwnExposition()
        self._complained: set[str] = set()
        self._templates: dict[tuple[str, tuple[str, ...]], str] = {}
        self._last: dict[str, tuple[object, str]] = {}  # of each metric, its samples and their lines
        self._heads = {style: [_head(metric, style) for metric in self._metrics] for style in (False, True)}

    def render(self, figures: Figures, style: Style = PLAIN, names: Collection[str] | None = None) -> str:
        """The whole text, or samples of these names only. What only the aggregator, or the job runner, knows is left
        out while nothing is published, and so are own metrics that have a name of hvd's, or are of another registry
        than the default one.
        """
        families, figures = self._clashes[style.escaping].visible_families(figures)
        self._complain(figures.hidden)
        texts: Iterable[str] = self._families(figures, style.openmetrics)
        if names is not None:
            texts = (only_named(text, names) for text in texts)
        if style.escaping == DOTS:
            texts = map(in_dots, texts)
        end = ("# EOF\n",) if style.openmetrics else ()
        return "".join(chain(texts, self._own.render(families, style, names), end))

    def _complain(self, hidden: Iterable[str]) -> None:
        """Once of each name."""
        for name in hidden:
            if name not in self._complained:
                self._complained.add(name)
                log.warning(
                    "hvd: the app's metric %s is not on /metrics: hvd, a preset (http.presets) or an earlier one has "
                    "that name; rename it, or do without the preset",
                    name,
                )

    def _families(self, figures: Figures, openmetrics: bool) -> Iterator[str]:
        """hvd's own, one by one."""
        for metric, head in zip(self._metrics, self._heads[openmetrics], strict=True):
            lines = self._lines(metric, figures)
            if lines is not None:
                yield head + lines

    def _lines(self, metric: Metric, figures: Figures) -> str | None:
        if not isinstance(metric.source, Family):
            found = metric.source(figures)
            return None if found is None else self._kept(metric, list(found), _samples)
        series, cells = figures.series.get(metric.source.key, []), figures.totals.cells
        if metric.kind == "histogram":
            return "".join(self._histogram(metric, series, cells))
        return self._kept(metric, counter_samples(metric, series, cells), self._counter)

    def _kept(self, metric: Metric, samples: _Samples, write: Callable[[Metric, _Samples], Iterable[str]]) -> str:
        """The lines of these samples; those of the last ones, where they are equal, as most are at each scrape."""
        last = self._last.get(metric.name)
        if last is None or last[0] != samples:
            last = self._last[metric.name] = samples, "".join(write(metric, samples))
        return last[1]

    def _histogram(self, metric: Metric, series: Iterable[Series], cells: memoryview) -> Iterable[str]:
        shape = metric.shape
        for run in series:
            cumulative = cumulate(cells, run.offset + shape.buckets_at, shape.ends)
            if cumulative[-1]:
                template = self._templates.get((metric.name, run.labels))
                if template is None:
                    template = self._templates[metric.name, run.labels] = _histogram_template(metric, run)
                yield template % (*cumulative, cumulative[-1], repr(cells[run.offset + shape.sum_at] / shape.scale))

    def _counter(self, metric: Metric, samples: Mapping[tuple[str, ...], float]) -> Iterable[str]:
        """Samples of what has counted, and 0 for usual label values that have not."""
        for labels, value in samples.items():
            template = self._templates.get((metric.name, labels))
            if template is None:
                template = self._templates[metric.name, labels] = (
                    f"{metric.name}{_escape(_labels(metric.labels, labels))} %s\n"
                )
            yield template % value


def _head(metric: Metric, openmetrics: bool) -> str:
    name, kind = metric.name, str(metric.kind)
    if openmetrics:
        # OpenMetrics names the family in these lines: without the suffix that its samples have.
        if name in _CLASHING:
            kind = "unknown"
        name = name.removesuffix("_total") if kind == "counter" else name
        name = name.removesuffix("_info") if kind == "info" else name
    elif kind == "info":
        kind = "gauge"
    unit = f"# UNIT {name} {metric.unit}\n" if openmetrics and metric.unit else ""
    return f"# HELP {name} {metric.help}\n# TYPE {name} {kind}\n{unit}"


@lru_cache(maxsize=1000)  # those of processes change with the processes
def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{quote(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escape(text: str) -> str:
    """For use in a template of the % operator."""
    return text.replace("%", "%%")


def _histogram_template(metric: Metric, series: Series) -> str:
    plain = _labels(metric.labels, series.labels)
    inner = f"{plain[:-1]}," if plain else "{"
    lines = [f'{metric.name}_bucket{_escape(inner)}le="{bound}"}} %d\n' for bound in metric.shape.bounds]
    lines += [f"{metric.name}_count{_escape(plain)} %d\n", f"{metric.name}_sum{_escape(plain)} %s\n"]
    return "".join(lines)


def _samples(metric: Metric, samples: Iterable[tuple[Labels, float | Distribution]]) -> Iterable[str]:
    return (_sample(metric, labels, value) for labels, value in samples)


def _sample(metric: Metric, labels: tuple[str, ...], value: float | Distribution) -> str:
    plain = _labels(metric.labels, labels)
    if not isinstance(value, Distribution):
        return f"{metric.name}{plain} {value!r}\n"
    inner, count, lines = f"{plain[:-1]}," if plain else "{", 0, []
    for bound, more in zip((*value.bounds, "+Inf"), value.counts, strict=True):
        count += more
        lines.append(f'{metric.name}_bucket{inner}le="{bound}"}} {count}\n')
    lines = [] if metric.kind == "summary" else lines
    return "".join([*lines, f"{metric.name}_count{plain} {count}\n{metric.name}_sum{plain} {value.total!r}\n"])
