"""Routes of Falcon apps, WSGI and ASGI."""

from typing import Any

import falcon
import falcon.asgi
import pytest
from falcon.routing import CompiledRouter

from hvd.instrument.routes import OTHER, UNMATCHED, listen
from tests.unit.instrument.frameworks import asked, awaited

EXPECTED = {
    "GET /items/1": (200, "/items/{number}"),
    "HEAD /items/1": (405, "/items/{number}"),
    "OPTIONS /items/1": (200, "/items/{number}"),
    "PUT /items/3": (405, "/items/{number}"),
    "GET /items": (404, UNMATCHED),
    "GET /sink/of/all": (200, "/sink"),
    "GET /files/nothing": (404, "/files/"),
}


class Item:
    def on_get(self, req: falcon.Request, resp: falcon.Response, number: str) -> None:
        resp.media = number


class AsyncItem:
    async def on_get(self, req: falcon.Request, resp: falcon.Response, number: str) -> None:
        resp.media = number


async def sink(*_: object, **__: object) -> None: ...


def test_the_route_is_the_template_and_never_the_path() -> None:
    """Those of resources, sinks and static routes; all other paths share one label."""
    app = falcon.App()
    app.add_route("/items/{number}", Item())
    app.add_sink(lambda *_, **__: None, "/sink")
    app.add_static_route("/files", "/nonexistent")
    listen()
    assert asked(app, EXPECTED) == EXPECTED
    assert asked(app, ["GET /items/1"], SCRIPT_NAME="/shop") == {"GET /items/1": (200, "/shop/items/{number}")}


def test_so_it_is_of_an_asgi_app() -> None:
    """It has the same router."""
    app = falcon.asgi.App()
    app.add_route("/items/{number}", AsyncItem())
    app.add_sink(sink, "/sink")
    app.add_static_route("/files", "/nonexistent")
    listen()
    assert awaited(app, EXPECTED) == EXPECTED


def test_who_answers_before_the_route_is_sought_has_none() -> None:
    """As middleware does."""

    class Closed:
        def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
            raise falcon.HTTPServiceUnavailable

    app = falcon.App(middleware=[Closed()])
    listen()
    assert asked(app, ["GET /items/1"]) == {"GET /items/1": (503, OTHER)}


def test_a_router_of_ones_own_may_tell_no_template() -> None:
    """It is one of Falcon's old ones; patterns of the settings may know the path."""

    class Router(CompiledRouter):
        def find(self, uri: str, req: object = None) -> Any:
            found = super().find(uri)
            return found and found[:3]

    app = falcon.App(router=Router())
    app.add_route("/items/{number}", Item())
    listen()
    assert asked(app, ["GET /items/1"]) == {"GET /items/1": (200, OTHER)}


@pytest.mark.parametrize("name", ["_get_responder", "_sink_and_static_routes"])
def test_falcon_still_has_what_is_read(name: str) -> None:
    """Neither is public."""
    assert hasattr(falcon.App(), name)
