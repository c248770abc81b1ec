"""The presets by the names that the setting http.presets takes."""

from collections.abc import Iterable

from hvd.export.presets import django, fastapi, flask, starlette
from hvd.metrics.table import Metric

PRESETS: dict[str, tuple[Metric, ...]] = {
    "flask": flask.METRICS,
    "fastapi": fastapi.METRICS,
    "starlette": starlette.METRICS,
    "django": django.METRICS,
}


def metrics_of(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics of these presets."""
    return tuple(metric for name in names for metric in PRESETS[name])
