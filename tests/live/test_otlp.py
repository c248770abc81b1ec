"""Metrics by OTLP from a real daemon to a receiver that reads them by OpenTelemetry's own protobufs."""

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, Metric

from tests.support.guest import Guest
from tests.support.otlp import GrpcReceiver, HttpReceiver, Received, grpc_receiver, http_receiver, respond
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

SHOP = """\
import os, random, time
from hvd import LOGARITHMIC, Counter, Enum, Gauge, Histogram, Info, Summary

orders = Counter("shop_orders", "Orders.", ["kind"])
paid = Counter("shop_paid_euros", "Paid.", unit="euros")
stock = Gauge("shop_stock", "In stock.", ["shelf"], multiprocess_mode="livesum")
alive = Gauge("shop_alive", "Of each process.")
waits = Histogram("shop_wait_seconds", "Waits.", buckets=(0.1, 0.5, 2.5), unit="seconds")
sizes = Histogram("shop_size_bytes", "Sizes.", ["kind"], buckets=LOGARITHMIC, unit="bytes")
lines = Summary("shop_lines", "Lines of an order.")
Info("shop_build", "The build.").info({"version": "1.0", "odd": 'a"b\\\\c\\n\\ud800'})
Enum("shop_phase", "The phase.", states=["open", "closed"]).state("closed")
alive.set(os.getpid() % 7)

def app(environ, start_response):
    amount = random.lognormvariate(0, 2)
    orders.labels(random.choice(["new", "grüße", 'say "hi"', "two\\nlines", "\\ud800", ""])).inc()
    paid.inc(amount, exemplar={"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"})
    stock.labels("a").set(3)
    waits.observe(amount)
    sizes.labels("big").observe(amount * 1000)
    sizes.labels("none").observe(-1 if amount > 1 else 0)
    lines.observe(2)
    status = "503 Service Unavailable" if environ["PATH_INFO"] == "/fail" else "200 OK"
    start_response(status, [("Content-Length", "2")])
    return [b"ok"]
"""

MOVING = re.compile(
    "http.server.request.duration|hvd_(uptime|observed_age|memory_usage|processes|process_[^e]|cpu_usage|worker_busy|worker_threads_busy|longest|tasks|waiting"
    "|otlp_|admin_request|aggregator_step|http_requests_in_flight|event_loop|accept_backlog|saturated|series$)"
)
"""Metrics of hvd's own that differ from moment to moment, whatever the app does."""

Labels = frozenset[tuple[str, str]]
Shown = dict[tuple[str, Labels], float]


def labels_of(point: Any, **more: str) -> Labels:
    """As Prometheus shows them."""
    known = {
        one.key: str(one.value.int_value) if one.value.HasField("int_value") else one.value.string_value
        for one in point.attributes
    }
    return frozenset({**known, **more}.items())


def shown(metric: Metric) -> Shown:
    """What /metrics shows of such a metric; of an exponential histogram number and sum."""
    kind = metric.WhichOneof("data")
    found: Shown = {}
    for point in getattr(metric, str(kind)).data_points:
        if kind in ("sum", "gauge"):
            value = getattr(point, str(point.WhichOneof("value")))
            found[metric.name, labels_of(point)] = value
            continue
        found[f"{metric.name}_count", labels_of(point)] = point.count
        found[f"{metric.name}_sum", labels_of(point)] = point.sum
        if kind == "histogram" and point.explicit_bounds:
            count = 0
            for bound, more in zip((*point.explicit_bounds, float("inf")), point.bucket_counts, strict=True):
                count += more
                le = "+Inf" if bound == float("inf") else str(bound)
                found[f"{metric.name}_bucket", labels_of(point, le=le)] = count
    return found


def requests_of(metric: Metric) -> dict[tuple[str, str], ExponentialHistogramDataPoint]:
    """The durations of requests, by route and status."""
    found = {}
    for point in metric.exponential_histogram.data_points:
        labels = dict(labels_of(point))
        found[labels.get("http.route", "(other)"), labels["http.response.status_code"]] = point
    return found


def below(point: ExponentialHistogramDataPoint, bound: float) -> int:
    """How many are in buckets that end at the bound, or before."""
    base, count = 2 ** (2**-point.scale), point.zero_count if bound >= 0 else 0
    for index, more in enumerate(point.positive.bucket_counts, point.positive.offset):
        count += more if base ** (index + 1) <= bound * (1 + 1e-9) else 0
    return count


