"""What a framework tells of the request that it has matched: its route."""

from collections.abc import MutableMapping
from typing import Any

EXCHANGE = "hvd.exchange"
"""Key of the request's exchange in environ and scope."""

ROUTE = "hvd.route"
"""Key of the route, where the request has no exchange: whoever counts it looks there. An app may set it as well."""

MOUNT = "hvd.mount"
"""Key of the template below which the app is mounted that has this scope."""

UNMATCHED = "(unmatched)"
"""Route of all paths that the framework matches to none."""

OTHER = "(other)"
"""Stands for what has no bound: routes that nobody has told, methods and statuses that nobody knows."""

_PREFIXES_MAX = 100
"""Prefixes that a process tells apart: an app may mount one for each of its customers, whose number has no bound."""

_prefixes: set[str] = set()


def tell(place: MutableMapping[str, Any], route: str) -> None:
    """The request that has this environ or scope is one to `route`. Who tells last is right: the innermost app."""
    exchange = place.get(EXCHANGE)
    if exchange is None:
        place[ROUTE] = route
    else:
        exchange.route = route


def tell_below(place: MutableMapping[str, Any], template: str) -> None:
    """The same of a template of an app that is perhaps mounted below a prefix."""
    prefix: str = place.get("SCRIPT_NAME") or place.get(MOUNT) or ""
    if prefix:
        if prefix not in _prefixes:
            if len(_prefixes) < _PREFIXES_MAX:
                _prefixes.add(prefix)
            else:
                prefix = f"/{OTHER}"
        template = f"{prefix.rstrip('/')}{template}"
    tell(place, template)
