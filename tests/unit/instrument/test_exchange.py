"""Whoever calls a counted app, and however it answers: counted once, before the first byte, with the status sent."""

import functools
import gc
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from wsgiref.validate import validator

import pytest

from hvd.instrument.wsgi import EXCHANGE, OTHER, counted, outermost
from hvd.web.here import Here
from tests.unit.instrument.exchange import FakeRow, Server, answering, fresh, loaded, routed, served

pytestmark = pytest.mark.usefixtures("form")

TEXT = [("Content-Type", "text/plain")]


def responses(row: FakeRow) -> list[tuple[str, ...]]:
    return [call[1:] for call in row.calls if call[0] == "respond"]


def closure(app: Any) -> Any:
    def middleware(environ: Any, start_response: Any) -> Any:
        def mine(status: str, headers: Any, exc_info: Any = None) -> Any:
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return app(environ, mine)

    return middleware


def partial(app: Any) -> Any:
    return lambda environ, start_response: app(environ, functools.partial(start_response))


def method_of_another(app: Any) -> Any:
    """As New Relic's agent: a bound method, of an object whose `status` is none of the response."""

    class Transaction:
        status = None

        def __init__(self, start_response: Any) -> None:
            self._start_response = start_response

        def start_response(self, status: str, headers: Any, *exc_info: Any) -> Any:
            return self._start_response(status, headers, *exc_info)

    return lambda environ, start_response: app(environ, Transaction(start_response).start_response)


def copying(app: Any) -> Any:
    """With an environ of its own."""
    return lambda environ, start_response: app({**environ}, start_response)


