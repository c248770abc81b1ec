"""Each shape of app, called by each kind of middleware: one response, counted before its first byte, then finished."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from wsgiref.validate import validator

import pytest
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

from hvd.instrument.wsgi import counted, outermost
from hvd.web.here import Here
from tests.unit.instrument.exchange import FakeRow, Server, routed
from tests.unit.instrument.test_exchange import closure, copying, in_a_generator, method_of_another, partial

pytestmark = pytest.mark.usefixtures("form")

HEADERS = [("Content-Type", "text/plain")]


def a_list(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", HEADERS)
    return [b"one", b"two"]


def a_tuple(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", HEADERS)
    return b"one", b"two"


def nothing(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", HEADERS)
    return []


def an_empty_stream(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", HEADERS)
    return iter(())


def a_generator(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", HEADERS)
    yield b"one"
    yield b"two"


def with_exc_info(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Twice; the second one counts."""
    start_response("404 Not Found", HEADERS)
    try:
        raise KeyError
    except KeyError:
        start_response("200 OK", HEADERS, sys.exc_info())
    yield b"onetwo"


def by_write(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", HEADERS)(b"one")
    return [b"two"]


def a_file(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", HEADERS)
    return environ["wsgi.file_wrapper"](BytesIO(b"onetwo"))


SHAPES: list[Callable[[Any, Any], Any]] = [
    *(a_list, a_tuple, nothing, an_empty_stream, a_generator, with_exc_info, by_write, a_file)
]


def none(app: Any) -> Any:
    return app


def sentry(app: Any) -> Any:
    return SentryWsgiMiddleware(app)


def otel(app: Any) -> Any:
    return OpenTelemetryMiddleware(app)


CALLERS = [none, closure, partial, method_of_another, copying, in_a_generator, validator, sentry, otel]


PLACES = ["outside", "both", "another server"]


def placed(shape: Any, caller: Any, place: str, here: Here) -> Any:
    """hvd outside of the middleware, or in it, or both; under another server, which counts nothing, in it."""
    app = routed(shape, "/a")
    if place != "outside":
        app = counted(app, here)
    app = caller(app)
    return app if place == "another server" else outermost(app, here)


class Sent(list[bytes]):
    """What a client gets; by then the response counts."""

    def __init__(self, row: FakeRow) -> None:
        self._row = row

    def append(self, piece: bytes) -> None:
        assert [call for call in self._row.calls if call[0] == "respond"]
        super().append(piece)


def serve(app: Any, row: FakeRow) -> bytes:
    """As gunicorn does, with a file sent as it is."""
    server = Server()
    server.sent = sent = Sent(row)
    with contextlib.ExitStack() as stack:
        stack.callback(server.end)
        body: Any = server.call(app)
        if hasattr(body, "close"):
            stack.callback(body.close)
        if isinstance(body, server.environ["wsgi.file_wrapper"]):
            sent.append(body.filelike.getvalue())
        else:
            for piece in body:
                sent.append(piece)
    return b"".join(sent)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.__name__)
def test_every_shape_counts_once_whoever_calls(
    shape: Any, caller: Callable[[Any], Any], place: str, row: FakeRow, here: Here
) -> None:
    """As the client sees it."""
    assert serve(placed(shape, caller, place, here), row) == (b"" if shape in (nothing, an_empty_stream) else b"onetwo")
    assert row.calls == [("begin", "GET", "/"), ("respond", "GET", "/a", "200"), ("finish",)]
    assert row.exchange is row.interrupted is None


def raises_before(environ: Any, start_response: Any) -> Any:
    raise ZeroDivisionError


def raises_after_start_response(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", HEADERS)
    raise ZeroDivisionError


def raises_in_the_stream(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", HEADERS)
    raise ZeroDivisionError
    yield b""


def raises_in_the_middle(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", HEADERS)
    yield b"one"
    raise ZeroDivisionError


FAILING: list[Callable[[Any, Any], Any]] = [
    *(raises_before, raises_after_start_response, raises_in_the_stream, raises_in_the_middle)
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("shape", FAILING, ids=lambda each: each.__name__)
def test_every_failure_counts_once_whoever_calls(
    shape: Any, caller: Callable[[Any], Any], place: str, row: FakeRow, here: Here
) -> None:
    """Under the status that was sent, or whoever answers finds under which labels; another server answers uncounted."""
    with pytest.raises(ZeroDivisionError):
        serve(placed(shape, caller, place, here), row)
    begin = "begin", "GET", "/"
    if shape is raises_in_the_middle:
        assert row.calls == [begin, ("respond", "GET", "/a", "200"), ("finish",)]
        assert row.interrupted is None
    elif place == "another server":
        assert row.calls == [begin, ("abandon", "exception")]
    else:
        assert (row.calls, row.interrupted) == ([begin], ("GET", "/a"))
    assert row.exchange is None


def test_a_file_goes_to_the_server_as_it_is(row: FakeRow, here: Here) -> None:
    """So it may be sent by sendfile(2); and closed by the server."""
    server = Server()
    body: Any = server.call(outermost(routed(a_file, "/a"), here))
    assert type(body) is server.environ["wsgi.file_wrapper"]
    assert row.calls[-1] == ("respond", "GET", "/a", "200")
    server.environ["wsgi.file_wrapper"] = "no class"
    assert next(iter(outermost(a_generator, here)(server.environ, server.start_response))) == b"one"
