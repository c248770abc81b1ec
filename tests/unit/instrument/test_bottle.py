"""Routes of Bottle apps."""

import bottle

from hvd.instrument.routes import UNMATCHED, listen
from tests.unit.instrument.frameworks import asked

EXPECTED = {
    "GET /items/1": (200, "/items/<number:int>"),
    "HEAD /items/1": (200, "/items/<number:int>"),
    "PUT /items/1": (405, "/items/<number:int>"),
    "GET /items/x": (404, UNMATCHED),
    "GET /mounted/items/1": (200, "/mounted/items/<number:int>"),
    "GET /apart/items/1": (200, "/apart/items/<number:int>"),
    "GET /plain/x": (200, "/plain/<:re:.*>"),
}


def app_with_items() -> bottle.Bottle:
    app = bottle.Bottle()
    app.route("/items/<number:int>", callback=lambda number: "item", method=["GET", "POST"])
    return app


def plain(environ: object, start_response: object) -> list[bytes]:
    start_response("200 OK", [])  # type: ignore[operator]
    return [b"plain"]


def test_the_route_is_the_rule_with_the_prefixes_of_mounts() -> None:
    """Bottle merges the routes of a mounted app, or calls it as any WSGI app."""
    app, apart = app_with_items(), app_with_items()
    app.mount("/mounted/", app_with_items())
    app.mount("/apart/", apart.wsgi)
    app.mount("/plain/", plain)
    listen()
    assert asked(app, EXPECTED) == EXPECTED
