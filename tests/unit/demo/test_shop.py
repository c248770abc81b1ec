"""The demo's shop is an app as anybody's."""

import random

import pytest
from falcon.testing import TestClient

from hvd.demo import shop
from hvd.demo.traffic import visits


def test_customers_ask_for_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for one thing that is not; a few fail."""
    monkeypatch.setattr(shop, "work", lambda mean: None)
    random.seed(1)  # else one run of thirty has no order that fails
    client, ask = TestClient(shop.app), visits()
    statuses = {client.simulate_request(*next(ask), params={}).status_code for _ in range(1000)}
    assert statuses == {200, 201, 404, 503}
