"""Route templates of Pyramid apps, route prefixes included: `/items/{id}`."""

from typing import Any

from hvd.instrument.reports import UNMATCHED, report_route, report_template


def listen(urldispatch: Any) -> None:
    """Have Pyramid report what it matches; `urldispatch` is the module pyramid.urldispatch.

    No public API: `RoutesMapper.__call__` was read in Pyramid 2.1. An app without routes, which only traverses, has no
    mapper, and no templates.
    """
    match = urldispatch.RoutesMapper.__call__

    def match_and_report(self: Any, request: Any) -> Any:
        info = match(self, request)
        route = info["route"]
        if route is None:
            report_route(request.environ, UNMATCHED)
        else:
            report_template(request.environ, f"/{route.pattern.lstrip('/')}")
        return info

    urldispatch.RoutesMapper.__call__ = match_and_report
