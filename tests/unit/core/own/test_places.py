"""Places: exact counting, before there is a slot, in it, and in a forked child."""

import math
from typing import Any

import pytest

from hvd.core.block import Block
from hvd.core.own.definition import Definition
from hvd.core.own.places import CounterPlace, GaugePlace, HistogramPlace, SummaryPlace
from tests.unit.core.own.support import PARTS, SIZES, TURNS, gauge, store_in, values
from tests.unit.core.support import in_threads


def place(block: Block, definition: Definition) -> Any:
    """A place in a slot of this process."""
    family = store_in(block).declare(definition)
    block.kept = family  # type: ignore[attr-defined]  # families last as long as they are referred to
    return family.place()


def test_integers_are_exact_beyond_what_floats_have(block: Block) -> None:
    """And stay at what an integer cell holds."""
    counter: CounterPlace = place(block, TURNS)
    counter.inc(2**53)
    counter.inc(1)
    assert values(block, "turns")[()] == 2**53 + 1
    counter.inc(2**63)
    assert values(block, "turns")[()] == float(2**63 + 2**53 + 1)
    counter.inc(0.5)
    counter.inc(math.nan)
    assert values(block, "turns")[()] == float(2**63 + 2**53 + 1)


def test_a_negative_amount_is_refused(block: Block) -> None:
    """As in prometheus_client."""
    with pytest.raises(ValueError, match="non-negative"):
        place(block, TURNS).inc(-1)


def test_threads_lose_nothing(block: Block) -> None:
    """All of them count in one place."""
    counter = place(block, TURNS)
    works = [lambda: [counter.inc() for _ in range(2000)]] * 4
    with in_threads(*works):
        pass
    assert values(block, "turns")[()] == 8000


def test_bounds_belong_to_their_bucket(block: Block) -> None:
    """NaN is not counted, nor what would make the sum NaN."""
    sizes: HistogramPlace = place(block, SIZES)
    for amount in (1.0, 1.5, 10.0, 11.0, math.nan):
        sizes.observe(amount)
    assert values(block, "sizes")[()] == ((1, 2, 1), 23.5)


def test_a_summary_has_number_and_sum(block: Block) -> None:
    """Infinity of both signs would be NaN: the second one isn't counted."""
    parts: SummaryPlace = place(block, PARTS)
    parts.observe(2.5)
    parts.observe(math.inf)
    parts.observe(-math.inf)
    assert values(block, "parts")[()] == ((2,), math.inf)


def test_a_gauge_is_the_processes(block: Block) -> None:
    """What it was set to last, and what came to it since."""
    level: GaugePlace = place(block, gauge("livesum"))
    level.set(5)
    level.inc(2)
    level.dec(0.5)
    assert (level.value, values(block, "level")[()]) == (6.5, 6.5)
