"""The pieces of OpenTelemetry's data model, as the official encoder takes them."""

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from hvd.export.otlp import points
from hvd.export.otlp.exponential import Exponential


def encoded(*metrics: Metric) -> list[metrics_pb2.Metric]:
    """As the receiver gets them."""
    scope = ScopeMetrics(InstrumentationScope("test"), metrics, "")
    request = encode_metrics(MetricsData([ResourceMetrics(Resource({}), [scope], "")]))
    return list(request.resource_metrics[0].scope_metrics[0].metrics)


def test_a_histogram_has_no_least_and_no_greatest_value() -> None:
    """hvd keeps none, and 0 would be a lie; the data model's types demand them, its encoder doesn't."""
    explicit = points.histograms([points.explicit({}, (1, 2), (0.5,), 3.5, 9, 7)])
    exponential = points.exponentials([points.exponential({}, Exponential(3, -4, (1, 0, 2), 5), 3.5, 9, 7)])
    one, other = encoded(points.metric("a", "", "seconds", explicit), points.metric("b", "", "bytes", exponential))
    (point,) = one.histogram.data_points
    assert (point.count, point.sum, list(point.bucket_counts), list(point.explicit_bounds)) == (3, 3.5, [1, 2], [0.5])
    assert (point.HasField("min"), point.HasField("max"), one.unit) == (False, False, "s")
    (point,) = other.exponential_histogram.data_points
    assert (point.count, point.zero_count, point.scale, point.positive.offset) == (8, 5, 3, -4)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (7, 9)
    assert (point.HasField("min"), point.HasField("max"), other.unit) == (False, False, "By")


def test_any_text_and_any_number_can_be_sent() -> None:
    """A lone surrogate would cost its attribute, and a number beyond 64 bits the whole push."""
    of = points.attributes(("a", "b"), ("\ud800x", "\0grüße"))
    (metric,) = encoded(points.metric("n\udfff", "h\udfff", "", points.sums([points.number(of, 2**63, 9, 7)])))
    (point,) = metric.sum.data_points
    assert [one.value.string_value for one in point.attributes] == ["\\ud800x", "\0grüße"]
    assert (point.as_double, metric.sum.is_monotonic, metric.name) == (2.0**63, True, "n\\udfff")
    (metric,) = encoded(points.metric("n", "h", "", points.sums([points.number({}, 2**63 - 1, 9)])))
    assert metric.sum.data_points[0].as_int == 2**63 - 1


@pytest.mark.parametrize("value", ["x", "grüße" * 9, "\N{GRINNING FACE}" * 300])
def test_pieces_are_no_larger_than_they_may_be(value: str) -> None:
    """Whatever the texts are; every point is in one of them, and each metric keeps what it is."""
    many = [points.number({"label": value, "n": str(number)}, number, 9, 7) for number in range(500)]
    runs = [
        points.exponential({"n": str(number)}, Exponential(3, 0, (1, 300) * 200), 1.0, 9, 7) for number in range(50)
    ]
    plain = [points.explicit({"n": str(number)}, (300,) * 20, (1.0,) * 19, 1.0, 9, 7) for number in range(50)]
    metrics = [
        points.metric("sums", "", "", points.sums(many, only_grow=False)),
        points.metric("gauges", "", "", points.gauges(many)),
        points.metric("runs", "", "", points.exponentials(runs)),
        points.metric("plain", "", "", points.histograms(plain)),
        points.metric("none", "", "", points.gauges([])),
    ]
    pieces = list(points.split(metrics, 20_000))
    assert all(sum(one.ByteSize() for one in encoded(*piece)) < 25_000 for piece in pieces)
    found: dict[str, list[object]] = {}
    for one in (one for piece in pieces for one in piece):
        found.setdefault(one.name, []).extend(one.data.data_points)
        assert type(one.data) in (type(metric.data) for metric in metrics if metric.name == one.name)
        assert getattr(one.data, "is_monotonic", False) is False
    assert found == {"sums": many, "gauges": many, "runs": runs, "plain": plain}
