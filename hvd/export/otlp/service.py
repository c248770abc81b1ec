"""hvd's own metrics → OpenTelemetry's metrics, under the names that /metrics has for them.

But for the durations of requests: those follow the semantic conventions for HTTP (opentelemetry.io/docs/specs/semconv/
http/http-metrics, http.server.request.duration, stable), as exponential histograms. `url.scheme`, which they require,
is not known here.
"""

from collections.abc import Iterator, Sequence

from opentelemetry.sdk.metrics.export import DataT, ExponentialHistogramDataPoint, HistogramDataPoint, Metric

from hvd.core.catalogue import Family, Series
from hvd.core.hot import cumulate
from hvd.core.limits import OVERFLOW
from hvd.export.otlp import exponential, points
from hvd.export.otlp.own import OVERFLOWED
from hvd.export.samples import counter_samples
from hvd.metrics import table
from hvd.metrics.bounds import DURATIONS
from hvd.metrics.sources import Distribution, Figures

REQUESTS = "http.server.request.duration"

_OUTSIDE = {"hvd_jobs_total", "hvd_job_duration_seconds"}
"""Counted in the database of the jobs, since nobody knows when."""

_OTHER_METHOD = "_OTHER"


def metrics_of(figures: Figures) -> Iterator[Metric]:
    """All of hvd's own; what only a companion knows is left out while it has published nothing."""
    for metric in table.METRICS:
        if metric.source is table.HTTP and metric.kind == "histogram":
            data: DataT | None = points.exponentials(list(_requests(figures)))
            name, help = REQUESTS, "Duration of HTTP server requests."
        else:
            data, name, help = _data(metric, figures), metric.name, metric.help
        if data and data.data_points:
            yield points.metric(name, help, metric.unit, data)


def _requests(figures: Figures) -> Iterator[ExponentialHistogramDataPoint]:
    totals, shape = figures.totals, DURATIONS
    for series in figures.series.get(table.HTTP.key, []):
        run = totals.run(series)
        buckets = run[shape.buckets_at :].tolist()
        if any(buckets):
            yield points.exponential(
                *(_request(series), exponential.of_durations(buckets), run[shape.sum_at] / shape.scale),
                *(totals.time_ns, totals.since_ns),
            )


def _request(series: Series) -> dict[str, str | int | bool]:
    """A series of requests, by the semantic conventions: what isn't known is left out."""
    method, route, status = series.labels
    if series.is_overflow:  # of which there may be several: of errors, and of the rest
        kind = {} if status == OVERFLOW else {"error.type": status}
        return {"http.request.method": _OTHER_METHOD, OVERFLOWED: True, **kind}
    known: dict[str, str | int | bool] = {"http.request.method": _OTHER_METHOD if method[:1] == "(" else method}
    if route[:1] != "(":  # as (unmatched): a template begins with a slash
        known["http.route"] = route
    if status.isdecimal():
        known["http.response.status_code"] = int(status)
        if status >= "500":
            known["error.type"] = status
    return known


def _data(metric: table.Metric, figures: Figures) -> DataT | None:
    at, since = figures.totals.time_ns, figures.totals.since_ns
    start = 0 if metric.name in _OUTSIDE else since
    if isinstance(metric.source, Family):
        series, cells = figures.series.get(metric.source.key, []), figures.totals.cells
        if metric.kind == "histogram":
            return points.histograms(list(_histogram(metric, series, cells, at, start)))
        return _numbers(metric, list(counter_samples(metric, series, cells).items()), at, start)
    samples = metric.source(figures)
    if samples is None:
        return None
    listed = list(samples)
    distributions = [(labels, value) for labels, value in listed if isinstance(value, Distribution)]
    if distributions or metric.kind in ("histogram", "summary"):
        return points.histograms([_distribution(metric, labels, value, at, start) for labels, value in distributions])
    return _numbers(metric, [(labels, value) for labels, value in listed if isinstance(value, int | float)], at, start)


def _numbers(metric: table.Metric, samples: Sequence[tuple[tuple[str, ...], float]], at: int, start: int) -> DataT:
    is_counter = metric.kind == "counter"
    numbers = [
        points.number(points.attributes(metric.labels, labels), value, at, start if is_counter else 0)
        for labels, value in samples
    ]
    return points.gauges(numbers) if metric.kind == "gauge" else points.sums(numbers, only_grow=is_counter)


def _histogram(
    metric: table.Metric, series: Sequence[Series], cells: memoryview, at: int, start: int
) -> Iterator[HistogramDataPoint]:
    shape = metric.shape
    bounds = [float(bound) for bound in shape.bounds[:-1]]
    for run in series:
        cumulative = cumulate(cells, run.offset + shape.buckets_at, shape.ends)
        if cumulative[-1]:
            counts = [now - before for before, now in zip((0, *cumulative[:-1]), cumulative, strict=True)]
            total = cells[run.offset + shape.sum_at] / shape.scale
            yield points.explicit(points.attributes(metric.labels, run.labels), counts, bounds, total, at, start)


def _distribution(
    metric: table.Metric, labels: tuple[str, ...], value: Distribution, at: int, start: int
) -> HistogramDataPoint:
    """As it is; of a summary, which has no quantiles here, without bounds."""
    of = points.attributes(metric.labels, labels)
    if metric.kind == "summary":
        return points.explicit(of, (sum(value.counts),), (), value.total, at, start)
    return points.explicit(of, value.counts, [float(bound) for bound in value.bounds], value.total, at, start)
