"""A receiver of OTLP metrics, over HTTP and gRPC, that reads what comes by OpenTelemetry's own protobufs."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

Answer = Callable[[Any], None]
"""What the HTTP receiver does with a request, given its handler, in place of taking it."""


class Received:
    """What has come. Thread-safe."""

    def __init__(self) -> None:
        self.requests: list[tuple[Mapping[str, str], ExportMetricsServiceRequest]] = []
        self.paths: list[str] = []
        self._lock = threading.Lock()

    def take(self, headers: Mapping[str, str], request: ExportMetricsServiceRequest, path: str = "") -> None:
        with self._lock:
            self.requests.append(({name.lower(): value for name, value in headers.items()}, request))
            self.paths.append(path)

    @property
    def number(self) -> int:
        """Of requests."""
        return len(self.requests)

    def resource(self) -> dict[str, str]:
        """The attributes of the last request's resource."""
        (resource,) = self.requests[-1][1].resource_metrics
        return {one.key: one.value.string_value for one in resource.resource.attributes}

    def metrics(self, since: int = 0) -> dict[str, Metric]:
        """By name, of the requests from that one on."""
        found: dict[str, Metric] = {}
        for _, request in self.requests[since:]:
            for metric in (
                one
                for resource in request.resource_metrics
                for scope in resource.scope_metrics
                for one in scope.metrics
            ):
                if metric.name in found:
                    found[metric.name].MergeFrom(metric)
                else:
                    found[metric.name] = metric
        return found


class HttpReceiver(Received):
    """Listens on a port of its own. `answer`, where it is set, answers instead."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer | None = None
        self.connections: list[socket.socket] = []
        self._closed = threading.Event()
        received = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                received.connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if received.answer:
                    received.answer(self)
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                received.take(dict(self.headers), ExportMetricsServiceRequest.FromString(body), self.path)
                respond(self, 200, ExportMetricsServiceResponse().SerializeToString())

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def hang(self, handler: object) -> None:
        """An answer that does not come."""
        self._closed.wait(20)

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with suppress(OSError):  # it is closed
                connection.shutdown(socket.SHUT_RDWR)


def respond(handler: Any, status: int, body: bytes = b"", **headers: str) -> None:
    """Answer a request of the HTTP receiver."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


class GrpcReceiver(Received, metrics_service_pb2_grpc.MetricsServiceServicer):
    """Listens on a port of its own. `status`, where it is set, is how each call fails."""

    def __init__(self) -> None:
        super().__init__()
        self.status: grpc.StatusCode | None = None
        self._threads = ThreadPoolExecutor(4)
        self._server = grpc.server(self._threads)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self.port}"
        self._server.start()

    def Export(self, request: ExportMetricsServiceRequest, context: Any) -> ExportMetricsServiceResponse:  # noqa: N802
        """As the protocol's service has it."""
        if self.status:
            context.abort(self.status, "as the test says")
        self.take(dict(context.invocation_metadata()), request)
        return ExportMetricsServiceResponse()

    def close(self) -> None:
        self._server.stop(0).wait()
        self._threads.shutdown()


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()
    try:
        yield receiver
    finally:
        receiver.close()


@contextmanager
def grpc_receiver() -> Iterator[GrpcReceiver]:
    receiver = GrpcReceiver()
    try:
        yield receiver
    finally:
        receiver.close()
