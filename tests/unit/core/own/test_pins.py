"""Pins: which own metrics they are, and the points of each."""

import math

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.pins import KEY_BYTES, PinPoint, Pins
from hvd.errors import BlockFull, BlockLocked
from tests.unit.core.own.support import in_child
from tests.unit.core.support import Watched, keeping_locked

START = 1_800_000_000 * 10**9
STEP = 2 * 10**9


def point(number: int, *values: float) -> PinPoint:
    return PinPoint(START + number * STEP, *values)


def test_what_is_pinned_is_known_to_every_process(block: Block) -> None:
    """By place; a second time is no other pin, and a place is free again once it is unpinned."""
    assert Pins(block).pinned() == []
    in_child(lambda: Pins(block).add("orders"))
    for key in ('level{queue="ü"}', "orders", "turns"):
        Pins(block).add(key)
    assert Pins(block).pinned() == ["orders", 'level{queue="ü"}', "turns"]
    in_child(lambda: Pins(block).remove('level{queue="ü"}'))
    Pins(block).remove("unknown")
    assert Pins(block).pinned() == ["orders", "turns"]
    Pins(block).add("parts")
    assert Pins(block).pinned() == ["orders", "parts", "turns"]


def test_there_are_so_many_places(block: Block) -> None:
    """One more is refused, as is a key that has no room, and anything while a process keeps the lock."""
    pins = Pins(block)
    for number in range(layout.PINS):
        pins.add(f"metric_{number}")
    pins.add("metric_3")
    with pytest.raises(BlockFull, match="16 own metrics are pinned"):
        pins.add("another")
    for key in ("", "x" * (KEY_BYTES + 1)):
        with pytest.raises(ValueError, match="can't be pinned"):
            pins.add(key)
    with keeping_locked(block), pytest.raises(BlockLocked):
        pins.remove("metric_3")
    assert len(pins.pinned()) == layout.PINS


def test_points_outlive_their_writer(block: Block) -> None:
    """One value or two; of what is pinned alone, and of the last fifteen minutes."""
    pins = Pins(block)
    for key in ("orders", "sizes"):
        pins.add(key)
    in_child(lambda: Pins(block).record(START, {"orders": (1.5,), "sizes": (2.0, 3.0), "other": (1.0,)}))
    pins.record(START + STEP, {"sizes": (4.0, 5.0)})
    now = START + STEP
    assert pins.points("sizes", now) == [point(0, 2.0, 3.0), point(1, 4.0, 5.0)]
    ((time_ns, first, second),) = pins.points("orders", now)
    assert (time_ns, first) == (START, 1.5)
    assert math.isnan(second)
    assert pins.points("other", now) == pins.points("sizes", START + 3600 * 10**9) == []


def test_the_ring_keeps_the_newest(block: Block) -> None:
    """As many as fifteen minutes have."""
    pins = Pins(block)
    pins.add("orders")
    for number in range(layout.HISTORY_POINTS + 7):
        pins.record(START + number * STEP, {"orders": (float(number),)})
    points = pins.points("orders", START + (layout.HISTORY_POINTS + 6) * STEP)
    assert [first for _, first, _ in points] == [float(number + 7) for number in range(layout.HISTORY_POINTS)]


def test_what_is_pinned_anew_has_no_points(block: Block) -> None:
    """Neither of its own from before, nor of what had the place."""
    pins = Pins(block)
    pins.add("orders")
    pins.record(START, {"orders": (1.0,)})
    pins.remove("orders")
    pins.record(START, {"orders": (1.0,)})
    pins.add("orders")
    assert pins.points("orders", START) == []


def test_a_point_that_is_half_written_is_none(block: Block) -> None:
    """At each moment of a write there are the points before it, and perhaps it."""
    pins = Pins(block)
    pins.add("orders")
    pins.record(START, {"orders": (1.0, 2.0)})
    seen: list[list[PinPoint]] = []
    plain, reader = block.cells, Pins(block)

    def look(index: object) -> None:
        watched, block.cells = block.cells, plain
        seen.append(reader.points("orders", START + STEP))
        block.cells = watched

    block.cells = Watched(plain, look)  # type: ignore[assignment]
    pins.record(START + STEP, {"orders": (3.0, 4.0)})
    block.cells = plain
    assert seen
    before, after = [point(0, 1.0, 2.0)], [point(0, 1.0, 2.0), point(1, 3.0, 4.0)]
    assert all(points in (before, after) for points in seen)
    assert pins.points("orders", START + STEP) == after


def test_a_locked_block_loses_a_point(block: Block) -> None:
    """No tick waits."""
    pins = Pins(block)
    pins.add("orders")
    with keeping_locked(block):
        pins.record(START, {"orders": (1.0,)})
    assert pins.points("orders", START) == []


def test_a_damaged_key_is_passed_over(block: Block) -> None:
    """By every reader; the others are there."""
    pins = Pins(block)
    pins.add("orders")
    pins.add("turns")
    block.raw[block.layout.pins + 64] ^= 1
    assert pins.pinned() == ["turns"]
