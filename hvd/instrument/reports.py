"""What a framework reports of a request: its route, the app's own name for that, and the exception that ended it."""

from collections.abc import MutableMapping
from typing import Any

from hvd.instrument.counting import counting

EXCHANGE = "hvd.exchange"
"""Key of the request's exchange in environ and scope."""

ROUTE = "hvd.route"
"""Key of the route, where the request has no exchange: the code that counts it looks there. An app may set it, too."""

MOUNT = "hvd.mount"
"""Key of the template below which the app is mounted that has this scope."""

UNMATCHED = "(unmatched)"
"""Route of all paths that the framework matches to none."""

OTHER = "(other)"
"""Stands for values without a bound: routes that were not reported, unknown methods and statuses."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""Those of RFC 9110, and PATCH. Others have no bound, and count as OTHER, as a status does that does not begin with
three digits.
"""

_PREFIXES_MAX = 100
"""Prefixes that a process tells apart: an app may mount one for each of its customers, whose number has no bound."""

_prefixes: set[str] = set()


def report_route(place: MutableMapping[str, Any], route: str) -> None:
    """Report `route` for the request of this environ or scope. The last report holds: the innermost app's."""
    exchange = place.get(EXCHANGE)
    if exchange is None:
        place[ROUTE] = route
    else:
        exchange.route = route


def report_template(place: MutableMapping[str, Any], template: str) -> None:
    """Report the route by its template, below the prefix at which the app may be mounted."""
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
    """Report that the app's own name for the reported route is `view`."""
    exchange = place.get(EXCHANGE)
    if exchange is not None and exchange.route:
        counting.extras.named(counting.local.row, exchange.route, view)


def report_failure(place: MutableMapping[str, Any], error: BaseException) -> None:
    """Report the app's exception because of which the framework answers the request with 500."""
    exchange = place.get(EXCHANGE)
    if exchange is not None:
        method = exchange.method if exchange.method in METHODS else OTHER
        counting.extras.raised(counting.local.row, error, exchange.route or OTHER, method)
