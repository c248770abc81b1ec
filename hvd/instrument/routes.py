"""The route of a request: the template that the app's framework matched."""

from collections.abc import MutableMapping
from typing import Any


def route_of(place: MutableMapping[str, Any]) -> str | None:
    """The route of the request that has this environ or scope, to be asked for once its response begins."""
    return None
