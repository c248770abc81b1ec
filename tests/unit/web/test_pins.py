"""`/api/v1/pins`: what is pinned, with its points; pinning and unpinning, and what is refused."""

import time
from types import SimpleNamespace

import falcon.testing
import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.pins import Pins
from hvd.web.app import create_app
from hvd.web.here import Here
from tests.unit.core.own.conftest import block as block
from tests.unit.core.support import keeping_locked
from tests.unit.web.asking import USUAL

PATH = "/api/v1/pins"


@pytest.fixture
def client(block: Block, monkeypatch: pytest.MonkeyPatch) -> falcon.testing.TestClient:
    here = Here()
    here.parts = SimpleNamespace(block=block, settings=USUAL)  # type: ignore[assignment]
    monkeypatch.setattr("hvd.web.gate.check_scope", lambda *_, **__: None)  # see test_gate.py
    return falcon.testing.TestClient(create_app(here), headers={"Host": "127.0.0.1:8080"})


def keys(client: falcon.testing.TestClient) -> list[str]:
    return [pin["key"] for pin in client.simulate_get(PATH).json["pins"]]


def test_a_metric_is_pinned_and_unpinned(client: falcon.testing.TestClient) -> None:
    """Each as often as one likes."""
    key = 'orders_total{shop="ü & b",x="a/b"}'
    for _ in range(2):
        assert client.simulate_put(PATH, params={"key": key}, params_csv=False).status_code == 204
        assert keys(client) == [key]
    for _ in range(2):
        assert client.simulate_delete(PATH, params={"key": key}, params_csv=False).status_code == 204
        assert keys(client) == []


def test_points_are_told_as_json_has_them(client: falcon.testing.TestClient, block: Block) -> None:
    """The times are those of the history; a value where there is one, and null where it isn't known."""
    pins, now = Pins(block), time.time_ns()
    for key in ("orders_total", "sizes"):
        pins.add(key)
    pins.record(now - 10**9, {"orders_total": (float("nan"),), "sizes": (1.23456789, 2.0)})
    pins.record(now, {"orders_total": (2.5,), "sizes": (float("nan"), float("inf"))})
    times = [round((now - 10**9) / 1e9, 3), round(now / 1e9, 3)]
    assert client.simulate_get(PATH).json["pins"] == [
        {"key": "orders_total", "points": [[times[0], None], [times[1], 2.5]]},
        {"key": "sizes", "points": [[times[0], 1.23457, 2.0], [times[1], None, None]]},
    ]


def test_what_cannot_be_done_is_refused(client: falcon.testing.TestClient, block: Block) -> None:
    """Without a key, with one that is too long, where all places are taken, while the block is locked."""
    assert client.simulate_put(PATH).status_code == client.simulate_delete(PATH).status_code == 400
    assert client.simulate_put(PATH, params={"key": "x" * 2000}).status_code == 400
    with keeping_locked(block):
        assert client.simulate_put(PATH, params={"key": "a"}).status_code == 503
        assert client.simulate_delete(PATH, params={"key": "a"}).status_code == 503
    for number in range(layout.PINS):
        Pins(block).add(f"metric_{number}")
    answer = client.simulate_put(PATH, params={"key": "a"})
    assert (answer.status_code, "unpin one" in answer.json["detail"]) == (409, True)
