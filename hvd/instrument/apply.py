"""Put counting around an app, whichever of the two interfaces it has."""

import functools
import inspect
from typing import Any

from hvd.instrument.counting import counting
from hvd.instrument.wsgi import counted


def count_app(app: Any) -> Any:
    """`app`, a WSGI or an ASGI app, with its requests counted in this process; one that is counted stays as it is.

    Of a WSGI app each response is complete when its body is at its end: a server that calls `post_request` puts
    `hvd.instrument.wsgi.outermost` around it.
    """
    if is_asgi(app):
        from hvd.instrument.asgi import counted_asgi  # it brings asyncio

        return counted_asgi(app)
    return counted(app, counting)


def is_asgi(app: Any) -> bool:
    """Whether `app` is to be awaited (ASGI 3): a coroutine function, an object whose `__call__` is one, or a callable
    that takes what such an app takes, and returns an awaitable.
    """
    function = app
    while isinstance(function, functools.partial):
        function = function.func
    return is_awaited(function) or (takes(app, 3) and not takes(app, 2))


def is_awaited(app: Any) -> bool:
    """Whether `app` says itself that it is a coroutine function: for uvicorn no other is of ASGI 3 (0.54.0)."""
    if isinstance(app, functools.partial) or inspect.isclass(app):
        return False
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004


def takes(app: Any, count: int) -> bool:
    """Whether `app` can be called with so many arguments, as far as that can be known."""
    try:
        signature = inspect.signature(app)
    except Exception:  # what is written in C may have none, and what stands for another object any
        return callable(app)
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
