"""The exporter's reports on itself: on its page, for /health and /metrics, and in the log, but not at each push."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from hvd.metrics.companion_pages import EXPORTER_PAGE
from hvd.otlp.options import ExporterOptions

ACCEPTED, FAILED = "accepted", "failed"

REMIND = 600.0  # s between two lines that say the same
PATIENCE = 10.0  # s, or two intervals where these are longer: a receiver that was restarted is no trouble


class Report:
    """One exporter's. One thread uses it."""

    def __init__(
        self,
        publish: Callable[[Mapping[str, Any]], None],
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish, self._log, self._clock = publish, log, clock
        self._endpoint, self._interval = "", 0.0
        self._accepted_ns = 0
        self._failing_since: float | None = None
        self._said: dict[str, float] = {}

    def begin(self, options: ExporterOptions) -> None:
        """Take new options."""
        if options.endpoint != self._endpoint and (options.endpoint or self._endpoint):
            self._log.info("metrics go to %s", options.endpoint or "no receiver any more")
        self._endpoint, self._interval = options.endpoint, options.interval
        self._failing_since, self._accepted_ns = None, 0
        self._said.clear()
        self._tell("")

    def take(self, trouble: str, refused: str) -> None:
        """A push has ended: why it failed, if it did, and what was thrown away of it."""
        now = self._clock()
        if trouble:
            self._failing_since = now if self._failing_since is None else self._failing_since
            self._say(logging.WARNING, f"{trouble}; it is tried again")
        else:
            if self._failing_since is not None:
                self._log.info("%s takes metrics again, after %.0f s", self._endpoint, now - self._failing_since)
                self._said.clear()
            self._failing_since, self._accepted_ns = None, round(now * 1e9)
        if refused:
            self._say(logging.WARNING, f"{self._endpoint} has thrown away {refused}")
        self._tell(trouble)

    def _say(self, level: int, text: str) -> None:
        now = self._clock()
        if now - self._said.get(text, float("-inf")) >= REMIND:
            self._said = {text: now}
            self._log.log(level, "%s", text)

    def _tell(self, trouble: str) -> None:
        now = self._clock()
        since = self._failing_since
        is_long = since is not None and now - since >= max(PATIENCE, 2 * self._interval)
        self._publish(
            {
                "page": EXPORTER_PAGE,
                "monotonic_ns": round(now * 1e9),
                "is_on": bool(self._endpoint),
                "is_failing": since is not None,
                "trouble": trouble[:1000] if is_long else "",
                "accepted_ns": self._accepted_ns,
            }
        )
