"""Shared by the tests of the exporter."""

from typing import Any

from hvd.otlp.options import ExporterOptions

OPTIONS = ExporterOptions(
    *("info", "", "http/protobuf", ("X-Key=geheim",), 3600.0, 5.0, "none", ("service.name=shop", "a=b")),
    *("test", "27.0", ()),
)


def options(endpoint: str, **more: Any) -> ExporterOptions:
    """Those for a receiver."""
    return ExporterOptions(**{**vars(OPTIONS), "endpoint": endpoint, **more})