class Scene:
    """A shop whose metrics are sent each second, first to one receiver, later to another."""

    def __init__(self, folder: Path, http: HttpReceiver, over_grpc: GrpcReceiver) -> None:
        self.http, self.grpc = http, over_grpc
        self.config = folder / "hvd.toml"
        self.config.write_text("interval = 0.2\n")
        environ = {
            "HVD_CONFIG": str(self.config),
            "OTEL_EXPORTER_OTLP_ENDPOINT": http.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=geheim",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_SERVICE_NAME": "shop",
        }
        self.guest = Guest(folder, files={"shop.py": SHOP}, environ=environ)

    def push(self, received: Received) -> int:
        """Wait for a push that began from now on -> the number of the request."""
        number = received.number + 1
        until(lambda: received.number > number, "two more pushes")
        return received.number - 1

    def configure(self, *lines: str) -> None:
        """Other settings for OTLP, by a reload."""
        self.config.write_text("\n".join(("interval = 0.2", "[otlp]", *lines)))
        self.guest.reload()


def check_all(scene: Scene, received: Received) -> None:
    """Every figure that a push has is that of /metrics at the same moment: before and after it the app does nothing."""
    scene.guest.wait_idle()
    before = {(name, with_plain_bound(labels)): value for (name, labels), value in scene.guest.metrics().items()}
    number = scene.push(received)
    metrics = received.metrics(number)
    checked = check_requests(metrics, before)
    check_sizes(metrics["shop_size_bytes"], before)
    sent = {key: value for metric in metrics.values() for key, value in shown(metric).items() if is_still(key[0])}
    wanted = {key: value for key, value in before.items() if is_still(key[0]) and key[0] not in checked}
    assert sent.keys() ^ wanted.keys() == set()
    assert sent == wanted


def is_still(name: str) -> bool:
    """Whether a metric stays as it is while the app does nothing."""
    return not MOVING.match(name)


def with_plain_bound(labels: Labels) -> Labels:
    """The bound of a bucket as Python writes it."""
    return frozenset((name, str(float(text)) if name == "le" and text != "+Inf" else text) for name, text in labels)


def check_requests(metrics: Mapping[str, Metric], shown: Shown) -> set[str]:
    """http.server.request.duration has what hvd_http_request_duration_seconds has -> names that need no other look."""
    found = requests_of(metrics["http.server.request.duration"])
    for (route, status), point in found.items():
        labels = {"method": "GET", "route": route, "status": status}
        name = "hvd_http_request_duration_seconds"
        assert point.count == shown[f"{name}_count", frozenset(labels.items())]
        assert point.sum == pytest.approx(shown[f"{name}_sum", frozenset(labels.items())])
        assert sum(point.positive.bucket_counts) + point.zero_count == point.count
        # a bucket's counts are within 7 % of where hvd has them
        for le in ("0.001", "0.01", "0.1", "1.0"):
            exact = shown[f"{name}_bucket", frozenset({**labels, "le": le}.items())]
            assert below(point, float(le) * 0.92) <= exact <= below(point, float(le) * 1.08)
    assert len(found) == sum(name == "hvd_http_request_duration_seconds_count" for name, _ in shown)
    return {f"hvd_http_request_duration_seconds_{part}" for part in ("bucket", "count", "sum")} | {
        "shop_size_bytes_bucket"
    }


def check_sizes(metric: Metric, shown: Shown) -> None:
    """hvd's logarithmic buckets are exact at each power of two, and what is 0 or below is told apart."""
    for point in metric.exponential_histogram.data_points:
        for (name, labels), value in shown.items():
            own = dict(labels)
            if name == "shop_size_bytes_bucket" and own["kind"] == dict(labels_of(point))["kind"]:
                assert below(point, float(own["le"])) == value, own
        if dict(labels_of(point))["kind"] == "none":
            assert (point.zero_count, len(point.positive.bucket_counts)) == (point.count, 0)


