"""Counting every request and every connection of an ASGI app. This code runs at each request, so it is short.

A request is in flight from the call of the app on. Its response counts once, before its first byte leaves: before
`http.response.start` is passed on, or, where the server keeps that for the first piece of the body, before that piece.
Its duration counts once the last piece is passed on, whatever the app does after that; or when the app returns or
raises.

What a server does where the app sends no response decides what counts, see `AsgiServer`. A client that is known to have
left, since the app was told `http.disconnect`, gets none: its request is aborted, of the cause `client_left`.

A WebSocket, and a stream of server-sent events, is a request until its response has begun, 101 for the former. From
then on it is an open connection.

The `Exchange` of a request is in its scope, where a counted app that another one calls finds it, and leaves it alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from hvd.core.rows import Row
from hvd.instrument.connections import Connection
from hvd.instrument.counting import counting
from hvd.instrument.routes import route_of
from hvd.instrument.told import EXCHANGE, OTHER
from hvd.instrument.wsgi import METHODS
from hvd.metrics.table import is_error

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[Any]]

CLIENT_LEFT = "client_left"

_STATUSES = {code: str(code) for code in range(100, 1000)}
_BODIES = {"http.response.body", "http.response.pathsend", "http.response.zerocopysend"}


def _has_left(receive: Receive) -> bool:
    return True


@dataclass
class AsgiServer:
    """What a server does where ASGI leaves it open. Without anything: 500 for an exception, and for no response."""

    starts_with_body: bool = False
    """`http.response.start` goes out with the first piece of the body; under HTTP/1 never, where there is none."""
    unaccepted: str = "500"
    """What a client gets whose WebSocket the app has neither accepted nor refused."""
    answers_all: bool = False
    """It answers 500 for what is no Exception too, as for CancelledError."""
    has_left: Callable[[Receive], bool] = _has_left
    """Whether the client is gone, after the server's `receive` has said so."""
    is_ending: bool = False
    """It cancels what it still serves; else the cause of that is that a client has left."""


def _left_gunicorn(receive: Receive) -> bool:
    """It says so of a client too whose body does not come in time (27.0.1, asgi/protocol.py, BodyReceiver)."""
    return bool(getattr(getattr(receive, "__self__", None), "_closed", True))


def gunicorn_server() -> AsgiServer:
    """gunicorn's `asgi` worker: read in 27.0.1, asgi/protocol.py and asgi/websocket.py."""
    return AsgiServer(starts_with_body=True, unaccepted="403", has_left=_left_gunicorn)


def uvicorn_server() -> AsgiServer:
    """uvicorn: read in 0.54.0, protocols/http/h11_impl.py and protocols/websockets/websockets_sansio_impl.py."""
    return AsgiServer(answers_all=True)


_UNKNOWN = AsgiServer()


def counted_asgi(app: App, server: AsgiServer | None = None) -> "CountedAsgi":
    """`app`, an ASGI app, with its requests and connections counted in this process; lifespan is left alone.

    It may be called in any number of event loops. An app that is counted already is counted once. `server` is for who
    counts all that it serves: then what else is counted in the process is a part of that, and counts nothing.
    """
    if server is not None:
        counting.is_server = True
        return CountedAsgi(app.app if isinstance(app, CountedAsgi) else app, server)
    return app if isinstance(app, CountedAsgi) else CountedAsgi(app, None)


class CountedAsgi:
    """What `counted_asgi` gives."""

    __slots__ = ("_server", "app")

    def __init__(self, app: App, server: AsgiServer | None) -> None:
        self.app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        begun = _EXCHANGES.get(scope["type"])
        if begun is None or EXCHANGE in scope or (self._server is None and counting.is_server):
            return await self.app(scope, receive, send)
        exclude = counting.settings.exclude
        if exclude is not None and exclude.fullmatch(scope["path"]):
            return await self.app(scope, receive, send)
        exchange = scope[EXCHANGE] = begun(self._server or _UNKNOWN, scope, receive, send)
        try:
            returned = await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            raise
        exchange.end()
        return returned


