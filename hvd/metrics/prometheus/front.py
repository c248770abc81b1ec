"""Installing the front: prometheus_client's metrics count in the block from now on.

It must come before the app makes its metrics: those that are made already go on counting for their process alone.
"""

import logging
from importlib.util import find_spec
from threading import Lock

from hvd.metrics.instruments.keys import keys
from hvd.metrics.prometheus import folder
from hvd.metrics.prometheus.importing import after_import

MODULE = "prometheus_client"

log = logging.getLogger("hvd")


class _Front:
    """Whether it is installed in this process, or will be as soon as somebody imports prometheus_client."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_ready = self._is_applied = False
        self._all_registries, self._default_gauge_mode = False, "all"

    def install(self, all_registries: bool, default_gauge_mode: str) -> None:
        with self._lock:
            self._all_registries, self._default_gauge_mode = all_registries, default_gauge_mode
            if not self._is_ready:
                self._is_ready = True
                folder.point_there()
                after_import(MODULE, self._apply)
        if self._is_applied:
            self._pass_on()

    def _apply(self) -> None:
        try:
            from hvd.metrics.prometheus import patches  # which imports prometheus_client

            patches.apply()
        except (ImportError, AttributeError) as error:  # the app must go on, with whatever version it has
            log.warning(
                "hvd: prometheus_client counts for each process alone, as hvd doesn't know its version: %s", error
            )
            return
        self._is_applied = True
        self._pass_on()

    def _pass_on(self) -> None:
        from hvd.metrics.prometheus.families import registries

        registries.are_all_shown = self._all_registries
        registries.default_gauge_mode = self._default_gauge_mode

    def say_serving(self) -> None:
        """Called once the app is loaded."""
        keys.is_serving = True
        if self._is_applied:
            from hvd.metrics.prometheus.families import registries

            registries.is_serving = True


_front = _Front()
say_serving = _front.say_serving


def install(wanted: str = "true", *, all_registries: bool = False, default_gauge_mode: str = "all") -> str:
    """Install the front; prometheus_client is not imported for that. Where it is not there, nothing happens.

    `wanted`: "true"; "false"; "auto", which is "true" unless prometheus_client is to count in files of its own.
    -> a warning, where both are set up: which of them is in force.
    """
    keys.are_all_shown = all_registries
    files = folder.users_folder()
    if wanted == "false" or find_spec(MODULE) is None:
        return ""
    if files and wanted == "auto":
        return (
            f"hvd: {folder.VARIABLE} is set: prometheus_client counts in files in {files}, which hvd doesn't show; "
            "unset it, or set prometheus_client = true"
        )
    _front.install(all_registries, default_gauge_mode)
    return f"hvd: prometheus_client counts in hvd, not in files in {files} ({folder.VARIABLE})" if files else ""
