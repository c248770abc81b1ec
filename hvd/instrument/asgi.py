"""Counting every request and every connection of an ASGI app. This code runs at each request, so it is short.

A request is in flight from the call of the app on. Its response counts once, before its first byte leaves: before
`http.response.start` is passed on, or, where the server keeps that for the first piece of the body, before that piece.
Its duration counts with the last piece, whatever the app does after that; or when the app returns or raises.

What a server does where the app sends no response decides what counts, see `AsgiServer`. A client that is known to have
left, since the app was told `http.disconnect`, gets none: its request is aborted, of the cause `client_left`.

A WebSocket, and a stream of server-sent events, is a request until its response has begun, 101 for the former. From
then on it is an open connection.

The `Exchange` of a request is in its scope, where a counted app that another one calls finds it, and leaves it alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hvd.instrument.asgi_hot import HotExchange, Message, Receive, Scope, Send
from hvd.instrument.connections import Connection
from hvd.instrument.counting import counting
from hvd.instrument.reports import EXCHANGE, METHODS, OTHER
from hvd.instrument.routes import listen, route_of

App = Callable[[Scope, Receive, Send], Awaitable[Any]]

CLIENT_LEFT = "client_left"

_STATUSES = {code: str(code) for code in range(100, 1000)}


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


def counted_asgi(app: App, server: AsgiServer | None = None) -> "CountedAsgi":
    """`app`, an ASGI app, with its requests and connections counted in this process; lifespan is left alone.

    It may be called in any number of event loops. An app that is counted already is counted once. `server` is for a
    server that counts all that it serves: then counted apps within it are a part of that, and count nothing.
    """
    listen()
    if server is not None:
        counting.is_server = True
        return CountedAsgi(app.app if isinstance(app, CountedAsgi) else app, server)
    return app if isinstance(app, CountedAsgi) else CountedAsgi(app, None)


class CountedAsgi:
    """What `counted_asgi` gives."""

    __slots__ = ("_is_outermost", "_rules", "app")

    def __init__(self, app: App, server: AsgiServer | None) -> None:
        self.app = app
        self._is_outermost = server is not None
        server = server or AsgiServer()
        self._rules = METHODS, OTHER, counting, _STATUSES, route_of, server.starts_with_body, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        begun = _EXCHANGES.get(scope["type"])
        if begun is None or EXCHANGE in scope or (counting.is_server and not self._is_outermost):
            return await self.app(scope, receive, send)
        exclude = counting.settings.exclude
        if exclude is not None and exclude.fullmatch(scope["path"]):
            return await self.app(scope, receive, send)
        exchange = scope[EXCHANGE] = begun(self._rules, scope, receive, send)
        try:
            returned = await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            scope.pop(EXCHANGE, None)  # which has the server's send, which may have the scope
        if exchange.row is not None or exchange.connection is not None:
            exchange.end()
        return returned


class HttpExchange(HotExchange):
    """Of an HTTP request: what seldom happens to it."""

    __slots__ = ()

    def receive(self) -> Awaitable[Message]:
        """The app's `receive`."""
        return self.server_receive() if self.is_counted else self._watch_client()

    async def _watch_client(self) -> Message:
        message = await self.server_receive()
        if message["type"] in ("http.disconnect", "websocket.disconnect") and not self.is_counted:
            self.has_left = self._server.has_left(self.server_receive)
        return message

    @property
    def _server(self) -> AsgiServer:
        server: AsgiServer = self.rules[-1]
        return server

    async def send_last(self, message: Message) -> None:
        await self.server_send(message)
        self.finish()

    def become_connection(self, kind: str) -> None:
        self.finish()
        self.connection = Connection(kind, self.route or OTHER)

    def _abandon(self, cause: str) -> None:
        row, self.row, self.scope = self.row, None, None
        if row is not None:
            row.abandon(cause)

    def _answer(self, status: str) -> None:
        """Count the server's answer, of which nothing is sent yet."""
        self.status = status
        self.count()
        self.finish()

    @property
    def _is_kept(self) -> bool:
        """The app has begun a response that the server has not sent, and won't, as its app is at its end."""
        version = self.scope["http_version"] if self.scope else ""
        return bool(self.status) and self._server.starts_with_body and version < "2"

    def end(self) -> None:
        """The app has returned."""
        if self.is_counted:
            self.finish()
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
            self.finish()
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


class WebSocketExchange(HttpExchange):
    """Of a WebSocket, from its handshake on."""

    __slots__ = ()

    def send(self, message: Message) -> Awaitable[None]:
        if not self.status and not self.has_left:
            kind = message["type"]
            if kind == "websocket.accept":
                self.status = "101"
                self.count()
                self.become_connection("websocket")
            elif kind == "websocket.close":
                self._answer("403")
            elif kind == "websocket.http.response.start":
                self._answer(_STATUSES.get(message["status"], OTHER))
        return self.server_send(message)

    @property
    def _unanswered(self) -> str:
        return self._server.unaccepted


_EXCHANGES: dict[str, type[HttpExchange]] = {"http": HttpExchange, "websocket": WebSocketExchange}
