"""What a framework reports of a request: its route, the app's own name for that, and the exception that ended it."""

from collections.abc import MutableMapping
from typing import Any

from hvd.instrument.counting import counting

EXCHANGE = "hvd.exchange"
"""Key of the request's exchange in environ and scope."""

ROUTE = "hvd.route"
"""Key of the route, where the request has no exchange: whoever counts it looks there. An app may set it as well."""

MOUNT = "hvd.mount"
"""Key of the template below which the app is mounted that has this scope."""

UNMATCHED = "(unmatched)"
"""Route of all paths that the framework matches to none."""

OTHER = "(other)"
"""Stands for what has no bound: routes that nobody has reported, methods and statuses that nobody knows."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""Those of RFC 9110, and PATCH. Others have no bound, and count as OTHER, as a status does that does not begin with
three digits.
"""

_PREFIXES_MAX = 100
"""Prefixes that a process tells apart: an app may mount one for each of its customers, whose number has no bound."""

_prefixes: set[str] = set()


def report_route(place: MutableMapping[str, Any], route: str) -> None:
    """The request that has this environ or scope is one to `route`. The last report holds: the innermost app's."""
    exchange = place.get(EXCHANGE)
    if exchange is None:
        place[ROUTE] = route
    else:
        exchange.route = route


def report_template(place: MutableMapping[str, Any], template: str) -> None:
    """The same of a template of an app that is perhaps mounted below a prefix."""
    prefix: str = place.get("SCRIPT_NAME") or place.get(MOUNT) or ""
    if prefix:
        if prefix not in _prefixes:
            if len(_prefixes) < _PREFIXES_MAX:
                _prefixes.add(prefix)
            else:
                prefix = f"/{OTHER}"
        template = f"{prefix.rstrip('/')}{template}"
    report_route(place, template)


def report_view(place: MutableMapping[str, Any], view: str) -> None:
    """The app calls the route that was reported `view`."""
    exchange = place.get(EXCHANGE)
    if exchange is not None and exchange.route:
        counting.extras.named(counting.local.row, exchange.route, view)


def report_failure(place: MutableMapping[str, Any], error: BaseException) -> None:
    """The framework answers the request with 500, because of this exception of the app's."""
    exchange = place.get(EXCHANGE)
    if exchange is not None:
        method = exchange.method if exchange.method in METHODS else OTHER
        counting.extras.raised(counting.local.row, error, exchange.route or OTHER, method)
