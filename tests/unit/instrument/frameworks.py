"""Apps of frameworks, asked as a server asks them, for the routes that they tell."""

import asyncio
from collections.abc import Iterable
from typing import Any
from wsgiref.util import setup_testing_defaults

from hvd.instrument.routes import route_of

Answers = dict[str, tuple[int, str]]
"""Method and path → status and route."""


def asked(app: Any, requests: Iterable[str], **environ: str) -> Answers:
    """What a WSGI app answers."""
    return {request: _ask(app, request, environ) for request in requests}


def _ask(app: Any, request: str, more: dict[str, str]) -> tuple[int, str]:
    method, path = request.split()
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", **more}
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None) -> Any:
        statuses.append(status)

    body = app(environ, start_response)
    route = route_of(environ)
    for _ in body:
        pass
    if hasattr(body, "close"):
        body.close()
    return int(statuses[-1][:3]), route


def awaited(app: Any, requests: Iterable[str], **scope: Any) -> Answers:
    """What an ASGI app answers; of a WebSocket the status is 101 or 403."""

    async def ask_all() -> Answers:
        return {request: await _await(app, request, scope) for request in requests}

    return asyncio.run(ask_all())


async def _await(app: Any, request: str, more: dict[str, Any]) -> tuple[int, str]:
    method, path = request.split()
    is_socket = method == "WEBSOCKET"
    scope: dict[str, Any] = {
        "type": "websocket" if is_socket else "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop")],
        "server": ("shop", 80),
        "client": ("them", 1),
        **more,
    }
    incoming = [{"type": "websocket.connect"} if is_socket else {"type": "http.request", "body": b""}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not incoming:
            await asyncio.Event().wait()
        return incoming.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    status = 101 if sent[0]["type"] == "websocket.accept" else sent[0].get("status", 403)
    return status, route_of(scope)
