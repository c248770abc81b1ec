"""Route templates of Pyramid apps, route prefixes included: `/items/{id}`."""

from typing import Any

from hvd.instrument.told import UNMATCHED, tell, tell_below


def listen(urldispatch: Any) -> None:
    """Have Pyramid tell what it matches; `urldispatch` is the module pyramid.urldispatch.

    No public API: `RoutesMapper.__call__` was read in Pyramid 2.1. An app without routes, which only traverses, has no
    mapper, and no templates.
    """
    match = urldispatch.RoutesMapper.__call__

    def match_and_tell(self: Any, request: Any) -> Any:
        found = match(self, request)
        route = found["route"]
        if route is None:
            tell(request.environ, UNMATCHED)
        else:
            tell_below(request.environ, f"/{route.pattern.lstrip('/')}")
        return found

    urldispatch.RoutesMapper.__call__ = match_and_tell
