"""The hot part of counting an ASGI app, in both forms: odd values, and what it leaves behind."""

import asyncio
import gc
import shutil
import sys
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.instrument import asgi_hot
from hvd.instrument.asgi_hot import HotExchangeInPython
from hvd.instrument.wsgi import METHODS, OTHER
from tests.unit.instrument.exchange import EXTRAS, FakeRow

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"x"}


@pytest.fixture(params=["compiled", "Python"])
def form(request: pytest.FixtureRequest) -> Any:
    if request.param == "Python":
        return HotExchangeInPython
    if asgi_hot.compiled is None:
        assert shutil.which("cc") is None, "there is a compiler, and hvd.instrument._counting could not be imported"
        pytest.skip("no compiler")
    return asgi_hot.compiled.HotExchange


def rules(row: Any, route: str = OTHER) -> tuple[Any, ...]:
    counting = SimpleNamespace(rows=SimpleNamespace(entry=lambda: row), extras=EXTRAS)
    return METHODS, OTHER, counting, {200: "200", 404: "404"}, lambda scope: route, False, None


def scope(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], **more}


ODD: list[dict[str, Any]] = [
    {"type": 7},
    {"type": "http.response.start"},
    {"type": "http.response.start", "status": []},
    {"type": "http.response.start", "status": "200", "headers": 5},
    {"type": "http.response.start", "status": 404, "headers": [(b"a",), None, ("content-type", "text/event-stream")]},
    {"type": "http.response.start", "status": 200, "headers": [[b"Content-Type", 7], (b"content-length", b"x")]},
    {"type": "http.response.body"},
    {"type": "http.response.body", "body": None, "more_body": 0},
]


@pytest.mark.parametrize("message", ODD)
def test_odd_messages_are_the_servers_to_judge(form: Any, message: dict[str, Any]) -> None:
    """Each is passed on as it is."""
    passed: list[Any] = []
    exchange = form(rules(FakeRow()), scope(headers=[None, (b"content-length",)]), None, passed.append)
    exchange.send(message)
    assert passed == [message]
    assert passed[0] is message


def test_what_counts_comes_from_the_rules(form: Any) -> None:
    """Label of the status, and the route if nobody has told it."""
    row = FakeRow()
    exchange = form(rules(row, "/found"), scope(), None, lambda message: None)
    exchange.send(START)
    other = form(rules(row, "/found"), scope(), None, lambda message: None)
    other.route = "/told"
    other.send(START | {"status": 404})
    responses = [call for call in row.calls if call[0] == "respond"]
    assert responses == [("respond", "GET", "/found", "200"), ("respond", "GET", "/told", "404")]
    assert (exchange.scope, exchange.is_counted) == (None, True)
    with pytest.raises(RuntimeError, match="is over"):
        exchange.count()


def test_errors_of_the_row_and_of_the_server_pass_through(form: Any) -> None:
    """Nothing is swallowed."""

    def fails(*_: Any) -> None:
        raise ValueError("broken")

    row: Any = FakeRow()
    exchange = form(rules(row), scope(), None, fails)
    with pytest.raises(ValueError, match="broken"):
        exchange.send(START)
    row.respond = fails
    with pytest.raises(ValueError, match="broken"):
        form(rules(row), scope(), None, None).send(START)
    row.begin = fails
    with pytest.raises(ValueError, match="broken"):
        form(rules(row), scope(), None, None)


def test_nothing_is_left_for_the_garbage_collector(form: Any) -> None:
    """Nor any reference that is not given back: a server's object has the scope, and the exchange has its `send`."""

    class Cycle:
        def __init__(self) -> None:
            self.scope = scope()

        async def send(self, message: Any) -> None:
            pass

    async def run() -> None:
        cycle = Cycle()
        gone.append(weakref.ref(cycle))
        exchange = cycle.scope["hvd.exchange"] = form(made, cycle.scope, None, cycle.send)
        await exchange.send(START)
        await exchange.send(BODY)
        del cycle.scope["hvd.exchange"]

    gone: list[Any] = []
    made = rules(FakeRow())
    gc.disable()
    try:
        asyncio.run(run())
        before = [sys.getrefcount(rule) for rule in made[2:5]]  # which nobody else has
        for _ in range(50):
            asyncio.run(run())
        assert [sys.getrefcount(rule) for rule in made[2:5]] == before
        assert [one() for one in gone] == [None] * 51
    finally:
        gc.enable()
