"""Route templates of FastAPI apps, where they are not Starlette's: those of included routers."""

from typing import Any

from hvd.instrument.reports import report_template


def listen(routing: Any) -> None:
    """Have routes report that they handle a request; `routing` is the module fastapi.routing.

    A route that is included below a prefix doesn't know it: the scope has what it is there. That is no public API: read
    in FastAPI 0.165.0. In versions before, and for other routes, Starlette's `handle` knows the whole template.
    """
    handle = routing.APIRoute.handle

    def report_and_handle(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        context = scope.get("fastapi", {}).get("effective_route_context")
        if context is not None and context.original_route is self:
            report_template(scope, context.path_format)
        return handle(self, scope, receive, send)

    routing.APIRoute.handle = report_and_handle
