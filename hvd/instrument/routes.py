"""The route of a request: the template that the app's framework matched, as `/items/{id}`, with the prefixes of what is
mounted. Never the path, which has no bound.

`listen` has each framework that the app has imported report what it matches (a file for each beside this one). hvd
imports none of them. Where none of them reports a route, the patterns of `[routes]` in hvd.toml are tried.

What a framework leaves behind in environ or scope is not enough: Flask takes its request out of the environ before the
server has the response, FastAPI's scope has no route for what is mounted or included, and Bottle takes back the prefix
of a mounted app.
"""

import sys
from collections.abc import Callable, Mapping, MutableMapping
from threading import Lock
from typing import Any

from hvd.instrument import bottle, django, falcon, fastapi, flask, pyramid, starlette
from hvd.instrument.counting import counting
from hvd.instrument.reports import OTHER, ROUTE, UNMATCHED

_LISTENERS: Mapping[str, Callable[[Any], None]] = {
    "bottle": bottle.listen,
    "django.core.handlers.base": django.listen,
    "django.core.signals": django.listen_to_failures,
    "falcon.app": falcon.listen,
    "falcon.asgi.app": falcon.listen_to_asgi,
    "fastapi.routing": fastapi.listen,
    "flask.app": flask.listen_to_failures,
    "flask.ctx": flask.listen,
    "pyramid.urldispatch": pyramid.listen,
    "starlette.routing": starlette.listen,
}
_listening: set[str] = set()
_modules_seen = 0
_lock = Lock()


def listen() -> None:
    """Have the frameworks that are imported by now report their routes, each once in a process. In any thread.

    To be called after an app was loaded. Where an app imports its framework later, `route_of` does it, so that the
    requests after the first have their route.
    """
    global _modules_seen
    with _lock:
        _modules_seen = len(sys.modules)
        for name in _LISTENERS.keys() - _listening:
            module = sys.modules.get(name)
            if module is None:
                continue
            try:
                _LISTENERS[name](module)
            except AttributeError:  # another thread is importing it, or this version of it has other names
                continue
            _listening.add(name)


def route_of(place: MutableMapping[str, Any]) -> str:
    """The route of the request that has this environ or scope, where nobody has reported it to its exchange.

    To be asked for once the response begins, as the app may set it until then.
    """
    route: str | None = place.get(ROUTE)
    if route is not None:
        return route
    if len(sys.modules) != _modules_seen:
        listen()
    if starlette.has_missed(place):
        return UNMATCHED
    routes = counting.settings.routes
    if routes:
        path = place["path"] if "path" in place else place.get("SCRIPT_NAME", "") + place["PATH_INFO"]
        return next((route for route, pattern in routes if pattern.fullmatch(path)), OTHER)
    return OTHER