def in_a_generator(app: Any) -> Any:
    def middleware(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield from app(environ, start_response)

    return middleware


MIDDLEWARE = [closure, partial, method_of_another, copying, in_a_generator, validator]


@pytest.mark.parametrize("outside", [True, False], ids=["outside", "inside"])
@pytest.mark.parametrize("middleware", MIDDLEWARE, ids=lambda each: each.__name__)
def test_any_middleware_may_be_around_or_within(
    middleware: Callable[[Any], Any], outside: bool, row: FakeRow, here: Here
) -> None:
    """Counted with its route and status, once; outside, as the worker has it, where it leaves the outermost app."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", TEXT)
        return [b"none"]

    named = routed(app, "/a")
    if outside:
        server = served(outermost(middleware(counted(named, here)), here))
    else:
        server = served(loaded(middleware(named), here))
    assert server.sent == [b"none"]
    assert row.calls == [("begin", "GET", "/"), ("respond", "GET", "/a", "404"), ("finish",)]


@pytest.mark.parametrize("middleware", [closure, partial, method_of_another, validator], ids=lambda each: each.__name__)
def test_another_server_may_call_with_any_start_response(
    middleware: Callable[[Any], Any], row: FakeRow, here: Here
) -> None:
    """The counted app itself gets what the middleware makes of it."""
    served(middleware(counted(routed(answering_text, "/a"), here)))
    assert responses(row) == [("GET", "/a", "200")]


def answering_text(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", TEXT)
    return [b"text"]


def test_a_counted_app_is_counted_once(row: FakeRow, here: Here) -> None:
    """As often as it is wrapped, also when a middleware calls it twice for a request, or it calls itself."""
    app = counted(answering([b""]), here)
    assert counted(app, here) is app

    def twice(environ: Any, start_response: Any) -> Any:
        list(app(environ, lambda status, headers: None))
        list(app(fresh(environ), lambda status, headers: None))
        return app(environ, start_response)

    for outer in (outermost(twice, here), loaded(twice, here), loaded(app, here)):
        served(outer)
        assert row.calls == [("begin", "GET", "/"), ("respond", "GET", OTHER, "200"), ("finish",)]
        row.calls.clear()


def test_what_a_middleware_makes_of_a_response_counts(row: FakeRow, here: Here) -> None:
    """Its status is what the client sees."""
    inner = counted(answering([b""], "200 OK"), here)

    def to_503(environ: Any, start_response: Any) -> Any:
        return inner(environ, lambda status, headers: start_response("503 Later", headers))

    served(outermost(to_503, here))
    assert responses(row) == [("GET", OTHER, "503")]


@pytest.mark.parametrize("body_of", [list, iter], ids=["list", "stream"])
def test_what_a_middleware_answers_itself_counts_as_well(body_of: Any, row: FakeRow, here: Here) -> None:
    """An app beside the counted one, too: what a worker serves counts, whoever answers it; and so does a failure."""
    assert served(outermost(answering(body_of([b"x"])), here)).sent == [b"x"]
    assert row.calls == [("begin", "GET", "/"), ("respond", "GET", OTHER, "200"), ("finish",)]
    with pytest.raises(ZeroDivisionError):
        served(outermost(lambda environ, start_response: 1 / 0, here))
    assert row.calls[3:] == [("begin", "GET", "/")]
    assert row.interrupted == ("GET", OTHER)


def test_a_middleware_that_fails_after_the_app_counts_the_servers_answer(row: FakeRow, here: Here) -> None:
    """No 200: nobody saw one."""
    inner = counted(routed(answering([b"fine"]), "/a"), here)

    def app(environ: Any, start_response: Any) -> Any:
        inner(environ, start_response)
        raise ValueError("too late for the app")

    with pytest.raises(ValueError, match="too late"):
        served(outermost(app, here))
    assert responses(row) == []
    assert row.interrupted == ("GET", "/a")


def test_a_late_start_response_is_found(row: FakeRow, here: Here) -> None:
    """In the stream, before its first piece (PEP 3333)."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("202 Accepted", [])
        assert responses(row) == []
        yield b"one"
        assert responses(row) == [("GET", OTHER, "202")]

    assert served(loaded(app, here)).sent == [b"one"]
    assert len(responses(row)) == 1


@pytest.mark.parametrize("body", [[b"x"], [], iter([b"x"]), ()])
def test_without_a_status_there_is_no_response(body: Any, row: FakeRow, here: Here) -> None:
    """The server answers 500, and that counts."""
    with pytest.raises(RuntimeError, match="start_response"):
        served(loaded(lambda environ, start_response: body, here))
    assert responses(row) == []
    assert row.interrupted == ("GET", OTHER)


def test_the_last_status_before_the_first_byte_counts(row: FakeRow, here: Here) -> None:
    """exc_info replaces one that was not sent yet, in any of the forms of such a call."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise KeyError
        except KeyError:
            start_response("500 Oh", [], sys.exc_info())
            start_response("502 Oh", [], exc_info=sys.exc_info())
        start_response(status="503 Oh", headers=[])
        return [b""]

    assert served(loaded(app, here)).statuses == ["200 OK", "500 Oh", "502 Oh", "503 Oh"]
    assert responses(row) == [("GET", OTHER, "503")]


def test_after_the_first_byte_the_status_stays(row: FakeRow, here: Here) -> None:
    """The server raises what exc_info has; the response that was begun counts, and is over."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        try:
            raise KeyError("in the middle")
        except KeyError:
            start_response("500 Oh", [], sys.exc_info())
        yield b"two"

    with pytest.raises(KeyError, match="in the middle"):
        served(loaded(app, here))
    assert row.calls == [("begin", "GET", "/"), ("respond", "GET", OTHER, "200"), ("finish",)]


def test_write_counts_before_it_sends(row: FakeRow, here: Here) -> None:
    """Once, whatever else comes; a response that was sent in part is one when the app fails."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("201 Created", [])
        assert row.calls[-1][0] == "begin"
        write(b"one")
        assert row.calls[-1] == ("respond", environ["REQUEST_METHOD"], OTHER, "201")
        write(b"two")
        if environ["REQUEST_METHOD"] == "POST":
            raise ValueError("after it")
        return [b"three"]

    assert served(loaded(app, here)).sent == [b"one", b"two", b"three"]
    with pytest.raises(ValueError, match="after it"):
        served(loaded(app, here), "POST")
    assert [call[0] for call in row.calls] == ["begin", "respond", "finish"] * 2
    assert row.interrupted is None


def test_a_body_that_is_not_read_is_closed_and_no_response(row: FakeRow, here: Here) -> None:
    """The row finds at the end that nothing was counted."""
    closed = []

    def stream() -> Iterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append(True)

    server = Server()
    body: Any = server.call(loaded(answering(stream()), here))
    body.close()
    assert list(body) == []
    server.end()
    assert row.calls == [("begin", "GET", "/"), ("finish",)]

    server = Server()
    body = server.call(loaded(answering(stream()), here))
    assert next(iter(body)) == b"one"
    body.close()
    server.end()
    assert row.calls[2:] == [("begin", "GET", "/"), ("respond", "GET", OTHER, "200"), ("finish",)]
    assert closed == [True]


def test_an_app_whose_client_is_gone_leaves_no_request_behind(row: FakeRow, here: Here) -> None:
    """gunicorn answers no OSError: the hook ends the request, which had no response."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        served(loaded(app, here))
    assert row.calls == [("begin", "GET", "/"), ("finish",)]
    assert row.interrupted is None


def test_a_failure_before_is_none_of_the_next_request(row: FakeRow, here: Here) -> None:
    """A server may answer one without asking what it was: HTTP/2's part of gunicorn does."""

    def gone(environ: Any, start_response: Any) -> list[bytes]:
        raise BrokenPipeError

    row.interrupted = "GET", "/old"
    served(loaded(answering([b""]), here))
    assert row.calls[-1] == ("finish",)
    row.interrupted = "GET", "/old"
    with pytest.raises(BrokenPipeError):
        served(outermost(gone, here))
    assert row.interrupted is None


ODD = [b"200 OK", None, 200, "", "2", "OK", "²00 x", "20", ["200"], "ab\ud800"]


@pytest.mark.parametrize("status", ODD, ids=repr)
def test_a_status_that_is_none_is_one_label(status: Any, row: FakeRow, here: Here) -> None:
    """gunicorn refuses it; another server may not."""
    served(loaded(answering([b""], status), here))
    assert responses(row) == [("GET", OTHER, OTHER)]


def test_a_status_that_the_server_refuses_is_not_counted(row: FakeRow, here: Here) -> None:
    """The app may try again with another one."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with pytest.raises(TypeError):
            start_response()
        with pytest.raises(ZeroDivisionError):
            start_response("500 Bad", [], (None, ZeroDivisionError(), None))
        start_response("204 Fine", [])
        return []

    server = Server()
    server.sent.append(b"as if sent")
    server.call(loaded(app, here))
    assert responses(row) == [("GET", OTHER, "204")]


def test_an_exchange_that_is_over_sends_nothing(row: FakeRow, here: Here) -> None:
    """And holds on to nothing that the request was made of, though the environ is part of its body."""
    kept: list[Any] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        kept.append((start_response, start_response("200 OK", [])))
        environ["body"] = SimpleNamespace()
        yield b""

    served(loaded(app, here))
    start_response, write = kept.pop()
    calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [(start_response, ("200 OK", [])), (write, (b"x",))]
    for late, arguments in calls:
        with pytest.raises(RuntimeError):
            late(*arguments)
    assert len(responses(row)) == 1
    gc.collect()
    environs = (each for each in gc.get_objects() if type(each) is dict and EXCHANGE in each)
    assert not [each for each in environs if isinstance(each.get("body"), SimpleNamespace)]
