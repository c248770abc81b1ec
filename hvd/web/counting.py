"""The WSGI middleware that counts every request. On the path of each of them: kept short on purpose."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
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
    """Falcon middleware: tells Counting which route matched."""

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, params: object) -> None:
        req.env[ROUTE] = req.uri_template


class Counting:
    """Counts what `app` serves. The app calls start_response before it returns, as Falcon's do.

    A request is in flight from the call on; its response is counted when start_response is called, before any byte
    leaves; its duration when the server closes the response, which servers do once it is sent (PEP 3333).
    """

    def __init__(self, app: WSGIApplication, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        row = self._runtime.worker.rows.mine()
        method = environ["REQUEST_METHOD"]
        row.begin(method, environ["PATH_INFO"])
        response = Response(row, method, environ, start_response)
        try:
            response.body = self._app(environ, response.start)
        except HandedOver:
            row.pass_on(method, environ[ROUTE], "101")
            row.finish()
            raise StopIteration from None  # which gunicorn takes for "this connection is over"
        except BaseException:
            # The server answers this, or ends; see CountingWorker.handle_error.
            row.interrupted = (method, environ.get(ROUTE, UNMATCHED))
            raise
        return response


class Response:
    """One response: counts itself when it starts and when it is closed."""

    __slots__ = ("_environ", "_method", "_row", "_start_response", "body")

    def __init__(self, row: Row, method: str, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        self._row = row
        self._method = method
        self._environ = environ
        self._start_response = start_response
        self.body: Iterable[bytes] = ()

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """WSGI's start_response."""
        method = self._method if self._method in METHODS else OTHER
        self._row.respond(method, self._environ.get(ROUTE, UNMATCHED), status[:3])
        return self._start_response(status, headers, exc_info)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.body)

    def close(self) -> None:
        """The server has sent the response, or given up on it."""
        try:
            if hasattr(self.body, "close"):
                self.body.close()
        finally:
            self._row.finish()
