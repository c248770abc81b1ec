"""Counting every request. On the path of each of them: kept short on purpose.

A request is in flight from the call of the app on. Its response is counted once, before any byte of it leaves, with the
status that `start_response` was given last: when the app returns a list; when a stream gives its first piece, since one
that fails before that is answered by the server, with another status; or at the first call of `write`. Its duration
counts in gunicorn's post_request hook, which runs once the response is sent or given up.

An `Exchange` goes with the request, in its environ. So it is all the same who calls the app, with what
`start_response`, and what is around it or in it; and the hook changes nothing for a request that has none. What is
compiled, in _counting.c and _exchange.c, is the same as here.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import Any, NoReturn
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon

from hvd.core.rows import Row
from hvd.runtime import Runtime

compiled: Any
try:
    compiled = import_module("hvd.web._counting")
except ImportError:  # there was no compiler
    compiled = None

EXCHANGE = "hvd.exchange"
"""environ key of the request's Exchange."""

UNMATCHED = "(unmatched)"
"""Route of all paths that match none: never the raw path, which has no bound."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER = "(other)"
"""Method of a request whose method is not one of RFC 9110's or PATCH, and status of a response whose status does not
begin with three digits: they have no bound either."""

NOT_COUNTED = ("", "")
"""A row's `interrupted` where an exception left an app that is not counted, which the server answers uncounted too."""

Hook = Callable[[Any, Any, Any, Any], None]


class RouteName:
    """Falcon middleware: tells the request's Exchange the template of the route that matched."""

    def __init__(self) -> None:
        if compiled:
            self.process_resource = compiled.name_route  # type: ignore[method-assign]

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, params: object) -> None:
        exchange = req.env.get(EXCHANGE)
        if exchange is not None:
            exchange.route = req.uri_template


def counted(app: WSGIApplication, runtime: Runtime) -> WSGIApplication:
    """`app` with all that it serves counted in the calling thread's row of `runtime`; see `post_request` too."""
    return _made(app, runtime, False)


def outermost(app: WSGIApplication, runtime: Runtime) -> WSGIApplication:
    """`app`, within which there may be a counted one: what passes that is counted as it leaves this one.

    So it counts with the status that middleware makes of it, and not at all if that fails and the server answers.
    Of what is made here, and by `counted`, the attribute `is_counting` says whether requests are counted: of this one
    it is known once there was such a request.
    """
    return _made(app, runtime, True)


def _made(app: WSGIApplication, runtime: Runtime, is_outermost: bool) -> WSGIApplication:
    form = compiled.Counted if compiled else Counted
    if isinstance(app, form):
        return app
    made: WSGIApplication = form(runtime, app, METHODS, OTHER, UNMATCHED, _broke_off, is_outermost)
    return made


class Counted:
    """What `counted` gives without a compiler, and `outermost`."""

    def __init__(self, runtime: Runtime, app: WSGIApplication, *labels: object) -> None:
        self._app = app
        self._runtime = runtime
        self._is_outermost = bool(labels[-1])
        self.is_counting = not self._is_outermost

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        exchange = environ.get(EXCHANGE)
        if exchange is not None:
            exchange.begin(environ["PATH_INFO"])
            return self._app(environ, start_response)
        exchange = Exchange(self, self._runtime.local.row, environ["REQUEST_METHOD"], start_response)
        if not self._is_outermost:
            exchange.begin(environ["PATH_INFO"])
        environ[EXCHANGE] = exchange
        try:
            body = self._app(environ, exchange)
            if type(body) is list:
                exchange.count()
                return body
        except BaseException as error:
            _broke_off(error, exchange, False)
        exchange.body = body
        return exchange


