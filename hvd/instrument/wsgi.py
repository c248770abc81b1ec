"""Counting every request of a WSGI app. This code runs at each request, so it is short.

A request is in flight from the call of the app on. Its response counts once, before its first byte leaves, under the
last status that the app called `start_response` with: when the app returns a list, or a file in the server's own
wrapper, which goes to the server as it is; when a stream gives its first piece (a stream that fails before that is
answered by the server, with another status); or at the first call of `write`. Its
duration counts in gunicorn's post_request hook, which runs when the response is sent or given up.

An `Exchange` goes with the request: it is in the environ, and the row has it as `exchange` until the request is over. A
counted app looks in both places, as its caller may have made an environ of its own: with the same path it is
the same request, whose route the app may say; any other is part of what the request does. So apps and middleware may
call each other in any way, and the hook changes nothing for a request that has no exchange.

Under a server that counts nothing, a counted app that finds no exchange begins one that ends itself: its response is
complete when the list is returned, or when the stream ends or is closed.

_counting.c and _exchange.c do the same, compiled.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import Any, NoReturn, Protocol
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from hvd.core.rows import Row, ThreadRow
from hvd.instrument.counting import counting
from hvd.instrument.reports import EXCHANGE, METHODS, OTHER, UNMATCHED
from hvd.instrument.routes import listen, route_of
from hvd.metrics.table import error_of

compiled: Any
try:
    compiled = import_module("hvd.instrument._counting")
except ImportError:  # there was no compiler
    compiled = None


class RowHolder(Protocol):
    """The process that counts: its `local.row` is the calling thread's row."""

    @property
    def local(self) -> ThreadRow: ...


_NO_BODY: Any = object()
"""Stands for a body that is not there yet, or no more: an app may return None, which the server can't send."""

Hook = Callable[[Any, Any, Any, Any], None]


def counted(app: WSGIApplication, here: RowHolder) -> WSGIApplication:
    """`app` with all that it serves counted in the calling thread's row of `here`."""
    return app if isinstance(app, _form()) else _wrapped(app, here, False)


def outermost(app: WSGIApplication, here: RowHolder) -> WSGIApplication:
    """`app` for a server that calls it once for a request, and `post_request` after it.

    A response counts as it leaves `app`: under the status that middleware gave it, and not at all where middleware
    fails and the server answers.
    """
    counting.is_server = True
    return _wrapped(app.app if isinstance(app, _form()) else app, here, True)


def _form() -> Any:
    return compiled.Counted if compiled else Counted


def _wrapped(app: WSGIApplication, here: RowHolder, is_outermost: bool) -> WSGIApplication:
    listen()
    rules = METHODS, OTHER, UNMATCHED, counting, _broke_off, _is_part, _is_excluded, route_of
    middleware: WSGIApplication = _form()(here, app, rules, is_outermost)
    return middleware


