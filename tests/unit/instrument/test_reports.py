"""What frameworks report."""

from types import SimpleNamespace
from typing import Any

import pytest

from hvd.core.block import Block
from hvd.instrument import reports
from hvd.instrument.counting import Counting
from hvd.instrument.reports import (
    EXCHANGE,
    MOUNT,
    OTHER,
    ROUTE,
    report_failure,
    report_route,
    report_template,
    report_view,
)
from tests.unit.core.support import catalogue_of, counts, own_rows


def test_names_and_failures_are_those_of_the_exchange(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a request that nobody counts there are none."""
    catalogue_of(block).add_families()
    counting = Counting()
    counting.fill(own_rows(block))
    monkeypatch.setattr(reports, "counting", counting)
    for place in ({EXCHANGE: SimpleNamespace(route="/a/<int:pk>/", method="BREW")}, {}):
        report_view(place, "polls:a")
        report_failure(place, KeyError("key"))
    assert counts(block, "http_views") == {("/a/<int:pk>/", "polls:a"): 1}
    assert counts(block, "http_exceptions") == {(OTHER, "/a/<int:pk>/", "KeyError"): 1}


def test_a_route_is_told_to_the_exchange_if_there_is_one() -> None:
    """A middleware may have copied the environ, and both have the exchange."""
    exchange = SimpleNamespace(route=None)
    report_route({EXCHANGE: exchange}, "/a")
    alone: dict[str, Any] = {}
    report_route(alone, "/b")
    assert (exchange.route, alone) == ("/a", {ROUTE: "/b"})


def test_the_prefix_of_what_is_mounted_belongs_to_the_route() -> None:
    """That of WSGI's SCRIPT_NAME, and of a mounted ASGI app."""
    for prefix in {"SCRIPT_NAME": "/shop"}, {"SCRIPT_NAME": "/shop/"}, {MOUNT: "/shop"}:
        place: dict[str, Any] = dict(prefix)
        report_template(place, "/items")
        assert place[ROUTE] == "/shop/items"


def test_prefixes_without_end_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app may mount one for each customer."""
    monkeypatch.setattr(reports, "_prefixes", set())
    routes = set()
    for number in range(200):
        place: dict[str, Any] = {"SCRIPT_NAME": f"/customer{number}"}
        report_template(place, "/items")
        routes.add(place[ROUTE])
    assert len(routes) == 101
    assert f"/{OTHER}/items" in routes
