"""Route templates of Starlette apps, and of those made with it: `/items/{id}`, with the prefixes of mounted apps."""

from collections.abc import Callable, Mapping
from typing import Any

from hvd.instrument.reports import MOUNT, UNMATCHED, report_route, report_template

Handle = Callable[[Any, Any, Any, Any], Any]


def listen(routing: Any) -> None:
    """Have routes report that they handle a request; `routing` is the module starlette.routing.

    `handle` is what a route of one's own overrides (Starlette 1.10.0).
    """
    for kind in routing.Route, routing.WebSocketRoute:
        kind.handle = _reporting(kind.handle)
    routing.Mount.handle = _reporting_prefix(routing.Mount.handle)


def has_missed(scope: Mapping[str, Any]) -> bool:
    """A router has seen the request, and no route has reported that it handles it."""
    return "router" in scope


def _reporting(handle: Handle) -> Handle:
    def report_and_handle(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        path = getattr(self, "path_format", None)
        if path is not None:  # a class of one's own may do without
            report_template(scope, path)
        return handle(self, scope, receive, send)

    return report_and_handle


def _reporting_prefix(handle: Handle) -> Handle:
    def report_and_handle(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        scope[MOUNT] = prefix = scope.get(MOUNT, "") + self.path_format.removesuffix("/{path}")
        report_route(scope, UNMATCHED if self.routes else f"{prefix}/{{path}}")
        return handle(self, scope, receive, send)

    return report_and_handle
