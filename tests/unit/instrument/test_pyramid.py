"""Routes of Pyramid apps."""

import warnings

from hvd.instrument.routes import OTHER, UNMATCHED, listen
from tests.unit.instrument.frameworks import asked

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of pkg_resources, which Pyramid imports
    from pyramid.config import Configurator
    from pyramid.response import Response

EXPECTED = {
    "GET /items/1": (200, "/items/{number}"),
    "PUT /items/1": (404, "/items/{number}"),
    "GET /api/users/ann": (200, r"/api/users/{name:\w+}"),
    "GET /files/none.css": (404, "/files/*subpath"),
    "GET /none": (404, UNMATCHED),
}


def view(request: object) -> Response:
    return Response("it")


def users(config: Configurator) -> None:
    config.add_route("user", r"/users/{name:\w+}")
    config.add_view(view, route_name="user")


def test_the_route_is_the_pattern_with_the_prefix_of_what_is_included() -> None:
    """Also where no view takes the method."""
    with Configurator() as config:
        config.add_route("item", "items/{number}")
        config.add_view(view, route_name="item", request_method="GET")
        config.include(users, route_prefix="/api")
        config.add_static_view("files", "/nonexistent")
        app = config.make_wsgi_app()
    listen()
    assert asked(app, EXPECTED) == EXPECTED


def test_an_app_that_only_traverses_has_no_templates() -> None:
    """Patterns of the settings may know its paths."""
    with Configurator() as config:
        config.add_view(view)
        app = config.make_wsgi_app()
    listen()
    assert asked(app, ["GET /"]) == {"GET /": (200, OTHER)}
