"""`/openapi.json`: the API as an OpenAPI 3.1 document (spec.openapis.org/oas/v3.1.1), made from the table of endpoints.

Nothing is written twice: paths and operations are the table's, schemas are those of the types that answers are
annotated with, and bodies are described by what checks them and by the kinds of job that are declared.
"""

import inspect
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_type_hints

from hvd import __version__
from hvd.web.answers import Problem
from hvd.web.here import Here
from hvd.web.json_types import Schemas
from hvd.web.operations import Content, Endpoint, Kinds, Operation, Parameter, json_of
from hvd.web.problem import MEDIA_TYPE
from hvd.web.resources import JsonResource

VERSION = "3.1.0"

_BEARER = {"type": "http", "scheme": "bearer", "description": "A token, by `hvd token new`; its scope is named."}
_GATE = (400, 401, 403)
"""Problems of whatever a scope is needed for."""


class Document(JsonResource):
    """`/openapi.json`: the document of this address, with the kinds of job that are declared now."""

    def __init__(self, here: Here, endpoints: Sequence[Endpoint]) -> None:
        super().__init__(here)
        self._endpoints = endpoints

    def answer(self) -> Mapping[str, object]:
        return build_document(self._endpoints, self._here.parts.settings.job_kinds)


def build_document(endpoints: Sequence[Endpoint], kinds: Kinds) -> dict[str, Any]:
    """The document; what needs kinds of job is left out where none is declared."""
    schemas = Schemas()
    described = [endpoint for endpoint in endpoints if endpoint.listed and (kinds or not endpoint.needs_kinds)]
    paths = {endpoint.path: _path(endpoint, kinds, schemas) for endpoint in described}
    return {
        "openapi": VERSION,
        "info": {"title": "hvd", "version": __version__, "description": "What a multi-process service is doing."},
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": {"bearer": _BEARER}},
    }


def operations_of(endpoint: Endpoint) -> Mapping[str, Operation]:
    """The endpoint's operations by method; where the table has none, what the resource's `answer` is annotated with.

    Raises TypeError for an endpoint that is described in neither way.
    """
    if endpoint.operations:
        return endpoint.operations
    if not inspect.isclass(endpoint.resource) or not issubclass(endpoint.resource, JsonResource):
        raise TypeError(f"{endpoint.path} has no operations, and no `answer` that says what it answers")
    answer = get_type_hints(endpoint.resource.answer)["return"]
    return {"get": Operation({200: json_of(answer)}, (400, 406))}


def _path(endpoint: Endpoint, kinds: Kinds, schemas: Schemas) -> dict[str, Any]:
    """All methods of a path. HEAD answers what GET does, without its body (RFC 9110, section 9.3.2)."""
    methods = {
        method: _operation(endpoint, method, operation, kinds, schemas)
        for method, operation in operations_of(endpoint).items()
    }
    if "get" in methods and 101 not in operations_of(endpoint)["get"].answers:
        answers = {status: {"description": of["description"]} for status, of in methods["get"]["responses"].items()}
        methods["head"] = {**methods["get"], "operationId": _name(endpoint, "head"), "responses": answers}
    return methods


def _operation(endpoint: Endpoint, method: str, operation: Operation, kinds: Kinds, schemas: Schemas) -> dict[str, Any]:
    answers = {status: _response(status, content, schemas) for status, content in operation.answers.items()}
    scope = endpoint.scope if operation.scope is None else operation.scope
    for status in (*operation.problems, *(_GATE if scope else ())):
        answers.setdefault(status, _response(status, {MEDIA_TYPE: Problem}, schemas))
    described: dict[str, Any] = {
        "operationId": _name(endpoint, method),
        "summary": operation.about or endpoint.about,
        "responses": {str(status): answers[status] for status in sorted(answers)},
    }
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        described["requestBody"] = {"required": True, "content": _content(json_of(operation.body(kinds)), schemas)}
    if scope:
        described["security"] = [{}, {"bearer": [scope.word]}]
    return described


def _response(status: int, content: Content, schemas: Schemas) -> dict[str, Any]:
    body = {"content": _content(content, schemas)} if content else {}
    return {"description": HTTPStatus(status).phrase, **body}


def _content(content: Content, schemas: Schemas) -> dict[str, Any]:
    return {media_type: {"schema": schemas.of(kind)} for media_type, kind in content.items()}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    is_list = parameter.schema.get("type") == "array"
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.about,
        "schema": parameter.schema,
        **({"required": True} if parameter.place == "path" else {}),
        **({"style": "form", "explode": False} if is_list else {}),
    }


def _name(endpoint: Endpoint, method: str) -> str:
    """As `get_jobs_job_id_output`."""
    words = endpoint.path.translate(str.maketrans("/{}.", "_  _")).replace(" ", "").strip("_")
    return f"{method}_{words or 'index'}"
