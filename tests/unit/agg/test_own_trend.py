"""Own metrics from tick to tick: points of what is pinned, and details for those who ask."""

import json
import logging
from typing import Any

import pytest

from hvd.agg.own_trend import SERIES, OwnTrend
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.figures import FamilyFigures, OwnReader, Sample
from hvd.core.own.pins import Pins
from hvd.read.recent import Look
from tests.unit.core.own.conftest import block as block
from tests.unit.core.own.support import ORDERS, PARTS, SIZES, TURNS, gauge, store_in

SECOND = 10**9
NOW = 1_800_000_000 * SECOND


class Scene:
    """A process that counts, and an aggregator's trend of it."""

    def __init__(self, block: Block) -> None:
        self.block, self.store = block, store_in(block)
        self.families: dict[str, Any] = {
            one.name: self.store.declare(one) for one in (ORDERS, TURNS, SIZES, PARTS, gauge("liveall", "level"))
        }
        self.reader, self.is_newest = OwnReader(block), True
        self.trend = OwnTrend(block, lambda: self.is_newest)

    def tick(self, second: int, *, point: bool = True) -> None:
        self.trend.tick(self.look(second), NOW + second * SECOND if point else None)

    def look(self, second: int) -> Look:
        return Look(second * SECOND, tuple(self.reader.read().families))

    def detail(self, second: int) -> Any:
        """As JSON has it."""
        return json.loads(json.dumps(self.trend.detail(self.look(second)), allow_nan=False))

    def points(self, key: str) -> list[tuple[int, float]]:
        points = Pins(self.block).points(key, NOW + 900 * SECOND)
        return [((time_ns - NOW) // SECOND, first) for time_ns, first, _ in points]


@pytest.fixture
def scene(block: Block) -> Scene:
    return Scene(block)


def test_what_is_pinned_gets_points(scene: Scene) -> None:
    """Each of the time since the point before it, whatever ticks there were in between."""
    scene.trend.pin(["orders_total", 'orders_total{shop="b"}', "unknown"])
    scene.families["orders"].place(("a",)).inc(100)
    scene.tick(0)
    for second in range(1, 5):
        scene.families["orders"].place(("b",)).inc(3)
        scene.tick(second, point=second % 2 == 0)
    assert scene.points("orders_total")[1:] == [(2, 3.0), (4, 3.0)]
    assert scene.points('orders_total{shop="b"}') == [(2, 3.0), (4, 3.0)]
    assert scene.points("unknown") == scene.points("turns_total") == []
    assert scene.points("orders_total")[0][1] != 50.0, "what was counted before anybody looked is no rate"


def test_of_two_aggregators_the_newest_writes(scene: Scene) -> None:
    """The other one goes on telling its clients."""
    scene.trend.pin(["level"])
    scene.families["level"].place(()).set(4)
    scene.is_newest = False
    scene.tick(0)
    assert scene.points("level") == []
    scene.is_newest = True
    scene.tick(2)
    assert scene.points("level") == [(2, 4.0)]


def test_what_cannot_be_pinned_is_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """And the rest is pinned."""
    with caplog.at_level(logging.WARNING):
        scene.trend.pin(["x" * 2000, *(f"metric_{number}" for number in range(layout.PINS)), "one_more"])
    assert len(scene.trend.pinned) == layout.PINS
    assert ["can't be pinned" in caplog.text, "unpin one" in caplog.text] == [True, True]


def test_details_tell_what_each_did_lately(scene: Scene) -> None:
    """Beside what it is; all series of a metric together, too. As JSON can have it."""
    for name, amounts in (("sizes", (0.5, 5)), ("parts", (2, 4))):
        for amount in amounts:
            scene.families[name].place(()).observe(amount)
    scene.families["level"].place(()).set(float("inf"))
    scene.trend.pin(["orders_total", "parts", "gone"])
    first = scene.detail(0)
    assert first["pinned"] == {"orders_total": {}, "parts": {"mean": None}, "gone": {}}
    for second in (0, 2):
        for shop in "ab":
            scene.families["orders"].place((shop,)).inc(1)
        scene.tick(second)
    details = scene.detail(2)
    orders, turns, sizes, parts, level = details["own"]
    assert [orders[name] for name in ("name", "kind", "series_total", "recent")] == [
        "orders",
        "counter",
        2,
        {"rate": 1.0},
    ]
    assert [(series["labels"], series["value"], series["recent"]) for series in orders["series"]] == [
        ({"shop": "a"}, 2, {"rate": 0.5}),
        ({"shop": "b"}, 2, {"rate": 0.5}),
    ]
    assert [metric["recent"] for metric in (turns, sizes, parts, level)] == [
        {},
        {"p50": None, "p99": None},
        {"mean": None},
        {"value": None},
    ]
    assert details["pinned"] == {"orders_total": {"rate": 1.0}, "parts": {"mean": None}, "gone": {}}


def test_between_two_points_rates_are_of_a_whole_time(scene: Scene) -> None:
    """Since the point before the last one; not of the moment since the last. After a pause nothing is known."""
    turns = scene.families["turns"].place(())
    turns.inc(100)
    scene.tick(0)
    for second in range(1, 5):
        turns.inc(6)
        scene.tick(second, point=second % 2 == 0)
        (recent,) = [metric["recent"] for metric in scene.detail(second)["own"] if metric["name"] == "turns"]
        assert recent == {"rate": None if second < 2 else 6.0}
    scene.trend.pause()
    assert scene.detail(5)["own"][1]["recent"] == {"rate": None}


def test_details_are_bounded(block: Block) -> None:
    """The first series of each metric, and all of them together; what is pinned is told whichever it is."""

    def look(second: int) -> Look:
        samples = (Sample((str(number),), 10 + second * (number == SERIES + 1), 0.0) for number in range(SERIES + 5))
        return Look(second * SECOND, (FamilyFigures(ORDERS, ("shop",), tuple(samples)),))

    trend = OwnTrend(block, lambda: True)
    trend.pin([f'orders_total{{shop="{SERIES + 1}"}}', "orders_total"])
    for second in (0, 2):
        trend.tick(look(second), NOW + second * SECOND)
    details = trend.detail(look(2))
    assert [len(details["own"][0]["series"]), details["own"][0]["series_total"]] == [SERIES, SERIES + 5]
    assert [*details["pinned"].values()] == [{"rate": 1.0}, {"rate": 1.0}]
