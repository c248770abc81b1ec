"""hvd: exact live metrics of a multi-process Python service, and the daemon that serves them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hvd.export.latest import CONTENT_TYPE_LATEST, generate_latest
    from hvd.metrics.instruments.amounts import LOGARITHMIC, Histogram, Summary
    from hvd.metrics.instruments.counter import Counter
    from hvd.metrics.instruments.gauge import Gauge
    from hvd.metrics.instruments.lines import disable_created_metrics, enable_created_metrics
    from hvd.metrics.instruments.metric import Metric
    from hvd.metrics.instruments.names import disable_legacy_validation, enable_legacy_validation
    from hvd.metrics.instruments.registry import REGISTRY, CollectorRegistry, DuplicateTimeseries
    from hvd.metrics.instruments.sample import Exemplar, Sample
    from hvd.metrics.instruments.states import Enum, Info

__all__ = [
    "CONTENT_TYPE_LATEST",
    "LOGARITHMIC",
    "REGISTRY",
    "CollectorRegistry",
    "Counter",
    "DuplicateTimeseries",
    "Enum",
    "Exemplar",
    "Gauge",
    "Histogram",
    "Info",
    "Metric",
    "Sample",
    "Summary",
    "count",
    "disable_created_metrics",
    "disable_legacy_validation",
    "enable_created_metrics",
    "enable_legacy_validation",
    "generate_latest",
    "join",
]

_NAMES = {
    "export.latest": ("CONTENT_TYPE_LATEST", "generate_latest"),
    "metrics.instruments.amounts": ("LOGARITHMIC", "Histogram", "Summary"),
    "metrics.instruments.counter": ("Counter",),
    "metrics.instruments.gauge": ("Gauge",),
    "metrics.instruments.lines": ("disable_created_metrics", "enable_created_metrics"),
    "metrics.instruments.names": ("disable_legacy_validation", "enable_legacy_validation"),
    "metrics.instruments.registry": ("REGISTRY", "CollectorRegistry", "DuplicateTimeseries"),
    "metrics.instruments.metric": ("Metric",),
    "metrics.instruments.sample": ("Exemplar", "Sample"),
    "metrics.instruments.states": ("Enum", "Info"),
}
_MODULES = {name: f"hvd.{module}" for module, names in _NAMES.items() for name in names}
"""Where each name is that is imported only where somebody asks for it."""

__version__ = "0.2.0"


def join(instance: str = "") -> None:
    """Have this process count in the daemon's block: a task worker, a script, another server's worker. `instance` names
    the daemon, where this user has several.

    Without a daemon the process counts by itself, and joins within a second or so once there is one; what it had
    counted comes with it. A child that it forks joins by itself. In a worker of a daemon nothing happens.

    Raises DaemonsAmbiguous where several daemons run and nothing says which of them, JoinRefused where the daemon is
    another user's, SettingsError where HVD_CONFIG or a variable can't be used. Thread-safe; the first call decides.
    """
    from hvd.instrument.joining import join_daemon

    join_daemon(instance)


def count(app: Any) -> Any:
    """`app`, a WSGI or an ASGI app, with its requests counted by this process: for one that is served by no worker of
    a daemon's, see `join`. An app that is counted already stays as it is.
    """
    from hvd.instrument.apply import count_app

    return count_app(app)


def __getattr__(name: str) -> Any:
    """The instruments, imported where somebody asks for them: every command of hvd's imports this module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
