"""Routes of Falcon apps."""

import falcon
import pytest

from hvd.instrument.falcon import RouteName
from hvd.instrument.wsgi import UNMATCHED
from hvd.web.here import Here
from tests.unit.instrument.exchange import FakeRow, Server, loaded

pytestmark = pytest.mark.usefixtures("form")


def test_the_route_is_the_template_and_never_the_path(row: FakeRow, here: Here) -> None:
    """Under a real Falcon app: matched paths share their template, all others share one label."""

    class Item:
        def on_get(self, req: falcon.Request, resp: falcon.Response, number: str) -> None:
            resp.media = number

    app = falcon.App(middleware=[RouteName()])
    app.add_route("/items/{number}", Item())
    application = loaded(app, here)
    for request in ("GET /items/1", "GET /items/2", "GET /items", "GET /x", "PUT /items/3"):
        Server().call(application, *request.split())
    assert [call[1:] for call in row.calls if call[0] == "respond"] == [
        ("GET", "/items/{number}", "200"),
        ("GET", "/items/{number}", "200"),
        ("GET", UNMATCHED, "404"),
        ("GET", UNMATCHED, "404"),
        ("PUT", "/items/{number}", "405"),
    ]
