"""The table of metrics follows Prometheus' conventions, and each of its rows is really exposed."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hvd.core.catalogue import Family
from hvd.core.own.figures import OwnFigures
from hvd.core.totals import Heads
from hvd.export.exposition import Exposition
from hvd.export.own import Style
from hvd.metrics.table import CONNECTIONS, FAMILIES, METRICS, Metric, error_of
from tests.unit.figures import make_exporter, make_figures, make_jobs, make_page, make_sample, make_totals

UNITS = ("seconds", "bytes", "ratio")
"""Base units of Prometheus' conventions (prometheus.io/docs/practices/naming) that are in use here."""

JOBS = make_jobs(open=[["plain", "pending", 2]], own=[["plain", "failed", 0, 2, 0.1], ["plain", "failed", 3, 1, 4.5]])
"""What a job runner publishes, as far as it is exposed."""


def each_metric(function: object) -> object:
    return pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)(function)


def test_names_are_unique() -> None:
    """Also without the suffix that OpenMetrics drops, but for one pair, which it is shown otherwise."""
    assert max(Counter(metric.name for metric in METRICS).values()) == 1
    names = Counter(re.sub("_(total|info)$", "", metric.name) for metric in METRICS)
    assert [name for name, count in names.items() if count > 1] == ["hvd_jobs"]


def test_a_counter_whose_name_would_clash_keeps_it_in_openmetrics() -> None:
    """As of unknown type: a scrape gives the same series as the older format."""
    text = Exposition().render(make_figures(make_totals({}), None, JOBS), Style(openmetrics=True))
    families = {family.name: family for family in parse_openmetrics(text)}
    assert families["hvd_jobs"].type == "gauge"
    assert families["hvd_jobs_total"].type == "unknown"
    assert [(sample.name, sample.value) for sample in families["hvd_jobs_total"].samples] == [("hvd_jobs_total", 3)]


@each_metric
def test_names_follow_the_conventions(metric: Metric) -> None:
    """Prefixed; _total for counters and for nothing else; no suffix that a histogram's samples have."""
    assert re.fullmatch(r"hvd(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_info") == (metric.kind == "info")
    assert not metric.name.endswith(("_count", "_sum", "_bucket"))


@each_metric
def test_units_are_base_units_and_in_the_name(metric: Metric) -> None:
    """A unit in the name is declared, a declared one ends the name; no milliseconds, kilobytes, percent."""
    words = metric.name.removesuffix("_total").split("_")
    assert metric.unit == (words[-1] if words[-1] in UNITS else "")
    assert not {"ms", "milliseconds", "kb", "kilobytes", "mb", "percent", "minutes"} & set(words)


@each_metric
def test_help_is_one_sentence(metric: Metric) -> None:
    """It ends with a full stop, and needs no escaping."""
    assert metric.help.endswith(".")
    assert metric.help == metric.help.strip()
    assert "\n" not in metric.help
    assert "\\" not in metric.help


@each_metric
def test_labels_are_no_names_of_prometheus_own(metric: Metric) -> None:
    """What is stored in the block has the block's labels, and cells that fit its kind."""
    if isinstance(metric.source, Family):
        assert metric.labels == metric.source.labels
        assert metric.source.cells >= metric.shape.buckets_at + metric.shape.ends[-1] or metric.kind != "histogram"
    assert not {"le", "quantile", "job", "instance", "__name__"} & set(metric.labels)
    assert all(re.fullmatch("[a-z]+", label) for label in metric.labels)


def test_every_family_is_shown_by_a_metric() -> None:
    """Nothing is counted that nobody can see."""
    families = {metric.source.key for metric in METRICS if isinstance(metric.source, Family)}
    families.add(CONNECTIONS.key)  # of which hvd_app_connections is the difference of two cells
    assert families == {family.key for family in FAMILIES.all}


def test_every_metric_is_exposed_and_nothing_else() -> None:
    """Where everything has happened, each row of the table has a sample; each sample belongs to a row."""
    counted = {
        (family.key, *(f"{label}-value" for label in family.labels)): [1] * family.cells for family in FAMILIES.all
    }
    totals = make_totals(counted, Heads(started=1, finished=1))
    figures = make_figures(totals, make_page(make_sample("worker", 1)), JOBS)
    figures = replace(figures, service=replace(figures.service, loop_lag_seconds=0.5))
    own = OwnFigures((), {"orders": 1}, {"orders": 2}, {"orders": 0})
    figures = replace(figures, own=own, own_limit=100, exporter=make_exporter())
    text = Exposition().render(figures)
    families = {(family.name, family.type): family for family in parse_text(text)}
    assert len(families) == len(METRICS)
    for metric in METRICS:
        name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
        family = families[name, "gauge" if metric.kind == "info" else metric.kind]
        assert family.documentation == metric.help
        assert family.samples, metric.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


@pytest.mark.parametrize(
    ("status", "error"),
    [("101", 0), ("200", 0), ("304", 0), ("399", 0), ("400", 1), ("499", 1), ("500", 2), ("599", 2), ("999", 1)],
)
def test_an_error_is_a_status_of_400_and_above_and_the_servers_from_500_on(status: str, error: int) -> None:
    """0 none, 1 the client's, 2 the server's; what is no status is none."""
    assert error_of(status) == error
    assert error_of("(other)") == 0
