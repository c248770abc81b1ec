"""Counting every request, under gunicorn. On the path of each of them: kept short on purpose.

A request is in flight from the call of the app on. Its response is counted before any byte leaves: when the app returns
a list, since Falcon has called start_response by then and never uses its `write`; when a stream gives its first piece,
since one that fails before that is answered by gunicorn, with another status. Its duration counts in gunicorn's
post_request hook, which runs once the response is sent or given up.

Wrapping neither start_response nor the response saves three Python calls and two objects a request. It needs
gunicorn's `start_response` to be a bound method of the response whose `status` it sets (27.0.1, http/wsgi.py): a test
holds that.
"""

from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon

from hvd.core.rows import Row
from hvd.runtime import Runtime
from hvd.web.upgrade import HandedOver

ROUTE = "hvd.route"
"""environ key under which RouteName leaves the route's template."""

UNMATCHED = "(unmatched)"
"""Route of all paths that match none: never the raw path, which has no bound."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER = "(other)"
"""Method of a request whose method is not one of RFC 9110's or PATCH: it has no bound either."""


class RouteName:
    """Falcon middleware: tells `counted` which route matched."""

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, params: object) -> None:
        req.env[ROUTE] = req.uri_template


def counted(app: WSGIApplication, runtime: Runtime) -> WSGIApplication:
    """`app`, a Falcon app, with all that it serves under gunicorn counted; see `post_request` in hvd/hooks.py too.

    A function and not an object: Python calls it faster.
    """

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        row = runtime.local.row
        method = environ["REQUEST_METHOD"]
        row.begin(method, environ["PATH_INFO"])
        try:
            body = app(environ, start_response)
        except HandedOver:
            row.pass_on(method, environ[ROUTE], "101")
            raise StopIteration from None  # which gunicorn takes for "this connection is over"
        except BaseException:
            # gunicorn answers this, or ends; see CountingWorker.handle_error.
            row.interrupted = method if method in METHODS else OTHER, environ.get(ROUTE, UNMATCHED)
            raise
        method = method if method in METHODS else OTHER
        status = start_response.__self__.status[:3]  # type: ignore[attr-defined]
        if type(body) is list:
            row.respond(method, environ.get(ROUTE, UNMATCHED), status)
            return body
        return _streamed(body, row, method, environ.get(ROUTE, UNMATCHED), status)

    return application


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
