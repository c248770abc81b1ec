"""Two regular looks of the admin server: since when the service is saturated, which it publishes on its page; and what
/health says, whose changes it writes as events.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from hvd.core.block import Block
from hvd.metrics.events import EventWriter, open_alerts
from hvd.read.alert import Alerts, Change
from hvd.read.health import HealthState, Status
from hvd.read.reading import BlockReader
from hvd.read.saturation import Saturation
from hvd.texts import duration

EVERY = 1.0  # s between two looks at the health


class SaturationWatch:
    """One look at each call: some 0.2 ms. One thread uses it."""

    def __init__(self, reader: BlockReader, publish: Callable[[Mapping[str, Any]], None]) -> None:
        self._reader, self._publish = reader, publish
        self._saturation = Saturation()

    def __call__(self) -> None:
        self._publish(self._saturation.observe(self._reader.service(), self._reader.backlog(), self._reader.deaths()))


class HealthWatch:
    """Writes the events of alerts and of their ends, if this is the newest master's admin server, as `is_newest` says.
    One thread uses it, and may call it as often as it likes.
    """

    def __init__(self, block: Block, health: Callable[[], HealthState], is_newest: Callable[[], bool]) -> None:
        self._block, self._health, self._is_newest = block, health, is_newest
        self._writer = EventWriter(block)
        self._next = 0.0
        self._alerts: Alerts | None = None  # None: another one may have told some since

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        self._writer.flush()
        if not self._is_newest():
            self._alerts = None
            return
        self._alerts = self._alerts or self._alerts_before()
        if change := self._alerts.observe(now, self._health()):
            self._tell(change)

    def _alerts_before(self) -> Alerts:
        """The state that the admin server before this one left, whose end may be a part of the alert."""
        alerts = open_alerts(self._block)
        if not alerts:
            return Alerts()
        began = time.monotonic() - max(0.0, time.time() - alerts[0]["time"])
        reasons = (reason for event in alerts for reason in event.get("reasons") or ())
        return Alerts(cast(Status, alerts[-1].get("state", "degraded")), began, reasons)

    def _tell(self, change: Change) -> None:
        at = time.time() - (time.monotonic() - change.at)
        more: dict[str, Any] = {"time": round(at, 3), "state": change.state}
        if change.is_over:
            text = f"healthy again, after {duration(change.seconds, 2)}"
            self._writer.write("alert_over", text, **more, seconds=round(change.seconds, 3))
        else:
            text = f"{change.state}: {'; '.join(change.reasons)}"
            self._writer.write("alert", text, **more, reasons=change.reasons)
