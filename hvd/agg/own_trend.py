"""Own metrics from tick to tick: points of the pinned ones, and the figures that some clients ask for."""

import logging
import math
from collections.abc import Callable, Iterable
from typing import TypedDict

from hvd.core.block import Block
from hvd.core.own.pins import Pins
from hvd.errors import BlockError
from hvd.read.own import OwnMetric, OwnSeries, build_own
from hvd.read.recent import Look, Recent, Recently

log = logging.getLogger("hvd.aggregator")

SERIES, ALL_SERIES = 100, 1000  # of an own metric, and of all, in a detail message: some 200 kB
DIGITS = 6  # of figures that clients get

Figures = dict[str, float | None]
"""What something did lately, see recent.py; null where that isn't known."""


class SeriesDetail(OwnSeries):
    """A series, and what it did lately."""

    recent: Figures


class MetricDetail(OwnMetric):
    """A metric, and what all its series together did lately."""

    recent: Figures


class OwnDetail(TypedDict):
    """What a detail message has of own metrics; `pinned` by key, whether the series is among those of `own` or not."""

    own: list[MetricDetail]
    pinned: dict[str, Figures]


class OwnTrend:
    """Fed with every tick. One thread uses it; `is_writer` says whether points are for this process to write."""

    def __init__(self, block: Block, is_writer: Callable[[], bool]) -> None:
        self._pins, self._is_writer = Pins(block), is_writer
        self._last: Look | None = None  # of the ticks that made a point
        self._last_but_one: Look | None = None

    def pin(self, keys: Iterable[str]) -> None:
        """Pin what the settings name; what can't be pinned is logged."""
        for key in keys:
            try:
                self._pins.add(key)
            except (BlockError, ValueError) as error:
                log.warning("the setting pinned: %s", error)

    @property
    def pinned(self) -> list[str]:
        """The keys of what is pinned."""
        return self._pins.pinned()

    def tick(self, look: Look, point_ns: int | None) -> None:
        """Take the figures of a tick; `point_ns` is the Unix time in ns of the point of the history that it made.

        A point of what is pinned is of the time since the one before.
        """
        if point_ns is None and self._last is not None:
            return
        if point_ns is not None and self._is_writer() and (keys := self.pinned):
            figures = Recently(self._last, look).of_keys(keys)
            self._pins.record(point_ns, {key: tuple(values.values()) for key, values in figures.items() if values})
        self._last_but_one, self._last = self._last, look

    def pause(self) -> None:
        """Forget the last tick, as no client asks: rates begin anew with the next one."""
        self._last = self._last_but_one = None

    def detail(self, look: Look) -> OwnDetail:
        """For a detail message: the changes since the point before the last one; at the tick that makes a point, since
        the point before that.
        """
        recently = Recently(self._last_but_one, look)
        own: list[MetricDetail] = []
        for family, metric in zip(look.families, build_own(look.families, SERIES, ALL_SERIES), strict=True):
            figures = recently.of(family, len(metric["series"]))
            series: list[OwnSeries] = [
                SeriesDetail(**one, recent=_rounded(recent))
                for one, (_, recent) in zip(metric["series"], figures, strict=True)
            ]
            own.append({**metric, "series": series, "recent": _rounded(recently.together(family))})
        known = recently.of_keys(self.pinned)
        return {"own": own, "pinned": {key: _rounded(known.get(key, {})) for key in self.pinned}}


def _rounded(recent: Recent) -> Figures:
    return {name: float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for name, value in recent.items()}
