"""What counting an ASGI app runs for each message that it sends. _asgi.c is the same, compiled.

See asgi.py, which has the rest of it.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from hvd.instrument.extras import compiled, header_of
from hvd.metrics.table import error_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Rules = tuple[Any, ...]
"""Known methods, what stands for others, `counting`, the labels of statuses, `route_of`, whether the
server sends the head of a response with its body, and the AsgiServer.
"""

_BODIES = {"http.response.body", "http.response.pathsend", "http.response.zerocopysend"}


class HotExchangeInPython:
    """A request and its response, as they are counted. In the loop that serves them.

    A framework's report may set `route` until the response counts; otherwise it is looked up then. `row` and
    `connection` are None once they are over, and the scope, which has the exchange, once the response counts: so
    nothing is left for the garbage collector. A response is over once its last piece is passed on.
    """

    __slots__ = (
        "_has_pieces",
        "_headers",
        "_length",
        "connection",
        "has_left",
        "is_counted",
        "method",
        "route",
        "row",
        "rules",
        "scope",
        "server_receive",
        "server_send",
        "status",
    )

    def __init__(self, rules: Rules, scope: Scope, receive: Receive, send: Send) -> None:
        self.rules, self.server_receive, self.server_send = rules, receive, send
        self.scope: Scope | None = scope
        self.route: str | None = None
        self.status: str | None = None
        self.connection: Any = None
        self.has_left = self.is_counted = self._has_pieces = False
        self._length: bytes | None = None
        self._headers: Any = None
        known, other, counting, *_ = rules
        method = scope.get("method", "GET")  # a WebSocket's is always that, and not in its scope
        self.method = method if method in known else other
        self.row: Any = counting.rows.entry()
        path = scope["path"]
        self.row.begin(method, path if path.isascii() else path.encode("utf-8", "replace").decode("latin-1"))
        headers = scope.get("headers")
        self._length = header_of(headers, b"content-length")
        if (since := header_of(headers, b"x-request-start")) is not None:
            counting.extras.queued(self.row, since)

    def send(self, message: Message) -> Awaitable[None]:
        """The app's `send`, of an HTTP request."""
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind in _BODIES and self.status and self._pass_piece(message):
            return self.send_last(message)
        return self.server_send(message)

    def _start(self, message: Message) -> None:
        if self.status or self.has_left:
            return
        _, other, _, statuses, _, starts_with_body, _ = self.rules
        status = message.get("status")
        self.status = statuses.get(status, other) if isinstance(status, int) else other
        self._headers = message.get("headers")
        content_type = header_of(self._headers, b"content-type")
        is_stream = isinstance(content_type, bytes) and content_type.startswith(b"text/event-stream")
        if is_stream or not starts_with_body:
            self.count()
        if is_stream:
            self.become_connection("sse")

    def _pass_piece(self, message: Message) -> bool:
        """A piece of the body -> whether it is the last of several."""
        has_more, body = message.get("more_body", False), message.get("body")
        if not self.is_counted and (body or not has_more):
            self.count(None if has_more or self._has_pieces else body)
        if has_more:
            self._has_pieces = True
            return False
        if not self._has_pieces:
            self.finish()
        return self._has_pieces

    def count(self, body: Any = None) -> None:
        """Count the response, of this status: at once. `body` is its only piece, if it is there and has no other."""
        if self.row is None or self.scope is None or self.status is None:
            raise RuntimeError("the request is over, or has no status")
        _, _, counting, _, route_of, *_ = self.rules
        if self.route is None:
            route = route_of(self.scope)
            self.route = self.route or route
        self.row.respond((self.method, self.route, self.status), error_of(self.status))
        self.is_counted, self.scope = True, None
        counting.extras.sized(self.row, self.method, self.route, self._length, self._headers, body)

    def finish(self) -> None:
        """The response is over: its duration counts, or that of the connection that it has become."""
        row, self.row = self.row, None
        if row is not None:
            row.finish()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    async def send_last(self, message: Message) -> None:
        """Send the last piece of the body."""
        raise NotImplementedError

    def become_connection(self, kind: str) -> None:
        """The response has begun, and becomes an open connection."""
        raise NotImplementedError


if TYPE_CHECKING or not compiled:  # noqa: SIM108 (mypy knows what it is)
    HotExchange = HotExchangeInPython
else:
    HotExchange = compiled.HotExchange
