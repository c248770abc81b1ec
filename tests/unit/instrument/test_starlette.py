"""Routes of Starlette apps."""

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Match, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from hvd.instrument.routes import OTHER, UNMATCHED, listen
from tests.unit.instrument.frameworks import asked, awaited

EXPECTED = {
    "GET /items/1": (200, "/items/{number}"),
    "HEAD /items/1": (200, "/items/{number}"),
    "PUT /items/1": (405, "/items/{number}"),
    "GET /items/1/": (307, UNMATCHED),
    "GET /class/1": (200, "/class/{name}"),
    "PUT /class/1": (405, "/class/{name}"),
    "GET /users/ann/files/a": (200, "/users/{user}/files/{file}"),
    "GET /users/ann/app/items/1": (200, "/users/{user}/app/items/{number}"),
    "GET /users/ann/none": (404, UNMATCHED),
    "GET /static/a.css": (200, "/static/{path}"),
    "GET /static/none": (404, "/static/{path}"),
    "GET /none": (404, UNMATCHED),
    "WEBSOCKET /users/ann/feed": (101, "/users/{user}/feed"),
    "WEBSOCKET /none": (403, UNMATCHED),
}


async def text(request: Request) -> PlainTextResponse:
    return PlainTextResponse("it")


async def feed(socket: WebSocket) -> None:
    await socket.accept()


class Named(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("it")


def create_app(static: Path) -> Starlette:
    item = Route("/items/{number:int}", text)
    user = [Route("/files/{file}", text), WebSocketRoute("/feed", feed), Mount("/app", Starlette(routes=[item]))]
    static_files = Mount("/static", StaticFiles(directory=static))
    return Starlette(routes=[item, Route("/class/{name}", Named), Mount("/users/{user}", routes=user), static_files])


def test_the_route_is_the_template_with_those_of_mounts(tmp_path: Path) -> None:
    """Parameters in the prefix too; what is no app of routes has the template of its mount."""
    (tmp_path / "a.css").write_text("a")
    app = create_app(tmp_path)
    listen()
    assert awaited(app, EXPECTED) == EXPECTED
    assert awaited(Starlette(routes=[Host("shop", app)]), ["GET /items/1"]) == {
        "GET /items/1": EXPECTED["GET /items/1"]
    }


def test_the_path_of_a_proxy_is_no_mount(tmp_path: Path) -> None:
    """A server's root path doesn't belong to the template."""
    app = create_app(tmp_path)
    listen()
    assert awaited(app, ["GET /items/1"], root_path="/shop") == {"GET /items/1": (200, "/items/{number}")}


def test_an_app_of_no_framework_has_no_routes() -> None:
    """Nor does what answers before a router sees the request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    assert awaited(app, ["GET /"]) == {"GET /": (200, OTHER)}
    assert asked(lambda environ, start_response: start_response("200 OK", []) or [], ["GET /"]) == {
        "GET /": (200, OTHER)
    }


def test_a_route_of_ones_own_may_have_no_template() -> None:
    """It is left alone."""

    class Everything(Route):
        def __init__(self) -> None:
            self.methods, self.app = None, PlainTextResponse("it")

        def matches(self, scope: Any) -> tuple[Match, Any]:
            return Match.FULL, {}

    listen()
    assert awaited(Starlette(routes=[Everything()]), ["GET /a"]) == {"GET /a": (200, UNMATCHED)}
