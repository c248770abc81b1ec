"""Route templates of Starlette apps, and of those made with it: `/items/{id}`, with the prefixes of mounted apps."""

from collections.abc import Callable, Mapping
from typing import Any

from hvd.instrument.told import MOUNT, UNMATCHED, tell, tell_below

Handle = Callable[[Any, Any, Any, Any], Any]


def listen(routing: Any) -> None:
    """Have routes tell that they handle a request; `routing` is the module starlette.routing.

    `handle` is what a route of one's own overrides (Starlette 1.10.0).
    """
    for kind in routing.Route, routing.WebSocketRoute:
        kind.handle = _telling(kind.handle)
    routing.Mount.handle = _telling_prefix(routing.Mount.handle)


def has_missed(scope: Mapping[str, Any]) -> bool:
    """A router has seen the request, and no route has told that it handles it."""
    return "router" in scope


def _telling(handle: Handle) -> Handle:
    def tell_and_handle(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        path = getattr(self, "path_format", None)
        if path is not None:  # a class of one's own may do without
            tell_below(scope, path)
        return handle(self, scope, receive, send)

    return tell_and_handle


def _telling_prefix(handle: Handle) -> Handle:
    def tell_and_handle(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        scope[MOUNT] = prefix = scope.get(MOUNT, "") + self.path_format.removesuffix("/{path}")
        tell(scope, UNMATCHED if self.routes else f"{prefix}/{{path}}")
        return handle(self, scope, receive, send)

    return tell_and_handle
