"""The app's own metrics in OpenTelemetry's data model."""

from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import Metric

from hvd.core.own import logarithmic, notes
from hvd.core.own.definition import Definition
from hvd.core.own.figures import Amounts, FamilyFigures
from hvd.export.otlp.own import metrics_of
from hvd.export.otlp.starts import Starts
from tests.unit.own_figures import CREATED, make_family

AT = 99


def metric_of(family: FamilyFigures) -> Metric:
    (metric,) = metrics_of([family], AT, Starts())
    return metric


def values(metric: Metric) -> dict[tuple[Any, ...], Any]:
    """Of a sum or a gauge, by the attributes."""
    return {tuple((point.attributes or {}).items()): point.value for point in metric.data.data_points}  # type: ignore[union-attr]


def test_counters_and_gauges_have_the_names_of_metrics() -> None:
    """Integers stay integers; since when a counter counts is told, of a gauge there is no such time."""
    counter = metric_of(
        make_family(Definition("orders", "counter", "Orders.", "", ("kind",)), {("a",): 2**60, ("b",): 0.5})
    )
    assert (counter.name, counter.description) == ("orders_total", "Orders.")
    assert values(counter) == {(("kind", "a"),): 2**60, (("kind", "b"),): 0.5}
    assert counter.data.is_monotonic  # type: ignore[union-attr]
    point = counter.data.data_points[0]
    assert (point.start_time_unix_nano, point.time_unix_nano) == (round(CREATED * 1e9), AT)
    gauge = metric_of(
        make_family(Definition("heat_ratio", "gauge", "", "ratio", mode="liveall"), {("7",): -1.5}, "pid")
    )
    assert (gauge.name, gauge.unit, values(gauge)) == ("heat_ratio", "1", {(("pid", "7"),): -1.5})


def test_what_has_no_series_of_its_own_says_so() -> None:
    """By the attribute that the specification has for it."""
    metric = metric_of(make_family(Definition("a", "counter", "", labels=("x", "y")), {("overflow", "overflow"): 3}))
    assert values(metric) == {(("x", "overflow"), ("y", "overflow"), ("otel.metric.overflow", True)): 3}


def test_histograms_have_their_own_buckets() -> None:
    """Given ones by their bounds, hvd's logarithmic ones as exponential; a summary is one without bounds."""
    given = Definition("given", "histogram", "", buckets=(0.5, 1.0))
    (point,) = metric_of(make_family(given, {(): Amounts((1, 0, 4), 9.5)})).data.data_points
    assert (point.count, point.sum, point.bucket_counts, point.explicit_bounds) == (5, 9.5, (1, 0, 4), (0.5, 1.0))  # type: ignore[union-attr]
    own = Definition("own", "histogram", "", buckets=logarithmic.BUCKETS)
    counts = [0] * logarithmic.CELLS
    counts[0], counts[logarithmic.bucket_of(1.0)], counts[logarithmic.bucket_of(1.2)] = 2, 3, 4
    (point,) = metric_of(make_family(own, {(): Amounts(tuple(counts), 7.8)})).data.data_points
    assert (point.count, point.zero_count, point.scale) == (9, 2, 3)  # type: ignore[union-attr]
    assert (point.positive.offset, point.positive.bucket_counts) == (-1, (3, 0, 0, 4))  # type: ignore[union-attr]
    summary = Definition("summary", "summary", "")
    (point,) = metric_of(make_family(summary, {(): Amounts((3,), 7.8)})).data.data_points
    assert (point.count, point.sum, point.bucket_counts, point.explicit_bounds) == (3, 7.8, (3,), ())  # type: ignore[union-attr]


def test_infos_and_states_are_sums_that_do_not_only_grow() -> None:
    """As the specification of the compatibility with OpenMetrics has it."""
    info = metric_of(make_family(Definition("build", "info", "", labels=("a",)), {("1",): {"version": "2"}}))
    assert (info.name, values(info)) == ("build_info", {(("a", "1"), ("version", "2")): 1})
    states = metric_of(make_family(Definition("phase", "stateset", "", states=("on", "off")), {(): 1}))
    assert values(states) == {(("phase", "on"),): 0, (("phase", "off"),): 1}
    assert not info.data.is_monotonic  # type: ignore[union-attr]
    assert not states.data.is_monotonic  # type: ignore[union-attr]


def test_exemplars_name_their_trace() -> None:
    """Ids of trace and span where they are such; anything else stays an attribute."""
    family = make_family(Definition("a", "counter", ""), {(): 3})
    ids = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "user": "x"}
    kept = {0: notes.Exemplar(ids, 1.5, 10.25), 1: notes.Exemplar({"trace_id": "zz"}, 2.0, 11.0)}
    (sample,) = family.samples
    (point,) = metric_of(family._replace(samples=(sample._replace(exemplars=kept),))).data.data_points
    trace, span = int(ids["trace_id"], 16), int(ids["span_id"], 16)
    assert list(point.exemplars) == [
        Exemplar({"user": "x"}, 1.5, 10_250_000_000, span, trace),
        Exemplar({"trace_id": "zz"}, 2.0, 11_000_000_000),
    ]


def test_a_family_without_a_series_is_left_out() -> None:
    """There is nothing to be told of it."""
    assert list(metrics_of([make_family(Definition("a", "counter", "", labels=("x",)), {})], AT, Starts())) == []
