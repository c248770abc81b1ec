"""The service in Falcon: resources are objects, and a suffix tells parts of one apart."""

import falcon


class Item:
    def on_get(self, req: falcon.Request, resp: falcon.Response, n: str) -> None:
        resp.text = n

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response, n: str) -> None:
        resp.status = 201

    def on_delete(self, req: falcon.Request, resp: falcon.Response, n: str) -> None:
        resp.status = 204


class Rest:
    def on_get_cached(self, req: falcon.Request, resp: falcon.Response, n: str) -> None:
        resp.status = 304

    def on_get_missing(self, req: falcon.Request, resp: falcon.Response, n: str) -> None:
        raise falcon.HTTPNotFound

    def on_get_boom(self, req: falcon.Request, resp: falcon.Response, n: str) -> None:
        raise RuntimeError(n)

    def on_get_stream(self, req: falcon.Request, resp: falcon.Response, n: str) -> None:
        resp.stream = iter([b"a", b"b", b"c"])

    def on_get_file(self, req: falcon.Request, resp: falcon.Response, n: str) -> None:
        resp.stream = open(__file__, "rb")  # noqa: SIM115


app = falcon.App()
for part in "items", "class", "sub/things":
    app.add_route(f"/{part}/{{n}}", Item())
for part in "cached", "missing", "boom", "stream", "file":
    app.add_route(f"/{part}/{{n}}", Rest(), suffix=part)
