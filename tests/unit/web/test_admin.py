"""Requests to the admin server count apart from the service's."""

from types import SimpleNamespace
from typing import Any

import falcon
import falcon.testing
import pytest

from hvd.core.block import Block
from hvd.core.totals import Reader
from hvd.metrics.table import ADMIN
from hvd.web.admin import BEGAN, AdminCounting
from tests.unit.core.support import counts, own_rows


class Echo:
    """Answers with the status that it is told."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, status: str) -> None:
        assert req.env[BEGAN] > 0
        resp.status = int(status)
        if status == "500":
            raise ZeroDivisionError


@pytest.fixture
def client(block: Block) -> falcon.testing.TestClient:
    here: Any = SimpleNamespace(parts=SimpleNamespace(rows=own_rows(block)))
    app = falcon.App(middleware=[AdminCounting(here)])
    app.add_route("/echo/{status}", Echo())
    return falcon.testing.TestClient(app)


def test_each_request_counts_once_by_its_route(block: Block, client: falcon.testing.TestClient) -> None:
    """What no route matches has one of its own; failures count too."""
    for path in ("/echo/200", "/echo/200", "/echo/404", "/echo/500", "/nothing"):
        client.simulate_get(path)
    assert counts(block, ADMIN.key) == {
        ("GET", "/echo/{status}", "200"): 2,
        ("GET", "/echo/{status}", "404"): 1,
        ("GET", "/echo/{status}", "500"): 1,
        ("GET", "(unmatched)", "404"): 1,
    }
    assert counts(block) == {}
    assert Reader(block).read().heads.started == 0


def test_what_the_hub_answers_is_the_hub_s_to_count(block: Block, client: falcon.testing.TestClient) -> None:
    """An upgrade that was passed on: it may yet be refused."""
    client.simulate_get("/echo/101")
    assert counts(block, ADMIN.key) == {}


def test_labels_have_a_bound(block: Block) -> None:
    """A method that is none of HTTP's is the client's text."""
    here: Any = SimpleNamespace(parts=SimpleNamespace(rows=own_rows(block)))
    request: Any = SimpleNamespace(method="BREW", uri_template=None, env={BEGAN: 1})
    response: Any = SimpleNamespace(status_code=400)
    AdminCounting(here).process_response(request, response, None, True)
    assert counts(block, ADMIN.key) == {("(other)", "(unmatched)", "400"): 1}
