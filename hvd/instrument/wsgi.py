"""Counting every request of a WSGI app. This code runs at each request, so it is short.

A request is in flight from the call of the app on. Its response counts once, before its first byte leaves, under the
last status that the app called `start_response` with: when the app returns a list; when a stream gives its first piece
(a stream that fails before that is answered by the server, with another status); or at the first call of `write`. Its
duration counts in gunicorn's post_request hook, which runs when the response is sent or given up.

An `Exchange` goes with the request: it is in the environ, and the row has it as `exchange` until the request is over. A
counted app looks in both places, as its caller may have made an environ of its own. So apps and middleware may call
each other in any way, and the hook changes nothing for a request that has no exchange.

A counted app that finds no exchange, as in a thread that the app has started, begins one that ends itself: its response
is complete when the list is returned, or when the stream ends or is closed.

_counting.c and _exchange.c do the same, compiled.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import Any, NoReturn, Protocol
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from hvd.core.rows import Row, ThreadRow
from hvd.metrics.table import is_error

compiled: Any
try:
    compiled = import_module("hvd.instrument._counting")
except ImportError:  # there was no compiler
    compiled = None


class RowHolder(Protocol):
    """The process that counts: its `local.row` is the calling thread's row."""

    @property
    def local(self) -> ThreadRow: ...


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

_NO_BODY: Any = object()
"""Stands for a body that is not there yet, or no more: an app may return None, which the server can't send."""

Hook = Callable[[Any, Any, Any, Any], None]


def counted(app: WSGIApplication, here: RowHolder) -> WSGIApplication:
    """`app` with all that it serves counted in the calling thread's row of `here`."""
    return app if isinstance(app, _form()) else _made(app, here, False, True)


def outermost(app: WSGIApplication, here: RowHolder) -> WSGIApplication:
    """`app` for a server that calls it once for a request, and `post_request` after it.

    `app` is a counted app, or a middleware around one. A response that comes from a counted app counts as it leaves
    `app`: under the status that middleware gave it, and not at all where middleware fails and the server answers.
    The attribute `is_counting` of what is made here, and by `counted`, is true where requests are counted. Here it
    becomes true with the first request that comes to a counted app.
    """
    if isinstance(app, _form()):
        return _made(app.app, here, True, True)
    return _made(app, here, True, False)


def _form() -> Any:
    return compiled.Counted if compiled else Counted


def _made(app: WSGIApplication, here: RowHolder, is_outermost: bool, begins: bool) -> WSGIApplication:
    made: WSGIApplication = _form()(here, app, METHODS, OTHER, UNMATCHED, _broke_off, is_outermost, begins)
    return made


class Counted:
    """What `counted` gives without a compiler, and `outermost`."""

    def __init__(self, here: RowHolder, app: WSGIApplication, *others: object) -> None:
        self.app = app
        self._here = here
        self._is_outermost, self._begins = map(bool, others[-2:])
        self.is_counting = self._begins

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse, /) -> Iterable[bytes]:
        exchange = environ.get(EXCHANGE)
        if type(exchange) is not Exchange:
            exchange, row = None, self._here.local.row
            if not self._is_outermost and row.exchange is not None and not row.exchange.is_left:
                exchange = row.exchange
                if not exchange.has_begun:  # else the app asks itself something, whose route is not the request's
                    environ[EXCHANGE] = exchange
        if exchange is not None:
            exchange.begin(environ)
            return self.app(environ, start_response)
        exchange = Exchange(self, row, environ["REQUEST_METHOD"], start_response, not self._is_outermost)
        if self._begins:
            exchange.begin(environ)
        environ[EXCHANGE] = row.exchange = exchange
        try:
            body = self.app(environ, exchange)
            if type(body) is list:
                exchange.count()
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
        "_app",
        "_pieces",
        "_start_response",
        "_write",
        "body",
        "ends_itself",
        "has_begun",
        "is_counted",
        "method",
        "route",
        "row",
        "status",
    )

    def __init__(self, app: Counted, row: Row, method: str, start_response: StartResponse, ends_itself: bool) -> None:
        self._app, self.ends_itself = app, ends_itself
        self.row, self.method, self.route = row, method, UNMATCHED
        self.status: str | None = None
        self.has_begun = self.is_counted = False
        self.body = _NO_BODY
        self._start_response: Any = start_response
        self._write: Any = None
        self._pieces: Iterator[bytes] | None = None

    @property
    def is_left(self) -> bool:
        """The app has returned a stream, and its caller may go on with something else before that is at its end."""
        return self.ends_itself and self.body is not _NO_BODY

    def begin(self, environ: WSGIEnvironment) -> None:
        """The request has come to a counted app: from here on it is in flight."""
        if not self.has_begun:
            path = environ["PATH_INFO"]
            self.row.interrupted = None  # of a request before, which the server answered in another way
            self.row.begin(self.method, path)
            self.has_begun = self._app.is_counting = True

    def __call__(self, *arguments: Any, **named: Any) -> Callable[[bytes], object]:
        """The app's start_response. A status that the server refuses, by an exception, is not kept."""
        if self._start_response is None:
            raise RuntimeError("the response is over")
        self._write = self._start_response(*arguments, **named)
        status = arguments[0] if arguments else named.get("status")
        code = status[:3] if isinstance(status, str) else ""
        self.status = code if len(code) == 3 and code.isascii() and code.isdecimal() else OTHER
        return self.write

    def write(self, data: bytes, /) -> object:
        """The app's write, which sends at once. Raises RuntimeError once the exchange is over."""
        self.count()
        if self._write is None:
            raise RuntimeError("the response is over")
        return self._write(data)

    def count(self) -> None:
        """Count the response, once. Raises RuntimeError where the app has not called `start_response`."""
        if self.is_counted or not self.has_begun:
            return
        if self.status is None:
            raise RuntimeError("the app has not called start_response, and its response begins")
        method = self.method if self.method in METHODS else OTHER
        self.row.respond((method, self.route, self.status), is_error(self.status))
        self.is_counted = True

    def pass_on(self) -> None:
        """Another process answers, with 101, and counts that."""
        if self.has_begun:
            self.row.pass_on((self.method if self.method in METHODS else OTHER, self.route, "101"))
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
        """The server wants no more of the body."""
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
            if self.has_begun and self.row.interrupted is None:
                self.row.finish()

    def finish(self) -> None:
        """The response is sent, or given up. Drops its references: the environ, which has the exchange, may be one."""
        self._end()
        self.body, self._pieces = _NO_BODY, None
        self._start_response = self._write = None


def _broke_off(error: BaseException, exchange: Exchange, streaming: bool) -> NoReturn:
    """Note in the row that the app, or its stream, raised `error`, and raise what the server is to see.

    gunicorn takes an OSError for the end of the client's connection, and answers nothing. An OSError of a stream may
    be that of another connection, so it becomes a RuntimeError, which gunicorn answers with 500 where nothing was sent
    yet. CountingWorker.handle_error counts that answer under what `interrupted` says. For an exchange that ends itself
    nobody answers, so its request is aborted.
    """
    if not exchange.has_begun:
        exchange.row.interrupted = None if isinstance(error, OSError) else NOT_COUNTED
    elif not exchange.is_counted:
        if streaming and isinstance(error, OSError):
            failure = RuntimeError("the stream failed before its first byte")
            failure.__cause__, error = error, failure
        if not isinstance(error, OSError):
            exchange.row.interrupted = exchange.method if exchange.method in METHODS else OTHER, exchange.route
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
`handle_request`), or the app is not counted.
"""