class Exchange:
    """A request and its response, as they are counted. In the loop that serves them.

    `route` may be set by who knows it, until the response counts; else it is asked for then.
    """

    __slots__ = (
        "_connection",
        "_headers",
        "_length",
        "_receive",
        "_row",
        "_scope",
        "_send",
        "_server",
        "has_left",
        "is_counted",
        "method",
        "route",
        "status",
    )

    def __init__(self, server: AsgiServer, scope: Scope, receive: Receive, send: Send) -> None:
        self._server, self._receive, self._send = server, receive, send
        self._scope: Scope | None = scope
        method = scope.get("method", "GET")  # a WebSocket's is always that, and not in its scope
        self.method = method if method in METHODS else OTHER
        self.route = self.status = ""
        self.has_left = self.is_counted = False
        self._connection: Connection | None = None
        path: str = scope["path"]
        self._row: Row | None = counting.rows.entry()
        self._row.begin(method, path if path.isascii() else path.encode("utf-8", "replace").decode("latin-1"))
        self._headers: Any = ()
        self._length: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"content-length":
                self._length = value
            elif name == b"x-request-start":
                counting.extras.queued(self._row, value)

    def receive(self) -> Awaitable[Message]:
        """The app's `receive`."""
        return self._receive() if self._row is None else self._watch_client()

    async def _watch_client(self) -> Message:
        message = await self._receive()
        if message["type"] in ("http.disconnect", "websocket.disconnect") and not self.is_counted:
            self.has_left = self._server.has_left(self._receive)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """The app's `send`."""
        raise NotImplementedError

    def _count(self, body: Any = None) -> None:
        """Count the response, of this status: at once. `body` is its only piece, if there is no other."""
        row, scope = self._row, self._scope
        assert row is not None
        assert scope is not None
        self.route = route = self.route or route_of(scope)
        row.respond((self.method, route, self.status), is_error(self.status))
        counting.extras.sized(row, self.method, route, self._length, self._headers, body)
        self.is_counted = True
        self._scope = None  # which has this exchange: nobody waits for the garbage collector

    async def _send_last(self, message: Message) -> None:
        await self._send(message)
        self._finish()

    def _finish(self) -> None:
        """The response is over: its duration counts, or that of the connection that it has become."""
        row, self._row = self._row, None
        if row is not None:
            row.finish()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _become_connection(self, kind: str) -> None:
        """The response has begun, and is none any more, but a connection that stays open."""
        self._finish()
        self._connection = Connection(kind, self.route)

    def _abandon(self, cause: str) -> None:
        row, self._row, self._scope = self._row, None, None
        if row is not None:
            row.abandon(cause)

    def _answer(self, status: str) -> None:
        """The server answers so; nothing is sent yet."""
        self.status = status
        self._count()
        self._finish()

    @property
    def _is_kept(self) -> bool:
        """The app has begun a response that the server has not sent, and won't, as its app is at its end."""
        version = self._scope["http_version"] if self._scope else ""
        return bool(self.status) and self._server.starts_with_body and version < "2"

    def end(self) -> None:
        """The app has returned."""
        if self.is_counted:
            self._finish()
        elif self.has_left:
            self._abandon(CLIENT_LEFT)
        elif self._is_kept:
            self._abandon("no_response")
        else:
            self._answer(self.status or self._unanswered)

    @property
    def _unanswered(self) -> str:
        """The status of a response that the server gives where the app has given none."""
        return "500"

    def fail(self, error: BaseException) -> None:
        """The app has raised this."""
        is_exception = isinstance(error, Exception)
        is_answered = is_exception or self._server.answers_all
        if self.is_counted:
            self._finish()
        elif self.has_left:
            self._abandon(CLIENT_LEFT)
        elif is_answered and not self._is_kept:
            self._answer("500")
        elif isinstance(error, asyncio.CancelledError):
            self._abandon("cancelled" if self._server.is_ending else CLIENT_LEFT)
        else:
            self._abandon("exception")
        if is_exception and not self.has_left:
            counting.extras.raised(counting.local.row, error, self.route or OTHER, self.method)


class HttpExchange(Exchange):
    """Of an HTTP request."""

    __slots__ = ()

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind in _BODIES and self.status:
            is_last = not message.get("more_body", False)
            body = message.get("body")
            if not self.is_counted and (is_last or body):
                self._count(body if is_last else None)
            if is_last:
                return self._send_last(message)
        return self._send(message)

    def _start(self, message: Message) -> None:
        if self.status or self.has_left:
            return
        self.status = _STATUSES.get(message["status"], OTHER)
        self._headers = message.get("headers", ())
        is_stream = _is_event_stream(self._headers)
        if is_stream or not self._server.starts_with_body:
            self._count()
        if is_stream:
            self._become_connection("sse")


def _is_event_stream(headers: Any) -> bool:
    """A generator of headers is the server's to read."""
    for name, value in headers if isinstance(headers, list | tuple) else ():
        if len(name) == 12 and name.lower() == b"content-type":
            return bool(value.startswith(b"text/event-stream"))
    return False


class WebSocketExchange(Exchange):
    """Of a WebSocket, from its handshake on."""

    __slots__ = ()

    def send(self, message: Message) -> Awaitable[None]:
        if not self.status and not self.has_left:
            kind = message["type"]
            if kind == "websocket.accept":
                self.status = "101"
                self._count()
                self._become_connection("websocket")
            elif kind == "websocket.close":
                self._answer("403")
            elif kind == "websocket.http.response.start":
                self._answer(_STATUSES.get(message["status"], OTHER))
        return self._send(message)

    @property
    def _unanswered(self) -> str:
        return self._server.unaccepted


_EXCHANGES: dict[str, type[Exchange]] = {"http": HttpExchange, "websocket": WebSocketExchange}