class Counted:
    """What `counted` gives without a compiler, and `outermost`."""

    def __init__(self, here: RowHolder, app: WSGIApplication, rules: object, is_outermost: bool) -> None:
        self.app = app
        self._here, self._is_outermost = here, is_outermost

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse, /) -> Iterable[bytes]:
        if type(environ.get(EXCHANGE)) is Exchange:
            return self.app(environ, start_response)
        row = self._here.local.row
        if not self._is_outermost and _is_part(environ, row):
            return self.app(environ, start_response)
        if counting.settings.exclude is not None and _is_excluded(environ):
            return self.app(environ, start_response)
        exchange = Exchange(row, environ, start_response, not self._is_outermost)
        environ[EXCHANGE] = row.exchange = exchange
        try:
            body = self.app(environ, exchange)
            if type(body) is list or (self._is_outermost and _is_file(environ, body)):
                exchange.count(body)
                if exchange.ends_itself:
                    exchange.finish()
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
        "_headers",
        "_pieces",
        "_route",
        "_start_response",
        "_write",
        "body",
        "ends_itself",
        "environ",
        "is_counted",
        "method",
        "row",
        "status",
    )

    def __init__(self, row: Row, environ: WSGIEnvironment, start_response: StartResponse, ends_itself: bool) -> None:
        self.row, self.ends_itself = row, ends_itself
        self.environ: WSGIEnvironment | None = environ
        self.method = environ["REQUEST_METHOD"]
        self._route: str | None = None
        self.status: str | None = None
        self.is_counted = False
        self.body = _NO_BODY
        self._start_response: Any = start_response
        self._write: Any = None
        self._headers: Any = None
        self._pieces: Iterator[bytes] | None = None
        path = environ["PATH_INFO"]
        row.interrupted = None  # of a request before, which the server answered in another way
        row.begin(self.method, path)
        if (since := environ.get("HTTP_X_REQUEST_START")) is not None:
            counting.extras.queued(row, since)

    @property
    def is_left(self) -> bool:
        """The app has returned a stream, and its caller may go on with something else before that is at its end."""
        return self.ends_itself and self.body is not _NO_BODY

    @property
    def route(self) -> str:
        """The route that was reported; without a report it is looked up once."""
        if self._route is None:
            self._route = UNMATCHED if self.environ is None else route_of(self.environ) or UNMATCHED
        return self._route

    @route.setter
    def route(self, route: str) -> None:
        self._route = route

    def __call__(self, *arguments: Any, **named: Any) -> Callable[[bytes], object]:
        """The app's start_response. A status that the server refuses, by an exception, is not kept."""
        if self._start_response is None:
            raise RuntimeError("the response is over")
        self._write = self._start_response(*arguments, **named)
        status = arguments[0] if arguments else named.get("status")
        self._headers = arguments[1] if len(arguments) > 1 else named.get("headers")
        code = status[:3] if isinstance(status, str) else ""
        self.status = code if len(code) == 3 and code.isascii() and code.isdecimal() else OTHER
        return self.write

    def write(self, data: bytes, /) -> object:
        """The app's write, which sends at once. Raises RuntimeError once the exchange is over."""
        self.count()
        if self._write is None:
            raise RuntimeError("the response is over")
        return self._write(data)

    def count(self, body: object = None) -> None:
        """Count the response, once; `body` is a list of all its pieces where there is one. Raises RuntimeError where
        the app has not called `start_response`.
        """
        if self.is_counted:
            return
        if self.status is None:
            raise RuntimeError("the app has not called start_response, and its response begins")
        method = _label(self.method)
        self.row.respond((method, self.route, self.status), error_of(self.status))
        self.is_counted = True
        length = self.environ.get("CONTENT_LENGTH") if self.environ else None
        counting.extras.sized(self.row, method, self.route, length, self._headers, body)

    def pass_on(self) -> None:
        """Note that another process answers, with 101, and counts that."""
        self.row.pass_on((_label(self.method), self.route, "101"))
        self.is_counted = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.body is _NO_BODY:
            raise StopIteration
        try:
            if self._pieces is None:
                self._pieces = iter(self.body)
            pieces = list(islice(self._pieces, 1))
            self.count()
        except BaseException as error:
            _broke_off(error, self, True)
        if not pieces:
            if self.ends_itself:
                self._end()
            raise StopIteration
        piece: bytes = pieces[0]
        return piece

    def close(self) -> None:
        """Called when the server wants no more of the body."""
        body, self.body, self._pieces = self.body, _NO_BODY, None
        try:
            if hasattr(body, "close"):
                body.close()
        finally:
            if self.ends_itself:
                self.finish()

    def _end(self) -> None:
        """Finish the row's request, unless the row has the next one by now: a stream may have been left unread."""
        if self.row.exchange is self:
            self.row.exchange = None
            if self.row.interrupted is None:
                self.row.finish()

    def finish(self) -> None:
        """The response is sent, or given up. Drops its references: the environ has this exchange."""
        self._end()
        self.environ, self.body, self._pieces = None, _NO_BODY, None
        self._start_response = self._write = self._headers = None


def _label(method: str) -> str:
    return method if method in METHODS else OTHER


def _is_part(environ: WSGIEnvironment, row: Row) -> bool:
    """Whether a counted app that is called with this environ, which has no exchange, serves a part of another request.

    In a process whose server counts all that it serves, it does so in any thread.
    """
    exchange = row.exchange
    if exchange is None or exchange.is_left:
        return counting.is_server
    if _path(environ) == _path(exchange.environ):
        environ[EXCHANGE], exchange.environ = exchange, environ
    return True


def _path(environ: WSGIEnvironment) -> str:
    return f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO')}"


def _is_excluded(environ: WSGIEnvironment) -> bool:
    return counting.settings.leave_out(_path(environ))


def _is_file(environ: WSGIEnvironment, body: object) -> bool:
    """Whether `body` is the server's own wrapper of a file, which it sends in a way of its own, as sendfile(2) does."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and wrapper in type(body).__mro__


def _broke_off(error: BaseException, exchange: Exchange, streaming: bool) -> NoReturn:
    """Note in the row that the app, or its stream, raised `error`, and raise what the server is to see.

    gunicorn takes an OSError for the end of the client's connection, and answers nothing. An OSError of a stream may
    be that of another connection, so it becomes a RuntimeError, which gunicorn answers with 500 where nothing was sent
    yet. CountingWorker.handle_error counts that answer under what `interrupted` says. An exchange that ends itself gets
    no answer, so its request is aborted.
    """
    method, route = _label(exchange.method), exchange.route
    counting.extras.raised(exchange.row, error, route, method)
    if not exchange.is_counted:
        if streaming and isinstance(error, OSError):
            failure = RuntimeError("the stream failed before its first byte")
            failure.__cause__, error = error, failure
        if not isinstance(error, OSError):
            exchange.row.interrupted = method, route
    if exchange.ends_itself:
        exchange.finish()
        if exchange.row.interrupted:
            exchange.row.abandon("exception")
    raise error


def post_request_in_python(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    """What `post_request` is without a compiler."""
    exchange = environ.get(EXCHANGE) if isinstance(environ, dict) else None
    if type(exchange) is Exchange:
        exchange.finish()


post_request: Hook = compiled.post_request if compiled else post_request_in_python
"""gunicorn's post_request hook, for the thread that served: the response is sent, or given up.

Without an Exchange in the environ nothing was begun: gunicorn failed before it called the app (27.0.1,
`handle_request`).
"""
