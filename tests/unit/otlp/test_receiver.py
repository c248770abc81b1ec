"""What is sent reaches a receiver, by the official exporters; what goes wrong there has its reason."""

import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.metrics.export import Metric

from hvd.export.otlp import points
from hvd.otlp.receiver import NotAccepted, Receiver
from tests.support.otlp import GrpcReceiver, HttpReceiver, grpc_receiver, http_receiver, respond
from tests.unit.otlp.support import options

METRICS = [points.metric("a_total", "A.", "", points.sums([points.number({"x": "y"}, 3, 9, 7)]))]


@pytest.fixture
def http() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def over_grpc() -> Iterator[GrpcReceiver]:
    with grpc_receiver() as receiver:
        yield receiver


def send(url: str, metrics: list[Metric] = METRICS, **more: Any) -> str:
    """-> why it was not accepted, "" where it was."""
    receiver = Receiver(options(url, **more))
    try:
        receiver.send(metrics)
    except NotAccepted as error:
        return str(error)
    finally:
        receiver.close()
    return ""


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_metrics_come_with_their_resource_and_headers(
    http: HttpReceiver, over_grpc: GrpcReceiver, compression: str
) -> None:
    """Over both protocols; an endpoint without a path gets that of metrics."""
    http.answer = None
    for received, protocol in ((http, "http/protobuf"), (over_grpc, "grpc")):
        assert send(received.url, protocol=protocol, compression=compression) == ""
        headers, _ = received.requests[-1]
        assert headers["x-key"] == "geheim"
        resource = received.resource()
        assert (resource["service.name"], resource["a"]) == ("shop", "b")
        assert resource["service.instance.id"].endswith("/test")
        metric = received.metrics(received.number - 1)["a_total"]
        assert metric.sum.data_points[0].as_int == 3
    assert http.paths[-1] == "/v1/metrics"
    assert send(f"{http.url}/api/v1/otlp/v1/metrics") == ""
    assert http.paths[-1] == "/api/v1/otlp/v1/metrics"


def test_the_reason_of_a_failure_is_told(http: HttpReceiver, over_grpc: GrpcReceiver) -> None:
    """Over both protocols, whatever it is; what can succeed later is tried for as long as the timeout."""
    http.answer = lambda handler: respond(handler, 400, b"bad metric")
    assert send(http.url) == "it answers 400 Bad Request: bad metric"
    http.answer = lambda handler: respond(handler, 503)
    assert send(http.url, timeout=0.3) == "it answers 503 Service Unavailable"
    assert send("http://127.0.0.1:1", timeout=0.3) == "Connection refused"
    over_grpc.status = grpc.StatusCode.UNAUTHENTICATED
    assert "StatusCode.UNAUTHENTICATED, error details: as the test says" in send(over_grpc.url, protocol="grpc")
    for _ in range(2):
        assert "Connection refused" in send("http://127.0.0.1:1", protocol="grpc", timeout=0.3)
    over_grpc.status = None


def test_what_hangs_fails_within_the_timeout(http: HttpReceiver) -> None:
    """More or less."""
    http.answer = http.hang
    began = time.monotonic()
    assert send(http.url, timeout=0.3).startswith("ReadTimeout")
    assert time.monotonic() - began < 2.5


def test_what_can_succeed_later_is_tried_again(http: HttpReceiver) -> None:
    """By the exporter itself: the figures come once."""

    def busy(handler: Any) -> None:
        http.answer = None
        respond(handler, 503)

    http.answer = busy
    before = http.number
    assert send(http.url, timeout=5.0) == ""
    assert http.number == before + 1


def test_what_cannot_be_encoded_fails_and_harms_nothing(http: HttpReceiver) -> None:
    """A fault of ours is told as one."""
    http.answer = None
    wrong = [Metric("a", "b", "c", points.sums([points.number({}, "x", 9)]))]  # type: ignore[arg-type]
    assert "Failed to encode" in send(http.url, wrong)
