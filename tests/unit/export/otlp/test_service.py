"""hvd's own metrics in OpenTelemetry's data model."""

from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import Metric
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hvd.core.amounts import measured_cells
from hvd.core.catalogue import OVERFLOW
from hvd.core.totals import Heads
from hvd.export.exposition import Exposition
from hvd.export.otlp.service import REQUESTS, metrics_of
from hvd.metrics.sources import Figures
from hvd.metrics.table import METRICS
from tests.unit.figures import NOW, make_figures, make_jobs, make_page, make_sample, make_totals, timed

MS = 10**6
JOBS = make_jobs(open=[["plain", "pending", 2]], own=[["plain", "failed", 0, 2, 0.1], ["plain", "failed", 3, 1, 4.5]])


def some_figures() -> Figures:
    sizes = [0] * measured_cells(2)
    sizes[0], sizes[1], sizes[10] = 1, 200, 1
    counted = {
        ("http", "GET", "/a", "200"): timed(3 * MS, 4 * MS),
        ("http", "POST", "/a", "503"): timed(9 * MS),
        ("http", "(other)", "(unmatched)", "404"): timed(9 * MS),
        ("http", OVERFLOW, OVERFLOW, OVERFLOW): timed(MS),
        ("http_sizes", "GET", "/a"): sizes,
        ("cpu", "worker", "8"): [5 * 10**8],
        ("otlp", "accepted"): timed(MS, 2 * MS),
    }
    totals = make_totals(counted, Heads(5, 4, 1, 1, 0))
    return make_figures(totals, make_page(make_sample("worker", 12)), JOBS)


def by_name(figures: Figures) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics_of(figures)}


def samples_of(metric: Metric) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """As /metrics shows them."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for point in metric.data.data_points:
        labels = {name: str(value) for name, value in (point.attributes or {}).items()}
        if hasattr(point, "value"):
            found[metric.name, frozenset(labels.items())] = point.value
            continue
        found[f"{metric.name}_count", frozenset(labels.items())] = point.count
        found[f"{metric.name}_sum", frozenset(labels.items())] = point.sum
        count = 0
        for bound, more in zip((*point.explicit_bounds, float("inf")), point.bucket_counts, strict=True):  # type: ignore[union-attr]
            count += more
            le = "+Inf" if bound == float("inf") else float(bound)
            found[f"{metric.name}_bucket", frozenset({**labels, "le": str(le)}.items())] = count
    return found


def test_every_figure_is_that_of_metrics() -> None:
    """Under the same name, with the same labels: but for the durations of requests, which have a convention."""
    figures = some_figures()
    shown: dict[str, dict[Any, float]] = {}
    for family in parse_text(Exposition().render(figures)):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for sample in family.samples:
            labels = {**sample.labels}
            if "le" in labels and labels["le"] != "+Inf":
                labels["le"] = str(float(labels["le"]))
            shown.setdefault(name, {})[sample.name, frozenset(labels.items())] = sample.value
    del shown["hvd_http_request_duration_seconds"]
    found = {name: samples_of(metric) for name, metric in by_name(figures).items() if name != REQUESTS}
    shown = {name: samples for name, samples in shown.items() if samples}
    assert found == {name: pytest.approx(samples) for name, samples in shown.items()}
    assert len(found) > 40


def test_durations_of_requests_follow_the_conventions() -> None:
    """Of HTTP, stable: methods nobody knows are _OTHER, a route that isn't known is left out, 5xx are errors."""
    metric = by_name(some_figures())[REQUESTS]
    found = {tuple((point.attributes or {}).items()): point for point in metric.data.data_points}
    assert metric.unit == "s"
    assert [*found] == [
        (("http.request.method", "GET"), ("http.route", "/a"), ("http.response.status_code", 200)),
        (
            *(("http.request.method", "POST"), ("http.route", "/a")),
            *(("http.response.status_code", 503), ("error.type", "503")),
        ),
        (("http.request.method", "_OTHER"), ("http.response.status_code", 404)),
        (("http.request.method", "_OTHER"), ("otel.metric.overflow", True)),
    ]
    first = next(iter(found.values()))
    assert (first.count, first.sum, sum(first.positive.bucket_counts)) == (2, 0.007, 2)  # type: ignore[union-attr]


def test_counters_tell_since_when_they_count() -> None:
    """Since the totals were 0; of jobs, which are counted in their database, nobody knows."""
    figures = some_figures()
    metrics = by_name(figures)
    for name, start in (
        ("hvd_http_requests_total", figures.totals.since_ns),
        ("hvd_jobs_total", 0),
        ("hvd_workers", 0),
    ):
        for point in metrics[name].data.data_points:
            assert (point.start_time_unix_nano, point.time_unix_nano) == (start, NOW)


def test_what_is_not_known_is_left_out() -> None:
    """As on /metrics: before a companion has published."""
    names = set(by_name(make_figures(make_totals({}))))
    assert "hvd_workers" in names
    assert not names & {"hvd_cpu_usage_ratio", "hvd_jobs_total", "hvd_otlp_up", REQUESTS}
    assert names < {metric.name for metric in METRICS}
