"""Routes of FastAPI apps."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from hvd.instrument.routes import UNMATCHED, listen
from tests.unit.instrument.frameworks import awaited

EXPECTED = {
    "GET /items/1": (200, "/items/{number}"),
    "PUT /items/1": (405, "/items/{number}"),
    "GET /items/x": (422, "/items/{number}"),
    "GET /docs": (200, "/docs"),
    "GET /openapi.json": (200, "/openapi.json"),
    "GET /v1/users/ann/posts/1": (200, "/v1/users/{user}/posts/{number}"),
    "PUT /v1/users/ann/posts/1": (405, "/v1/users/{user}/posts/{number}"),
    "GET /v1/users/ann/none": (404, UNMATCHED),
    "GET /v1/plain/a": (200, "/v1/plain/{name}"),
    "GET /v1/sub/users/ann/posts/1": (200, "/v1/sub/users/{user}/posts/{number}"),
    "GET /sub/users/ann/posts/1": (200, "/sub/users/{user}/posts/{number}"),
    "GET /sub/docs": (200, "/sub/docs"),
    "GET /sub/none": (404, UNMATCHED),
    "GET /static/none": (404, "/static/{path}"),
    "GET /none": (404, UNMATCHED),
    "WEBSOCKET /v1/feed/a": (101, "/v1/feed/{name}"),
}


async def number(number: int) -> int:
    return number


async def feed(socket: WebSocket) -> None:
    await socket.accept()


def routers() -> APIRouter:
    posts, users = APIRouter(), APIRouter(prefix="/users/{user}")
    posts.add_api_route("/posts/{number}", number)
    users.include_router(posts)
    every = APIRouter()
    every.include_router(users)
    return every


def test_the_route_is_the_template_with_the_prefixes_of_routers_and_mounts(tmp_path: Path) -> None:
    """A router may be included in two places, and an app mounted in an app or in a router."""
    from tests.unit.instrument.test_starlette import text

    sub, app, first = FastAPI(), FastAPI(), routers()
    sub.include_router(routers())
    app.add_api_route("/items/{number}", number)
    first.add_route("/plain/{name}", text)
    first.add_api_websocket_route("/feed/{name}", feed)
    first.mount("/sub", sub)
    app.include_router(first, prefix="/v1")
    app.mount("/sub", sub)
    app.mount("/static", StaticFiles(directory=tmp_path))
    listen()
    assert awaited(app, EXPECTED) == EXPECTED


def test_the_path_of_a_proxy_is_no_mount() -> None:
    """A server's root path doesn't belong to the template."""
    app = FastAPI()
    app.add_api_route("/items/{number}", number)
    listen()
    assert awaited(app, ["GET /items/1"], root_path="/shop") == {"GET /items/1": (200, "/items/{number}")}
