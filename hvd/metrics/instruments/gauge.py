"""Gauge: how much of something there is now."""

import functools
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from hvd.core.own.definition import GAUGE, MODES
from hvd.core.own.hot import GaugePlace
from hvd.metrics.instruments.base import Instrument
from hvd.metrics.instruments.registry import REGISTRY
from hvd.metrics.instruments.wrappers import InprogressTracker, Timer

if TYPE_CHECKING:
    from hvd.metrics.instruments.base import Value


class Gauge(Instrument, GaugePlace):
    """A value that goes up and down: `set(value)`, `inc(amount)`, `dec(amount)`.

    `multiprocess_mode` says how those of several processes combine: `all` gives each, with the label pid; `min`, `max`,
    `sum` and `mostrecent` one, which keeps what processes had that have ended; `live` before it: only those that live.
    """

    __module__ = "hvd"
    _type = GAUGE

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: Any = REGISTRY,
        multiprocess_mode: str = "all",
    ) -> None:
        """Raises ValueError where a name or the mode can't be used; DuplicateTimeseries where the registry has it."""
        if multiprocess_mode not in MODES:
            raise ValueError(f"Invalid multiprocess mode: {multiprocess_mode}")
        self._multiprocess_mode = multiprocess_mode
        self._declare(registry, documentation, labelnames, (name, namespace, subsystem, unit), mode=multiprocess_mode)

    def _begin(self, definition: Any, *, is_ready: bool) -> None:
        super()._begin(definition, is_ready=is_ready)
        if definition.mode.endswith("mostrecent"):
            self._shadow(
                set=self._set_now, inc=functools.partial(_refuse, "inc"), dec=functools.partial(_refuse, "dec")
            )

    def _shadow(self, **methods: Callable[..., None]) -> None:
        """Replace methods of this one gauge: others call the place's own methods, with nothing in between."""
        vars(self).update(methods)

    def _set_now(self, value: float) -> None:
        GaugePlace.set(self, value, time.time())

    def set_to_current_time(self) -> None:
        """Set it to the time, in s since 1970."""
        self.set(time.time())

    def track_inprogress(self) -> InprogressTracker:
        """For a block or a function: count up while it runs."""
        self._check_ready()
        return InprogressTracker(self)

    def time(self) -> Timer:
        """For a block or a function: set the seconds that it took."""
        return Timer(self, "set")

    def set_function(self, f: Callable[[], float]) -> None:
        """Have a function give the value, at each reading in this process, and once a second for readings in others.
        It may be called from several threads; `set`, `inc` and `dec` do nothing from now on.
        """
        from hvd.metrics.instruments.functions import functions  # it keeps a thread going, where there is a function

        self._check_ready()
        self._shadow(set=_ignore, inc=_ignore, dec=_ignore)
        functions.add(self, f)

    def take(self, value: float) -> None:
        """The value that the function gave."""
        GaugePlace.set(self, value, time.time())

    def own_value(self) -> "Value":
        return self.value


def _ignore(*_: float) -> None:
    """What `set` is where a function gives the value."""


def _refuse(name: str, *_: float) -> NoReturn:
    raise RuntimeError(f"{name} must not be used with the mostrecent mode")
