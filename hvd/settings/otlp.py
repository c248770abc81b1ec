"""The settings of the table `otlp`: what they take, and what OpenTelemetry's own variables say of them.

The variables are those of opentelemetry.io/docs/specs/otel: "OpenTelemetry Protocol Exporter" and "Environment Variable
Specification". hvd's own settings come before them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any
from urllib.parse import unquote, urlsplit

from hvd.settings.value_types import ValueType, one_of

HTTP, GRPC = "http/protobuf", "grpc"
PROTOCOL = one_of(HTTP, GRPC)
COMPRESSION = one_of("none", "gzip")

_URL = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}=[\t\x20-\x7e]{0,4096}")
_ATTRIBUTE = re.compile(r"[^=\s]{1,255}=.{0,1000}", re.DOTALL)

_MILLISECONDS_FROM = 1000
"""The specification has the timeout in ms, OpenTelemetry's Python library in s. Nobody means 1000 s, or less than 1."""


def _read_endpoint(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or not _URL.fullmatch(value):
        raise ValueError
    if urlsplit(value).port == 0:  # ValueError, which says so, where it is no number of a port
        raise ValueError
    return value


def _pairs(form: re.Pattern[str]) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError
        for pair in value:
            if not isinstance(pair, str) or not form.fullmatch(pair):
                raise ValueError
        return tuple(value)

    return read


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


ENDPOINT = ValueType("http://HOST:PORT or https://HOST:PORT, with or without a path", _read_endpoint)
HEADERS = ValueType("a list (in the variable: commas between) of NAME=VALUE", _pairs(_HEADER), _parts)
ATTRIBUTES = ValueType("a list (in the variable: commas between) of NAME=VALUE", _pairs(_ATTRIBUTE), _parts)


def is_installed(protocol: str) -> bool:
    """Whether OpenTelemetry's exporter for this protocol is there; nothing is imported."""
    name = f"opentelemetry-exporter-otlp-proto-{'grpc' if protocol == GRPC else 'http'}"
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def pairs_of(value: tuple[str, ...]) -> dict[str, str]:
    """The names and values of such a list; the last one counts of those that have the same name."""
    return {name: text for name, _, text in (pair.partition("=") for pair in value)}


def standard_values(environ: Mapping[str, str], *, has_endpoint: bool) -> Iterator[tuple[str, Any, str]]:
    """Settings of which OpenTelemetry's variables speak: key, value, and which variable it is.

    Nothing where they name no endpoint, or ask for no metrics, unless one is set elsewhere: `has_endpoint`.
    """
    variables = _Variables(environ)
    protocol, protocol_name = variables.exporter("PROTOCOL")
    endpoint = _endpoint(variables, protocol.lower() == GRPC)
    if not has_endpoint and (endpoint is None or variables.are_off):
        return
    if endpoint:
        yield "otlp_endpoint", *endpoint
    if protocol:
        yield "otlp_protocol", protocol, protocol_name
    headers, name = variables.exporter("HEADERS")
    if headers:
        yield "otlp_headers", _decoded(headers), name
    compression, name = variables.exporter("COMPRESSION")
    if compression:
        yield "otlp_compression", compression, name
    yield from _times(variables)


def standard_attributes(environ: Mapping[str, str]) -> list[str]:
    """NAME=VALUE of what OpenTelemetry's variables say of the service; what is no such pair is left out."""
    variables = _Variables(environ)
    pairs = [pair for pair in _decoded(variables.text("OTEL_RESOURCE_ATTRIBUTES")) if _ATTRIBUTE.fullmatch(pair)]
    name = variables.text("OTEL_SERVICE_NAME")
    return [*pairs, f"service.name={name[:1000]}"] if name else pairs


class _Variables:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str:
        """ "" where it is unset or blank."""
        return self._environ.get(name, "").strip()

    def exporter(self, what: str) -> tuple[str, str]:
        """The value for metrics, else that for all signals; and which variable has it."""
        special, general = f"OTEL_EXPORTER_OTLP_METRICS_{what}", f"OTEL_EXPORTER_OTLP_{what}"
        return (self.text(special), special) if self.text(special) else (self.text(general), general)

    @property
    def are_off(self) -> bool:
        """Whether they ask for no metrics by OTLP."""
        exporters = _parts(self.text("OTEL_METRICS_EXPORTER").lower())
        return self.text("OTEL_SDK_DISABLED").lower() == "true" or bool(exporters and "otlp" not in exporters)


def _endpoint(variables: _Variables, is_grpc: bool) -> tuple[str, str] | None:
    """The URL, and its variable. One for all signals has no path of metrics yet; under gRPC it needs no scheme."""
    text, name = variables.exporter("ENDPOINT")
    if not text:
        return None
    if is_grpc:
        insecure = variables.exporter("INSECURE")[0].lower() == "true"
        return (text if "://" in text else f"{'http' if insecure else 'https'}://{text}"), name
    if name.endswith("OTLP_ENDPOINT"):
        return f"{text.rstrip('/')}/v1/metrics", name
    return (text if urlsplit(text).path else f"{text}/"), name


def _times(variables: _Variables) -> Iterator[tuple[str, Any, str]]:
    timeout, name = variables.exporter("TIMEOUT")
    if timeout:
        seconds = _number(timeout)
        is_ms = isinstance(seconds, float) and seconds >= _MILLISECONDS_FROM
        yield "otlp_timeout", seconds / 1000 if isinstance(seconds, float) and is_ms else seconds, name
    interval, name = variables.text("OTEL_METRIC_EXPORT_INTERVAL"), "OTEL_METRIC_EXPORT_INTERVAL"
    if interval:
        milliseconds = _number(interval)
        yield "otlp_interval", milliseconds / 1000 if isinstance(milliseconds, float) else milliseconds, name


def _number(text: str) -> float | str:
    """The number, or the text itself where it is none: then the setting refuses it, and says what it takes."""
    try:
        return float(text)
    except ValueError:
        return text


def _decoded(text: str) -> list[str]:
    """The pairs NAME=VALUE of a text in the form of W3C Baggage, which percent-encodes values."""
    pairs = (part.partition("=") for part in _parts(text))
    return [f"{unquote(name.strip())}{equals}{unquote(value.strip())}" for name, equals, value in pairs]
