"""Counter: how often something happened, or how much of it there was."""

import time
from typing import TYPE_CHECKING

from hvd.core.own.definition import COUNTER
from hvd.core.own.hot import CounterPlace
from hvd.metrics.instruments.base import Instrument
from hvd.metrics.instruments.wrappers import ExceptionCounter

if TYPE_CHECKING:
    from hvd.metrics.instruments.base import Value


class Counter(Instrument, CounterPlace):
    """A number that only grows.

        orders = Counter("orders_total", "Orders placed", ["shop"])
        orders.labels("north").inc()

    `inc(amount)` adds an amount, 1 by default; integers count exactly, whatever their sum.
    """

    __module__ = "hvd"
    _type = COUNTER

    def reset(self) -> None:
        """Begin at 0 again, in all processes."""
        self._check_ready()
        assert self._family
        self._family.reset(self._labelvalues)
        self._created = time.time()

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounter:
        """For a block or a function: count the exceptions of this kind that leave it."""
        self._check_ready()
        return ExceptionCounter(self, exception)

    def own_value(self) -> "Value":
        whole, rest = self.counted()
        return whole + rest if rest else whole
