"""The receiver of what is sent: OpenTelemetry's own exporter, over HTTP or gRPC, and what can go wrong there.

An exporter tries again by itself while its timeout lasts. It says whether it was successful, and by its log why not; so
its log is read here, and does not reach hvd's.
"""

import logging
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from hvd import __version__
from hvd.export.otlp.starts import Starts
from hvd.otlp.options import ExporterOptions
from hvd.settings.otlp import GRPC, pairs_of

if TYPE_CHECKING:
    from hvd.otlp.session import Session

SCOPE = "hvd"
METRICS_PATH = "/v1/metrics"
"""Where metrics go over HTTP, of an address that has no path."""

_GRPC_LOG = "opentelemetry.exporter.otlp.proto.grpc.exporter"
_GENERAL = "due to timeout, max retries or shutdown"
"""In the last line of an exporter that has tried several times: the lines before say why."""


class NotAccepted(Exception):  # noqa: N818
    """The receiver did not take it; the text says why."""


def resource_of(options: ExporterOptions, host: str) -> Resource:
    """The resource of the figures: hvd's names for the service, unless attributes name it otherwise."""
    known = {
        "service.name": options.instance,
        "service.instance.id": f"{host}/{options.instance}",
        "host.name": host,
        "telemetry.sdk.name": "hvd",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
    }
    return Resource({**known, **pairs_of(options.attributes)})


class Receiver:
    """One thread at a time sends; any may close it."""

    def __init__(self, options: ExporterOptions) -> None:
        """Raises whatever the exporter does that can't be made so: for a certificate that isn't there, ..."""
        self._resource = resource_of(options, socket.gethostname())
        self.starts = Starts()
        self._reasons = _Reasons.installed()
        self._session: Session | None = None
        self._exporter = self._grpc(options) if options.protocol == GRPC else self._http(options)

    def _http(self, options: ExporterOptions) -> MetricExporter:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        from hvd.otlp.session import Session

        self._session = Session()
        return OTLPMetricExporter(
            options.endpoint if urlsplit(options.endpoint).path else f"{options.endpoint}{METRICS_PATH}",
            headers=pairs_of(options.headers),
            timeout=options.timeout,
            compression=Compression(options.compression),
            session=self._session,
        )

    def _grpc(self, options: ExporterOptions) -> MetricExporter:
        from grpc import Compression
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

        logging.getLogger(
            _GRPC_LOG
        ).filters.clear()  # one leaves out what was said before, which is the reason now, too
        headers = pairs_of(options.headers)
        return OTLPMetricExporter(
            options.endpoint,
            headers={name.lower(): value for name, value in headers.items()},
            timeout=options.timeout,
            compression=Compression.Gzip if options.compression == "gzip" else Compression.NoCompression,
        )

    def send(self, metrics: Sequence[Metric]) -> None:
        """Have the receiver take these. Raises NotAccepted, after the timeout at the latest, more or less."""
        scope = ScopeMetrics(InstrumentationScope(SCOPE, __version__), metrics, "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        self._reasons.last = ""
        try:
            result = self._exporter.export(data)
        except Exception as error:
            raise NotAccepted(f"{type(error).__name__}: {error}") from error
        if result is not MetricExportResult.SUCCESS:
            trouble = self._session.trouble if self._session else ""
            raise NotAccepted(trouble or self._reasons.last or "no reason given")

    def take_refused(self) -> str:
        """What the receiver has said of points that it threw away, though it took the rest; "" where it did not."""
        return self._session.take_refused() if self._session else ""

    @property
    def wait(self) -> float:
        """For how many seconds the receiver wants nothing more, by its last answer over HTTP; 0: it did not say."""
        return self._session.wait if self._session else 0.0

    def close(self) -> None:
        """End the connection; what is being sent fails soon."""
        self._exporter.shutdown()


class _Reasons(logging.Handler):
    """Keeps the last line of the exporters' log that says why something failed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not self.last or _GENERAL not in text:
            self.last = text

    @classmethod
    def installed(cls) -> "_Reasons":
        """That of this process."""
        logger = logging.getLogger("opentelemetry")
        logger.propagate = False
        known = next((one for one in logger.handlers if isinstance(one, cls)), None)
        if known is None:
            known = cls()
            logger.addHandler(known)
        return known
