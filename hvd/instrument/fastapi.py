"""Route templates of FastAPI apps, where they are not Starlette's: those of included routers."""

from typing import Any

from hvd.instrument.told import tell_below


def listen(routing: Any) -> None:
    """Have routes tell that they handle a request; `routing` is the module fastapi.routing.

    A route that is included below a prefix doesn't know it: the scope has what it is there. That is no public API: read
    in FastAPI 0.165.0. In versions before, and for other routes, Starlette's `handle` knows the whole template.
    """
    handle = routing.APIRoute.handle

    def tell_and_handle(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        context = scope.get("fastapi", {}).get("effective_route_context")
        if context is not None and context.original_route is self:
            tell_below(scope, context.path_format)
        return handle(self, scope, receive, send)

    routing.APIRoute.handle = tell_and_handle
