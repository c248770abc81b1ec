"""The gate: each endpoint's scope is the table's, and nothing is open because somebody forgot it."""

from types import SimpleNamespace
from typing import Any

import falcon
from falcon import testing

from hvd.settings.tokens import Scope
from hvd.web.endpoints import endpoints_of
from hvd.web.gate import Gate, scopes_of
from hvd.web.here import Here
from hvd.web.operations import Endpoint, Operation
from tests.unit.web import asking

OPEN = {"/", "/health", "/static/{name}"}
CHANGES = {"/jobs/submit", "/jobs/cancel", "/jobs/{job_id}/cancel", "/jobs/{job_id}/retry"}


def test_every_endpoint_has_its_scope() -> None:
    """Written here once more: whoever opens something has to change two places."""
    for endpoint in endpoints_of(admin=True):
        scopes = scopes_of(endpoint, endpoint.resource(Here()))
        expected = Scope.NOTHING if endpoint.path in OPEN else Scope.READ
        if endpoint.path in CHANGES:
            expected = Scope.JOBS
        if endpoint.path == "/api/v1/stacks":
            expected = Scope.ADMIN
        changes = {Scope.ADMIN} if endpoint.path == "/api/v1/pins" else set()
        assert set(scopes.values()) == {expected} | changes, endpoint.path


class Resource:
    """It answers what the table lists, and more."""

    def __init__(self) -> None:
        self.refused: list[int] = []

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = "got"

    on_head = on_put = on_get

    def note_refusal(self, error: falcon.HTTPError) -> None:
        self.refused.append(error.status_code)


def client(resource: Resource, **settings: Any) -> testing.TestClient:
    here: Any = SimpleNamespace(parts=SimpleNamespace(settings=asking.settings(**settings)))
    endpoint = Endpoint("/thing", "it", lambda here: resource, {"get": Operation({200: {}})})
    gate = Gate(here, admin=False)
    gate.guard(endpoint, resource)
    app = falcon.App(middleware=[gate])
    app.add_route("/thing", resource)
    return testing.TestClient(app)


def test_what_the_table_does_not_list_needs_admin() -> None:
    """HEAD is listed with GET."""
    asked = client(Resource(), token="secret")
    assert asked.simulate_head("/thing").status_code == asked.simulate_get("/thing").status_code == 200
    assert asked.simulate_put("/thing").status_code == 401
    assert asked.simulate_put("/thing", headers={"Authorization": "Bearer secret"}).text == "got"
    assert asked.simulate_post("/thing").status_code == 405
    assert asked.simulate_options("/thing").status_code == 200


def test_a_resource_learns_what_was_refused() -> None:
    """/ws counts it. A token in a query is refused also where none is needed."""
    resource = Resource()
    asked = client(resource, reads="token")
    assert asked.simulate_get("/thing").status_code == 401
    assert asked.simulate_get("/thing", query_string="token=x").status_code == 400
    assert resource.refused == [401, 400]


def test_a_route_that_is_not_hvds_is_its_owners_business() -> None:
    """Whoever adds one to hvd's app answers it, and decides who may ask."""
    here: Any = SimpleNamespace(parts=SimpleNamespace(settings=asking.settings(reads="token")))
    app = falcon.App(middleware=[Gate(here, admin=False)])
    app.add_route("/own", Resource())
    assert testing.TestClient(app).simulate_get("/own").text == "got"
