"""The options that the master gives the aggregator."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hvd.companion.options import Options

if TYPE_CHECKING:  # the aggregator itself needs no settings: a tenth of its start, and 0.5 MB
    from hvd.settings.table import Settings

HANDOFF, EVENTS = "handoff", "events"
"""Descriptors that it inherits: the hub's end of the hand-off, and the end at which job events are read."""

SPARE_DESCRIPTORS = 128  # kept for the aggregator's own files when clients take all others; of few, half of them


@dataclass(frozen=True)
class AggregatorOptions(Options):
    """The part of the settings that the aggregator needs; times in s. `instance`, `app` and `worker_class` name the
    service for people; `bind` is where it is served.
    """

    interval: float
    ping_interval: float
    ping_timeout: float
    max_clients: int
    runs_jobs: bool
    instance: str = ""
    app: str = ""
    worker_class: str = ""
    bind: str = ""
    access: str = ""
    """The name of the rule of who may read; "" for anybody."""
    pinned: str = ""
    """Keys of own metrics that the settings pin, a line each."""

    @classmethod
    def of(cls, settings: "Settings", log_level: str, app: str = "") -> Self:
        """The options for a daemon with these settings, this log level and this app."""
        from hvd.settings.exposure import access_of  # in the master alone

        pings = settings.ping_interval, settings.ping_timeout
        name = settings.instance, app, settings.worker_class, settings.bind
        limits = settings.max_clients, bool(settings.job_kinds)
        return cls(
            log_level, settings.interval, *pings, *limits, *name, access_of(settings), "\n".join(settings.pinned)
        )

    @property
    def name(self) -> dict[str, str]:
        """What names the service for people, and where they reach it."""
        return {"instance": self.instance, "app": self.app, "worker_class": self.worker_class, "bind": self.bind}

    @property
    def descriptors(self) -> int:
        return self.max_clients + SPARE_DESCRIPTORS
