"""Counting every request, under gunicorn. On the path of each of them: kept short on purpose.

A request is in flight from the call of the app on. Its response is counted before any byte leaves: when the app returns
a list, since Falcon has called start_response by then and never uses its `write`; when a stream gives its first piece,
since one that fails before that is answered by gunicorn, with another status. Its duration counts in gunicorn's
post_request hook, which runs once the response is sent or given up.

Wrapping neither start_response nor the response saves three Python calls and two objects a request. It needs
gunicorn's `start_response` to be a bound method of the response whose `status` it sets (27.0.1, http/wsgi.py): a test
holds that. What is compiled of it, in _counting.c, is the same as here.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, NoReturn
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon

from hvd.core.rows import Row
from hvd.runtime import Runtime
from hvd.web.upgrade import HandedOver

compiled: Any
try:
    compiled = import_module("hvd.web._counting")
except ImportError:  # there was no compiler
    compiled = None

ROUTE = "hvd.route"
"""environ key under which RouteName leaves the route's template."""

UNMATCHED = "(unmatched)"
"""Route of all paths that match none: never the raw path, which has no bound."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER = "(other)"
"""Method of a request whose method is not one of RFC 9110's or PATCH: it has no bound either."""


Hook = Callable[[Any, Any, Any, Any], None]


class RouteName:
    """Falcon middleware: leaves the template of the route that matched where `counted` finds it."""

    def __init__(self) -> None:
        if compiled:
            self.process_resource = compiled.name_route  # type: ignore[method-assign]

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, params: object) -> None:
        req.env[ROUTE] = req.uri_template


def counted(app: WSGIApplication, runtime: Runtime) -> WSGIApplication:
    """`app`, a Falcon app, with all that it serves under gunicorn counted; see `finishing` too."""
    if compiled:
        made: WSGIApplication = compiled.Counted(runtime, app, METHODS, OTHER, UNMATCHED, _broke_off, _streamed)
        return made
    return counted_in_python(app, runtime)


def counted_in_python(app: WSGIApplication, runtime: Runtime) -> WSGIApplication:
    """What `counted` gives without a compiler: a function, which Python calls faster than an object."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        row = runtime.local.row
        method = environ["REQUEST_METHOD"]
        row.begin(method, environ["PATH_INFO"])
        try:
            body = app(environ, start_response)
        except BaseException as error:
            _broke_off(error, row, method, environ)
            raise
        method = method if method in METHODS else OTHER
        status = start_response.__self__.status[:3]  # type: ignore[attr-defined]
        if type(body) is list:
            row.respond(method, environ.get(ROUTE, UNMATCHED), status)
            return body
        return _streamed(body, row, method, environ.get(ROUTE, UNMATCHED), status)

    return application


def _broke_off(error: BaseException, row: Row, method: str, environ: WSGIEnvironment) -> NoReturn:
    """The app raised: what that means for the row, and then what gunicorn is to see."""
    if isinstance(error, HandedOver):
        row.pass_on(method, environ[ROUTE], "101")
        raise StopIteration from None  # which gunicorn takes for "this connection is over"
    # gunicorn answers this, or ends; see CountingWorker.handle_error.
    row.interrupted = method if method in METHODS else OTHER, environ.get(ROUTE, UNMATCHED)
    raise error


def finishing(runtime: Runtime) -> Hook:
    """gunicorn's post_request hook, for the thread that served: the response is sent, or given up.

    Without an environ gunicorn failed before it called the app, and nothing was begun (27.0.1, `handle_request`).
    """
    if compiled:
        made: Hook = compiled.finishing(runtime)
        return made
    return finishing_in_python(runtime)


def finishing_in_python(runtime: Runtime) -> Hook:
    """What `finishing` gives without a compiler."""

    def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
        row = runtime.local.row
        if environ and row.interrupted is None:
            row.finish()

    return post_request


def _streamed(body: Iterable[bytes], row: Row, method: str, route: str, status: str) -> Iterator[bytes]:
    """The body, counted as a response once its first piece is there, or its end."""
    try:
        pieces = iter(body)
        try:
            first = next(pieces, b"")
        except BaseException as error:
            row.interrupted = method, route
            if isinstance(error, OSError):  # which gunicorn would take for a lost client, and answer nothing
                raise RuntimeError("the stream failed before its first byte") from error
            raise
        row.respond(method, route, status)
        yield first
        yield from pieces
    finally:
        if hasattr(body, "close"):
            body.close()