def test_every_figure_that_is_sent_is_that_of_metrics(tmp_path: Path) -> None:
    """Over HTTP, as OpenTelemetry's own variables say; after a reload over gRPC; by one process, which is replaced
    where it dies; and what is counted after the last push is sent at the end.
    """
    with http_receiver() as http, grpc_receiver() as over_grpc:
        scene = Scene(tmp_path, http, over_grpc)
        guest = scene.guest
        with guest:
            for _ in range(60):
                guest.get("/")
            guest.get("/fail")
            guest.wait_idle()
            check_all(scene, http)
            headers, _ = http.requests[-1]
            assert (headers["x-key"], http.paths[-1]) == ("geheim", "/v1/metrics")
            resource = http.resource()
            assert (resource["service.name"], resource["deployment.environment.name"]) == ("shop", "test")
            metrics = http.metrics(http.number - 1)
            check_model(metrics)
            (exporter,) = guest.pids("exporter")
            assert "geheim" not in Path(f"/proc/{exporter}/environ").read_text()

            scene.configure(
                f'endpoint = "{over_grpc.url}"', 'protocol = "grpc"', "interval = 1", 'compression = "gzip"'
            )
            check_all(scene, over_grpc)
            assert guest.pids("exporter") == [exporter], "a reload changes its options, and does not end it"
            assert over_grpc.requests[-1][0]["x-key"] == "geheim"
            before = http.number

            os.kill(exporter, signal.SIGKILL)
            number = over_grpc.number
            until(lambda: over_grpc.number > number + 1, "another exporter sends")
            assert http.number == before, "nobody sends to the receiver of before"
            until(lambda: guest.sample("hvd_otlp_up") == 1, "its page says so")
            guest.get("/late")
        last = over_grpc.metrics(over_grpc.number - 1)["hvd_http_requests_total"]
        assert sum(shown(last).values()) == 62, "the last push comes after the last request"


def check_model(metrics: Mapping[str, Metric]) -> None:
    """Kinds, units, starts, and what /metrics does not show."""
    for name, kind, unit in (
        ("shop_orders_total", "sum", ""),
        ("shop_paid_euros_total", "sum", "euros"),
        ("shop_stock", "gauge", ""),
        ("shop_wait_seconds", "histogram", "s"),
        ("shop_size_bytes", "exponential_histogram", "By"),
        ("http.server.request.duration", "exponential_histogram", "s"),
    ):
        assert (metrics[name].WhichOneof("data"), metrics[name].unit) == (kind, unit)
    paid = metrics["shop_paid_euros_total"].sum
    (point,) = paid.data_points
    assert (paid.is_monotonic, paid.aggregation_temporality) == (True, 2), "cumulative"
    assert time.time_ns() - 120 * PATIENCE * 10**9 < point.start_time_unix_nano < point.time_unix_nano <= time.time_ns()
    (exemplar,) = point.exemplars
    assert exemplar.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert len(metrics["shop_alive"].gauge.data_points) == 2, "of each process"
    assert not metrics["shop_build_info"].sum.is_monotonic
    failed = requests_of(metrics["http.server.request.duration"])["(other)", "503"]
    assert ("error.type", "503") in labels_of(failed)


def gap_in(client: RawWebSocket, condition: Callable[[], object]) -> float:
    """Wait for the condition -> the longest time meanwhile between two broadcasts, in s."""
    last, longest, deadline = time.monotonic(), 0.0, time.monotonic() + 20 * PATIENCE
    while not condition() or longest == 0.0:
        assert time.monotonic() < deadline
        if client.message()["type"] == "metrics":
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    return longest


def test_a_receiver_that_does_not_take_metrics_delays_nothing(tmp_path: Path) -> None:
    """Whether it refuses, hangs, or is away: broadcasts come as before, figures and log say so, and what was counted
    meanwhile is sent once it is back.
    """

    def refuse(handler: Any) -> None:
        respond(handler, 503)

    with (
        http_receiver() as http,
        Guest(tmp_path, interval=0.2, otlp_endpoint=http.url, otlp_interval=1, otlp_timeout=1) as guest,
        RawWebSocket(guest.admin_address) as client,
    ):

        def failed() -> int:
            return guest.sample("hvd_otlp_pushes_total", result="failed")

        until(lambda: http.number, "a push")
        for answer in (refuse, http.hang):
            http.answer, before = answer, failed()
            assert gap_in(client, lambda before=before: failed() > before) < 1.0 * PATIENCE
        assert guest.sample("hvd_otlp_up") == 0
        guest.get("/")
        http.answer = None
        until(lambda: guest.sample("hvd_otlp_up") == 1, "it is taken again")
        (counted,) = shown(http.metrics(http.number - 1)["hvd_http_requests_total"]).values()
        assert counted == 1
        http.close()
        assert gap_in(client, lambda: guest.sample("hvd_otlp_up") == 0) < 1.0 * PATIENCE
    for text in ("it answers 503 Service Unavailable", "takes metrics again, after"):
        assert f"{http.url} " in guest.log
        assert text in guest.log
