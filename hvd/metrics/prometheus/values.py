"""The values of prometheus_client's metrics, each in a cell of a place: what takes the place of its ValueClass.

Read in prometheus_client 0.26.0, values.py and metrics.py: a metric makes its values in `_metric_init`, a counter and a
gauge one, a summary `_count` and `_sum`, a histogram `_sum`, then one for each bucket in order; and calls of them
`inc(amount)`, `set(value, timestamp=None)`, `get()`, `set_exemplar(exemplar)` and `get_exemplar()`.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from prometheus_client.values import MutexValue

from hvd.core.own.definition import COUNTER, GAUGE, HISTOGRAM, Definition
from hvd.core.own.hot import Place
from hvd.core.own.notes import Exemplar


class Making(threading.local):
    """What this thread is making: the parent of the child that `labels` makes, and the series whose values a metric
    makes.
    """

    parent: Any = None
    series: "Series | None" = None


class Owner(Protocol):
    """A family, as its series know it."""

    definition: Definition

    def reset(self, series: "Series") -> None:
        """Have the series count from 0 on."""

    def keep(self, labels: tuple[str, ...], index: int, exemplar: Exemplar) -> None:
        """Keep an exemplar of a cell in the block."""


class Series:
    """A series of a metric in this process: its place, and the values that count there."""

    def __init__(self, family: Owner, labels: tuple[str, ...], place: Place) -> None:
        self.family, self.labels, self.place = family, labels, place
        self.kind = family.definition.kind
        self.values: list[Value] = []

    def move(self, place: Place) -> None:
        """Count there from now on."""
        self.place = place
        for value in self.values:
            value.bind()

    def index_of(self, name: str) -> int:
        """The cell of the value of that name, which is about to be made."""
        if self.kind == HISTOGRAM:
            return len(self.values)  # _sum is the first
        return 1 if name.endswith("_sum") else 0


making = Making()


class Value:
    """A value of a metric: a cell of its place; of a counter and of a gauge the whole place. Thread-safe."""

    __slots__ = ("_exemplar", "_index", "_series", "inc")

    _multiprocess = True
    inc: Callable[[float], None]
    """Adds an amount: the place's own method, so that nothing is in between."""

    def __new__(
        cls,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        **rest: Any,
    ) -> Any:
        """A value that is made without a metric is in no block: it is one of prometheus_client's own."""
        if making.series is None:
            return MutexValue(typ, metric_name, name, labelnames, labelvalues, help_text, **rest)  # type: ignore[no-untyped-call]
        return super().__new__(cls)

    def __init__(self, typ: str, metric_name: str, name: str, *_: Any, **__: Any) -> None:
        assert making.series
        self._series = making.series
        self._index = self._series.index_of(name)
        self._exemplar: Any = None
        self._series.values.append(self)
        self.bind()

    def bind(self) -> None:
        """Count in the place that the series has now."""
        place: Any = self._series.place
        is_whole = self._series.kind in (COUNTER, GAUGE)
        self.inc = place.inc if is_whole else place.cell(self._index).inc

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set a gauge. Other values grow to it, or, if it is below, begin anew at 0, whichever process counted."""
        if self._series.kind == GAUGE:
            place: Any = self._series.place
            place.set(value, timestamp or 0.0)
            return
        if value < self.get() or value == 0:
            self._series.family.reset(self._series)
        if (missing := value - self.get()) > 0:
            self.inc(missing)

    def get(self) -> float:
        """What this process has counted, or set."""
        place: Any = self._series.place
        if self._series.kind == GAUGE:
            return float(place.value)
        if self._series.kind == COUNTER:
            return float(sum(place.counted()))
        return float(place.cell(self._index).get_own())

    def give_up(self) -> Series:
        """Count nowhere from now on. -> the series, of which somebody else says the value."""
        series = self._series
        self._series = Series(series.family, series.labels, type(series.place)(series.family.definition))
        self.bind()
        return series

    def set_exemplar(self, exemplar: Any) -> None:
        """Keep an example, as prometheus_client has it."""
        self._exemplar, series = exemplar, self._series
        series.family.keep(
            series.labels, self._index, Exemplar(exemplar.labels, exemplar.value, exemplar.timestamp or 0.0)
        )

    def get_exemplar(self) -> Any:
        """This process's last one."""
        return self._exemplar
