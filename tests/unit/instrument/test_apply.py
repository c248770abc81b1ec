"""Counting put around an app of either interface."""

import functools
from typing import Any

import pytest

from hvd.instrument.apply import count_app, is_asgi, takes
from hvd.instrument.counting import counting
from hvd.instrument.wsgi import counted


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    pass


def passes_on(scope: Any, receive: Any, send: Any) -> Any:
    return asgi(scope, receive, send)


class Framework:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        pass


def test_a_counted_app_stays_as_it_is() -> None:
    """So a worker may count what its app has counted itself."""
    app = counted(wsgi, counting)
    assert count_app(app) is app
    assert type(count_app(wsgi)) is type(app)


@pytest.mark.parametrize(
    ("app", "awaited"),
    [
        (wsgi, False),
        (functools.partial(wsgi), False),
        (Framework, False),  # an app of two calls, or a factory
        (asgi, True),
        (functools.partial(functools.partial(asgi)), True),
        (Framework(), True),
        (Framework().__call__, True),
        (passes_on, True),
        (functools.partial(lambda router, *call: passes_on(*call), None), False),  # nobody can know
        (functools.partial(lambda router, scope, receive, send: passes_on(scope, receive, send), None), True),
    ],
)
def test_an_asgi_app_is_one_that_is_awaited(app: Any, awaited: bool) -> None:
    """A function, a method, or an object of a framework."""
    assert is_asgi(app) is awaited


def test_what_takes_so_many_arguments() -> None:
    """Of what is written in C nobody may know: then it does if it can be called at all."""
    assert takes(lambda environ, start_response: [], 2)
    assert takes(iter, 2)
    assert not takes(lambda scope: None, 2)
    assert not takes("app", 2)
