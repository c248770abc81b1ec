"""The OpenAPI document: valid, complete, and made of what the code says."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import falcon
import pytest
from falcon import testing
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from hvd.jobs.submission import check_submission
from hvd.settings.job_declarations import read_kinds
from hvd.settings.job_kinds import Kind
from hvd.web.app import create_app
from hvd.web.endpoints import endpoints_of
from hvd.web.here import Here
from hvd.web.openapi import build_document, operations_of
from hvd.web.operations import Endpoint, Operation
from tests.unit.web import asking

TABLE: dict[str, Any] = {
    "plain": {"command": ["true"]},
    "convert": {
        "command": ["convert", "{source}", "{format}", "{level}", "{label}"],
        "params": {
            "source": {"type": "path", "roots": ["/srv/secret"], "help": "the image"},
            "format": {"type": "choice", "choices": ["raw", "qcow2"], "default": "raw"},
            "level": {"type": "int", "min": 1, "max": 9},
            "label": {"type": "string", "pattern": "[a-z]+", "max_length": 8},
        },
    },
}


def declared() -> dict[str, Kind]:
    kinds, faults = read_kinds(TABLE)
    assert not faults
    return kinds


@pytest.mark.parametrize("admin", [False, True])
@pytest.mark.parametrize("kinds", [{}, declared()], ids=["without kinds", "with kinds"])
def test_the_document_is_valid(kinds: dict[str, Kind], admin: bool) -> None:
    """By OpenAPI's own schema, after its way through JSON."""
    document = json.loads(json.dumps(build_document(endpoints_of(admin=admin), kinds)))
    validate(document, cls=OpenAPIV31SpecValidator)
    names = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names))
    assert any(path.startswith("/jobs") for path in document["paths"]) == bool(kinds)


def test_every_method_of_every_endpoint_is_described() -> None:
    """And no other; HEAD goes with GET. A path's parameters are those that it has places for."""
    for endpoint in endpoints_of(admin=True):
        if not endpoint.listed:
            continue
        resource, operations = endpoint.resource(Here()), operations_of(endpoint)
        served = {name.removeprefix("on_") for name in dir(resource) if name.startswith("on_")}
        assert served - {"head"} == set(operations), endpoint.path
        for operation in operations.values():
            places = {parameter.name for parameter in operation.parameters if parameter.place == "path"}
            assert places == set(re.findall(r"\{(\w+)\}", endpoint.path))
            assert not set(operation.answers) & set(operation.problems)


def test_an_endpoint_that_says_nothing_is_refused() -> None:
    """Whoever adds one learns of it by this."""
    with pytest.raises(TypeError, match="/new has no operations"):
        operations_of(Endpoint("/new", "new", lambda here: here))
    described = Endpoint("/new", "new", lambda here: here, {"get": Operation({200: {}})})
    assert operations_of(described) == described.operations


def test_the_services_document_has_not_what_is_the_admins() -> None:
    """Each address has its own."""
    secret = Endpoint("/secret", "for admins", lambda here: here, {"get": Operation({200: {}})}, admin_only=True)
    service = [endpoint.path for endpoint in endpoints_of(admin=False)]
    assert "/secret" in build_document([*endpoints_of(admin=True), secret], {})["paths"]
    assert all(endpoint.path in service or endpoint.admin_only for endpoint in endpoints_of(admin=True))
    hidden = replace(secret, listed=False)
    assert "/secret" not in build_document([hidden], {})["paths"]


def test_a_body_is_described_by_the_kinds_that_are_declared() -> None:
    """What fits the schema is taken, as far as a schema can say; the operator's folders are not in it."""
    kinds = declared()
    document = build_document(endpoints_of(admin=False), kinds)
    assert "secret" not in json.dumps(document)
    schema = document["paths"]["/jobs/submit"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator: Any = Draft202012Validator(schema)
    params = {"source": "/x", "level": 3, "label": "abc"}
    job = {"kind": "convert", "params": params}
    for good in (job, {"kind": "plain", "params": {}, "name": "n"}, [job, job], {"jobs": [job]}):
        assert validator.is_valid(good)
    for bad in (
        *({}, [], {"jobs": []}, {"kind": "nope", "params": {}}, {"kind": "plain", "params": {"x": 1}}),
        *(job | {"params": params | change} for change in ({"level": 0}, {"label": "ABC"}, {"format": "x"}, {"y": 1})),
        *(job | {"name": name} for name in ("", "x" * 201, "a\nb")),
    ):
        assert not validator.is_valid(bad)
        assert not check_submission(bad, kinds).jobs


def test_the_document_is_served_where_the_daemon_is() -> None:
    """At /openapi.json, as JSON, large as it is; the list at / names it."""
    settings = asking.settings(job_kinds=declared())
    here: Any = SimpleNamespace(parts=SimpleNamespace(settings=settings, rows=MagicMock()))
    for admin in (False, True):
        app: Any = create_app(here, admin=admin)
        foreign = testing.TestClient(app).simulate_get("/openapi.json", headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
        answer = testing.TestClient(app).simulate_get("/openapi.json")
        assert (answer.status_code, answer.headers["content-type"]) == (200, falcon.MEDIA_JSON)
        assert answer.json["openapi"].startswith("3.1.")
        assert "/openapi.json" in testing.TestClient(app).simulate_get("/").json["endpoints"]
        expected = {endpoint.path for endpoint in endpoints_of(admin=admin) if endpoint.listed}
        assert set(answer.json["paths"]) == expected
