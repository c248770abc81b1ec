"""The route of a request."""

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

from hvd.instrument import routes
from hvd.instrument.counting import HttpSettings, counting
from hvd.instrument.reports import ROUTE
from hvd.instrument.routes import OTHER, UNMATCHED, listen, route_of


def test_what_was_told_is_right() -> None:
    """By a framework, or the app itself."""
    assert route_of({ROUTE: "/items/{id}"}) == "/items/{id}"


def test_patterns_of_the_settings_are_asked_where_nobody_told_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that matches the whole path, of environ or scope; nothing else gives a label."""
    declared = (("/items/{id}", re.compile(r"/items/\d+")), ("/items/…", re.compile("/items/.*")))
    monkeypatch.setattr(counting, "settings", HttpSettings(routes=declared))
    assert route_of({"SCRIPT_NAME": "/items", "PATH_INFO": "/7"}) == "/items/{id}"
    assert route_of({"PATH_INFO": "/items/7/x"}) == "/items/…"
    assert route_of({"path": "/items/7"}) == "/items/{id}"
    assert route_of({"path": "/x/items/7"}) == OTHER
    assert route_of({"path": "/items/7", ROUTE: UNMATCHED}) == UNMATCHED


def test_a_framework_that_is_imported_later_tells_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second request on. One that has other names by now is left alone."""
    monkeypatch.setattr(routes, "_listening", set(routes._LISTENERS) - {"bottle", "flask.ctx"})
    for name in "bottle", "flask.ctx":
        monkeypatch.delitem(sys.modules, name, raising=False)
    listen()
    new = ModuleType("bottle")
    new.Router = type("Router", (), {"match": lambda *_: (SimpleNamespace(rule="/r"), {})})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bottle", new)
    monkeypatch.setitem(sys.modules, "flask.ctx", ModuleType("flask.ctx"))
    assert route_of({"PATH_INFO": "/"}) == OTHER
    environ: dict[str, object] = {}
    new.Router().match(environ)  # type: ignore[attr-defined]
    assert route_of(environ) == "/r"
