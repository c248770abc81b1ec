"""The gate: the checks of every request to hvd's endpoints before its resource gets it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import falcon

from hvd.settings.tokens import Scope
from hvd.web.access import check_query, check_scope
from hvd.web.here import Here
from hvd.web.operations import Endpoint
from hvd.web.pages import check_host, check_page


class _Needs(NamedTuple):
    scopes: Mapping[str, Scope]  # by method, as HTTP has it
    is_private: bool


class Gate:
    """Falcon middleware: lets a request through to its resource, or answers it. Thread-safe."""

    def __init__(self, here: Here, *, admin: bool) -> None:
        """`admin` is true on the admin server."""
        self._here, self._is_admin = here, admin
        self._needs: dict[str, _Needs] = {}

    def guard(self, endpoint: Endpoint, resource: object) -> None:
        """Let requests to this endpoint through to its resource from now on, and none that may not pass."""
        self._needs[endpoint.path] = _Needs(scopes_of(endpoint, resource), endpoint.is_private or endpoint.needs_kinds)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: Mapping[str, object]
    ) -> None:
        """Called by Falcon once it knows what answers. Raises falcon.HTTPError."""
        if req.uri_template not in self._needs:  # a route that somebody has added to hvd's app, and that is theirs
            return
        scopes, is_private = self._needs[req.uri_template]
        needed = scopes.get(req.method)
        if needed is None:  # OPTIONS and what is answered 405, which Falcon does by itself
            return
        try:
            check_query(req)
            if needed:
                check_host(req, self._here.parts.settings)
            if is_private or needed > Scope.READ:
                check_page(req, self._here.parts.settings)
            if needed:
                check_scope(req, self._here.parts.settings, needed, admin=self._is_admin)
        except falcon.HTTPError as error:
            if note := getattr(resource, "note_refusal", None):
                note(error)
            raise


def scopes_of(endpoint: Endpoint, resource: object) -> Mapping[str, Scope]:
    """The scope that each method of the resource needs. What the table doesn't list needs `admin`, so that an omission
    opens nothing.
    """
    scopes = {}
    for method in _methods(resource):
        listed = "get" if method == "head" else method
        operation = endpoint.operations.get(listed)
        if operation is not None:
            scope = endpoint.scope if operation.scope is None else operation.scope
        else:
            scope = endpoint.scope if listed == "get" and not endpoint.operations else Scope.ADMIN
        scopes[method.upper()] = scope
    return scopes


def _methods(resource: object) -> Sequence[str]:
    return [name.removeprefix("on_") for name in dir(resource) if name.startswith("on_")]