class Exchange:
    """A request and its response, as they are counted. In the thread that serves them.

    It is what the app gets as `start_response`, and, where the app returns no list, the body that the server gets.
    """

    __slots__ = (
        "_app",
        "_pieces",
        "_start_response",
        "_write",
        "body",
        "has_begun",
        "is_counted",
        "is_over",
        "method",
        "route",
        "row",
        "status",
    )

    def __init__(self, app: Counted, row: Row, method: str, start_response: StartResponse) -> None:
        self._app = app
        self.row, self.method, self.route = row, method, UNMATCHED
        self.status: str | None = None
        self.has_begun = self.is_counted = self.is_over = False
        self.body: Any = None
        self._start_response: Any = start_response
        self._write: Any = None
        self._pieces: Iterator[bytes] | None = None

    def begin(self, path: str) -> None:
        """The request has come to a counted app; what comes to none is not counted."""
        if not self.has_begun:
            self.row.interrupted = None  # of a request before, which the server answered in another way
            self.row.begin(self.method, path)
            self.has_begun = self._app.is_counting = True

    def __call__(self, status: str, headers: Any, *exc_info: Any, **named: Any) -> Callable[[bytes], object]:
        """The app's start_response. A status that the server refuses, with an exception, is none."""
        self._write = self._start_response(status, headers, *exc_info, **named)
        code = status[:3] if isinstance(status, str) else ""
        self.status = code if len(code) == 3 and code.isascii() and code.isdecimal() else OTHER
        return self.write

    def write(self, data: bytes) -> object:
        """The app's write, which sends at once."""
        self.count()
        return self._write(data)

    def count(self) -> None:
        """The first byte is about to leave, or has. RuntimeError without a status."""
        if self.is_counted or not self.has_begun:
            return
        if self.status is None:
            raise RuntimeError("the app has not called start_response, and its response begins")
        self.row.respond(self.method if self.method in METHODS else OTHER, self.route, self.status)
        self.is_counted = True

    def pass_on(self) -> None:
        """Another process answers, with 101, and counts that."""
        if self.has_begun:
            self.row.pass_on(self.method if self.method in METHODS else OTHER, self.route, "101")
            self.is_counted = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.body is None:
            raise StopIteration
        try:
            if self._pieces is None:
                self._pieces = iter(self.body)
            pieces = list(islice(self._pieces, 1))
            self.count()
        except BaseException as error:
            _broke_off(error, self, True)
        if not pieces:
            raise StopIteration
        piece: bytes = pieces[0]
        return piece

    def close(self) -> None:
        """The server wants no more of the body."""
        body, self.body, self._pieces = self.body, None, None
        if hasattr(body, "close"):
            body.close()

    def finish(self) -> None:
        """The response is sent, or given up. What the exchange was made of is let go: the environ may be part of it."""
        if self.has_begun and not self.is_over and self.row.interrupted is None:
            self.row.finish()
        self.is_over = True
        self.body = self._pieces = self._start_response = self._write = None


def _broke_off(error: BaseException, exchange: Exchange, streaming: bool) -> NoReturn:
    """The app, or its stream, raised: what that means for the row, and then what gunicorn is to see.

    gunicorn takes an OSError for the client's end, and answers nothing; from a stream it is the backend's, say.
    Anything else it answers, if nothing was sent, or it ends: see CountingWorker.handle_error.
    """
    if not exchange.has_begun:
        exchange.row.interrupted = None if isinstance(error, OSError) else NOT_COUNTED
    elif not exchange.is_counted:
        if streaming and isinstance(error, OSError):
            failure = RuntimeError("the stream failed before its first byte")
            failure.__cause__, error = error, failure
        if not isinstance(error, OSError):
            method = exchange.method if exchange.method in METHODS else OTHER
            exchange.row.interrupted = method, exchange.route
    raise error


def post_request_in_python(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    """What `post_request` is without a compiler."""
    exchange = environ.get(EXCHANGE)
    if exchange is not None:
        exchange.finish()


post_request: Hook = compiled.post_request if compiled else post_request_in_python
"""gunicorn's post_request hook, for the thread that served: the response is sent, or given up.

Without an Exchange in the environ nothing was begun: gunicorn failed before it called the app (27.0.1,
`handle_request`), or the app is not counted.
"""
