"""The options that the master gives the exporter."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hvd.companion.options import Options

if TYPE_CHECKING:  # the exporter itself needs no settings
    from hvd.settings.table import Settings

_DESCRIPTORS = 128  # of its own: a connection, or some while the receiver is changed


@dataclass(frozen=True)
class ExporterOptions(Options):
    """The part of the settings that the exporter needs; times in s, headers and attributes as NAME=VALUE.

    An empty endpoint: nothing is sent. `gunicorn` is its version, `kinds` are the names of the kinds of job.
    """

    endpoint: str
    protocol: str
    headers: tuple[str, ...]
    interval: float
    timeout: float
    compression: str
    attributes: tuple[str, ...]
    instance: str
    gunicorn: str
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, settings: "Settings", log_level: str, gunicorn: str) -> Self:
        """Those of a daemon with these settings, whose log has this level."""
        return cls(
            log_level,
            settings.otlp_endpoint,
            settings.otlp_protocol,
            settings.otlp_headers,
            settings.otlp_interval,
            settings.otlp_timeout,
            settings.otlp_compression,
            settings.otlp_attributes,
            settings.instance,
            gunicorn,
            tuple(settings.job_kinds),
        )

    @property
    def descriptors(self) -> int:
        return _DESCRIPTORS

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields: dict[str, Any] = json.loads(text)
        lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return cls(**{**fields, **lists})
