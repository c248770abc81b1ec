"""Sums and observations → Prometheus text 0.0.4 or OpenMetrics 1.0. Pure but for a cache of label texts.

Formats: prometheus.io/docs/instrumenting/exposition_formats (text 0.0.4); prometheus/OpenMetrics, specification 1.0.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import gunicorn

from hvd import __version__
from hvd.core.catalogue import Series
from hvd.core.hot import cumulate
from hvd.core.totals import Totals
from hvd.jobs.states import DURATIONS
from hvd.metrics import table as metrics
from hvd.metrics.bounds import SHOWN, SHOWN_ENDS
from hvd.metrics.table import Metric

TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Label values and value of each sample of a metric."""

# A counter whose family OpenMetrics would name as a gauge is named already; as of unknown type it keeps its name.
_CLASHING = {
    counter.name
    for counter in metrics.METRICS
    if counter.kind == "counter" and any(counter.name == f"{other.name}_total" for other in metrics.METRICS)
}

_BOUNDS = [repr(bound / 1e9) for bound in SHOWN] + ["+Inf"]


class Exposition:
    """Renders totals. Keeps, for each series, the text around its numbers. Thread-safe: a lost race only costs time."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, tuple[str, ...]], str] = {}

    def render(
        self,
        totals: Totals,
        observed: Mapping[str, Any] | None,
        *,
        limits: Mapping[str, int],
        aggregator_up: bool,
        jobs: Mapping[str, Any] | None = None,
        job_runner_up: bool = False,
        openmetrics: bool = False,
    ) -> str:
        """The whole text. What only the aggregator, or the job runner, knows is left out while nothing is published."""
        parts = []
        for histogram in metrics.HISTOGRAMS:
            parts += [_head(histogram, openmetrics), *self._histogram(histogram, totals)]
        for counter in (metrics.REQUESTS, *metrics.COUNTERS, metrics.PROCESS_CPU):
            parts += [_head(counter, openmetrics), *self._counter(counter, totals)]
        for metric, samples in _sums(totals, limits, aggregator_up):
            parts += [_head(metric, openmetrics), *_lines(metric, samples)]
        if observed:
            for metric, samples in _observed(totals, observed):
                parts += [_head(metric, openmetrics), *_lines(metric, samples)]
        if jobs:
            parts += _jobs(jobs, job_runner_up, openmetrics)
        if openmetrics:
            parts.append("# EOF\n")
        return "".join(parts)

    def _histogram(self, metric: Metric, totals: Totals) -> Iterable[str]:
        for series in totals.of(metric.family or ""):
            cumulative = cumulate(totals.cells, series.offset + 2, SHOWN_ENDS)
            if cumulative[-1]:
                template = self._templates.get((metric.name, series.labels))
                if template is None:
                    template = self._templates[metric.name, series.labels] = _histogram_template(metric, series)
                yield template % (*cumulative, cumulative[-1], repr(totals.cells[series.offset + 1] / 1e9))

    def _counter(self, metric: Metric, totals: Totals) -> Iterable[str]:
        for series in totals.of(metric.family or ""):
            value = totals.cells[series.offset]
            if value or not metric.labels:
                template = self._templates.get((metric.name, series.labels))
                if template is None:
                    template = self._templates[metric.name, series.labels] = (
                        f"{metric.name}{_escape(_labels(metric.labels, series.labels))} %s\n"
                    )
                yield template % (value / 1e9 if metric.unit == "seconds" else value)
        if not metric.labels and not totals.of(metric.family or ""):
            yield f"{metric.name} 0\n"


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


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_quote(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _quote(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escape(text: str) -> str:
    """For use in a template of the % operator."""
    return text.replace("%", "%%")


def _histogram_template(metric: Metric, series: Series) -> str:
    plain = _labels(metric.labels, series.labels)
    inner = plain.removesuffix("}")
    lines = [f'{metric.name}_bucket{_escape(inner)},le="{bound}"}} %d\n' for bound in _BOUNDS]
    lines += [f"{metric.name}_count{_escape(plain)} %d\n", f"{metric.name}_sum{_escape(plain)} %s\n"]
    return "".join(lines)


def _lines(metric: Metric, samples: Samples) -> Iterable[str]:
    for labels, value in samples:
        yield f"{metric.name}{_labels(metric.labels, labels)} {value!r}\n"


def _sums(totals: Totals, limits: Mapping[str, int], aggregator_up: bool) -> Iterable[tuple[Metric, Samples]]:
    heads = totals.heads
    families = {family.key: totals.of(family.key) for family in metrics.FAMILIES.all}
    overflow = {name: [one for one in found if one.is_overflow] for name, found in families.items()}
    yield metrics.STARTED, [((), heads.started)]
    yield metrics.FINISHED, [((), heads.finished)]
    yield metrics.IN_FLIGHT, [((), heads.in_flight)]
    yield metrics.SERIES, [((name,), len(found)) for name, found in families.items()]
    yield metrics.SERIES_LIMIT, [((name,), limit) for name, limit in limits.items()]
    yield (
        metrics.OVERFLOW,
        [((name,), sum(totals.cells[one.offset] for one in found)) for name, found in overflow.items()],
    )
    yield metrics.LOST, [((), totals.lost)]
    yield metrics.BUILD_INFO, [(_versions(), 1)]
    yield metrics.UPTIME, [((), totals.uptime)]
    yield metrics.START_TIME, [((), totals.started_wall_ns / 1e9)]
    yield metrics.AGGREGATOR_UP, [((), int(aggregator_up))]


@cache
def _versions() -> tuple[str, str, str]:
    return __version__, platform.python_version(), gunicorn.__version__


def _jobs(jobs: Mapping[str, Any], runner_up: bool, openmetrics: bool) -> Iterable[str]:
    """From what the job runner publishes, see Queue.figures."""
    ended: dict[tuple[str, str], dict[int, tuple[int, float]]] = {}
    for kind, status, bucket, count, seconds in jobs.get("own", ()):
        ended.setdefault((kind, status), {})[bucket] = count, seconds
    yield _head(metrics.JOBS, openmetrics)
    yield from _lines(metrics.JOBS, [((kind, status), count) for kind, status, count in jobs.get("open", ())])
    yield _head(metrics.JOBS_ENDED, openmetrics)
    counts = [(labels, sum(count for count, _ in found.values())) for labels, found in sorted(ended.items())]
    yield from _lines(metrics.JOBS_ENDED, counts)
    yield _head(metrics.JOB_DURATION, openmetrics)
    for labels, found in sorted(ended.items()):
        yield from _durations(metrics.JOB_DURATION, labels, found)
    yield _head(metrics.JOB_RUNNER_UP, openmetrics)
    yield from _lines(metrics.JOB_RUNNER_UP, [((), int(runner_up))])


def _durations(metric: Metric, labels: tuple[str, ...], found: Mapping[int, tuple[int, float]]) -> Iterable[str]:
    plain, seen = _labels(metric.labels, labels), 0
    inner = plain.removesuffix("}")
    for index, bound in enumerate((*DURATIONS, "+Inf")):
        seen += found.get(index, (0, 0.0))[0]
        yield f'{metric.name}_bucket{inner},le="{bound}"}} {seen}\n'
    yield f"{metric.name}_count{plain} {seen}\n{metric.name}_sum{plain} {sum(one[1] for one in found.values())!r}\n"


def _observed(totals: Totals, observed: Mapping[str, Any]) -> Iterable[tuple[Metric, Samples]]:
    processes = observed["processes"]
    kinds = sorted({process["kind"] for process in processes})

    def each(field: str) -> Samples:
        return [
            ((process["kind"], str(process["slot"])), process[field])
            for process in processes
            if "slot" in process
            and process.get(field) is not None  # an older aggregator, during an upgrade, tells none
        ]

    yield metrics.WS_CLIENTS, [((), observed["websocket_clients"])]
    yield metrics.TASKS, [((), observed["tasks"])]
    yield metrics.OBSERVED_AGE, [((), _age(totals, observed["monotonic_ns"]))]
    yield metrics.CPU_USAGE, [((), observed["cpu_usage"] / 100)]
    yield metrics.MEMORY_USAGE, [((), observed["memory_usage"])]
    yield metrics.MEMORY_AGE, [((), _age(totals, observed["memory_ns"]))]
    yield metrics.PROCESSES, [((kind,), sum(one["kind"] == kind for one in processes)) for kind in kinds]
    yield metrics.PROCESS_RESIDENT, each("resident")
    yield metrics.PROCESS_PROPORTIONAL, each("proportional")
    yield metrics.PROCESS_THREADS, each("threads")
    yield metrics.PROCESS_FDS, each("fds")
    yield metrics.PROCESS_START, each("start_time")


def _age(totals: Totals, at_ns: int) -> float:
    return round((totals.monotonic_ns - at_ns) / 1e9, 3)
