"""The service in Falcon's ASGI app."""

from collections.abc import AsyncIterator

import falcon
import falcon.asgi


async def pieces() -> AsyncIterator[bytes]:
    for piece in b"a", b"b", b"c":
        yield piece


class Item:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, n: str) -> None:
        resp.text = n

    on_head = on_get

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, n: str) -> None:
        resp.status = 201

    async def on_delete(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, n: str) -> None:
        resp.status = 204


class Rest:
    async def on_get_cached(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, n: str) -> None:
        resp.status = 304

    async def on_get_missing(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, n: str) -> None:
        raise falcon.HTTPNotFound

    async def on_get_boom(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, n: str) -> None:
        raise RuntimeError(n)

    async def on_get_stream(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, n: str) -> None:
        resp.stream = pieces()

    on_get_file = on_get_stream


app = falcon.asgi.App()
for part in "items", "class", "sub/things":
    app.add_route(f"/{part}/{{n}}", Item())
for part in "cached", "missing", "boom", "stream", "file":
    app.add_route(f"/{part}/{{n}}", Rest(), suffix=part)
