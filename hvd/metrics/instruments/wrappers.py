"""What wraps a block of code or a function: `with` or `@` these, as those of prometheus_client.

An async function is wrapped until it has ended, and stays an async function. Of a generator only the call is wrapped.
"""

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Literal, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class ExceptionCounter:
    """Counts the exceptions of a kind that leave the block."""

    def __init__(self, counter: Any, exception: type[BaseException] | tuple[type[BaseException], ...]) -> None:
        self._counter, self._exception = counter, exception

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if isinstance(error, self._exception):
            self._counter.inc()
        return False

    def __call__(self, function: F) -> F:
        return wrap(function, lambda: self)


class InprogressTracker:
    """Counts a gauge up while the block runs."""

    def __init__(self, gauge: Any) -> None:
        self._gauge = gauge

    def __enter__(self) -> None:
        self._gauge.inc()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gauge.dec()

    def __call__(self, function: F) -> F:
        return wrap(function, lambda: self)


class Timer:
    """Gives a metric the seconds that the block took; `duration` has them afterwards."""

    def __init__(self, metric: Any, method: str) -> None:
        """`method`: the metric's, which takes them."""
        self._metric, self._method = metric, method
        self.duration: float | None = None

    def __enter__(self) -> "Timer":
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.duration = max(time.perf_counter() - self._start, 0)
        getattr(self._metric, self._method)(self.duration)

    def labels(self, *values: object, **named: object) -> None:
        """Give them to the child of these label values."""
        self._metric = self._metric.labels(*values, **named)

    def __call__(self, function: F) -> F:
        return wrap(function, lambda: Timer(self._metric, self._method))  # one a call: threads, and calls within calls


def wrap(function: F, manager: Callable[[], AbstractContextManager[Any]]) -> F:
    """The function, each call within a context manager of its own; with its name, documentation and signature."""
    import inspect  # not at the top: an app imports instruments in little time

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapped(*args: Any, **named: Any) -> Any:
            with manager():
                return await function(*args, **named)

    else:

        @functools.wraps(function)
        def wrapped(*args: Any, **named: Any) -> Any:
            with manager():
                return function(*args, **named)

    with suppress(TypeError, ValueError):  # some of those written in C have none
        wrapped.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]
