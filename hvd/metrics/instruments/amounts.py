"""Summary and Histogram: how many amounts were observed, their sum, and how they are distributed."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hvd.core.own import logarithmic
from hvd.core.own.definition import HISTOGRAM, SUMMARY
from hvd.core.own.hot import HistogramPlace, SummaryPlace
from hvd.metrics.instruments.base import Instrument
from hvd.metrics.instruments.registry import REGISTRY
from hvd.metrics.instruments.wrappers import Timer

if TYPE_CHECKING:
    from hvd.metrics.instruments.base import Value

LOGARITHMIC = logarithmic.BUCKETS
"""For `buckets`: hvd's own, from which percentiles are within 5 %, whatever the amounts are."""


class Summary(Instrument, SummaryPlace):
    """How many amounts were observed, and their sum: `observe(amount)`."""

    __module__ = "hvd"
    _type = SUMMARY
    _reserved_labelnames = ("quantile",)

    def time(self) -> Timer:
        """For a block or a function: observe the seconds that it took."""
        return Timer(self, "observe")

    def own_value(self) -> "Value":
        count, total = self.counted()
        from hvd.core.own.samples import Amounts  # not at the top: only readers need it

        return Amounts((int(count),), total)


class Histogram(Instrument, HistogramPlace):
    """How many amounts fell into each bucket, and their sum: `observe(amount)`."""

    __module__ = "hvd"
    _type = HISTOGRAM
    _reserved_labelnames = ("le",)
    DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: Any = REGISTRY,
        buckets: Sequence[float | str] = DEFAULT_BUCKETS,
    ) -> None:
        """`buckets`: their upper bounds, or LOGARITHMIC.

        Raises ValueError where a name or the buckets can't be used; DuplicateTimeseries where the registry has it.
        """
        self._upper_bounds = _bounds(buckets)
        name_parts = name, namespace, subsystem, unit
        self._declare(registry, documentation, labelnames, name_parts, buckets=tuple(self._upper_bounds[:-1]))

    def time(self) -> Timer:
        """For a block or a function: observe the seconds that it took."""
        return Timer(self, "observe")

    def own_value(self) -> "Value":
        total, *counts = self.counted()
        from hvd.core.own.samples import Amounts  # not at the top: only readers need it

        return Amounts(tuple(map(int, counts)), total)


def _bounds(buckets: Sequence[float | str]) -> list[float]:
    """The upper bounds, with the infinite one last."""
    bounds = [float(bound) for bound in buckets]
    if bounds != sorted(bounds):
        raise ValueError("Buckets not in sorted order")
    if bounds and bounds[-1] != math.inf:
        bounds.append(math.inf)
    if len(bounds) < 2:
        raise ValueError("Must have at least two buckets")
    return bounds
