"""Gauges: what the processes' values come to; test_figures.py has them with processes that live and die."""

import math

import pytest

from hvd.core.block import Block
from hvd.core.own.figures import OwnReader
from hvd.core.own.gauges import Gauges, family_is_by_process, merged
from tests.unit.core.own.support import TURNS, gauge, store_in, values


@pytest.mark.parametrize(
    ("mode", "value"), [("sum", 4.0), ("livemin", 1.0), ("max", 3.0), ("mostrecent", 1.0), ("livemostrecent", 1.0)]
)
def test_what_several_values_come_to(mode: str, value: float) -> None:
    """By their time, where the most recent one counts; what is no number is left out."""
    assert merged(mode, [(3.0, 1.0), (math.nan, 1.5), (1.0, 2.0)]) == value
    assert math.isnan(merged(mode, [(math.nan, 1.0)]))


def test_a_new_process_changes_the_tenants(block: Block) -> None:
    """And is the one who has declared its families."""
    gauges = Gauges(block)
    gauges.need_living = True
    gauges.read_tenants()
    family = store_in(block).declare(TURNS)
    assert family.in_block is not None
    assert not gauges.is_declared(family.in_block)
    assert gauges.read_tenants()
    assert gauges.is_declared(family.in_block)
    assert not gauges.read_tenants()


@pytest.mark.parametrize("mode", ["liveall", "sum", "mostrecent"])
def test_each_set_shows_at_the_next_reading(block: Block, mode: str) -> None:
    """Though a gauge is not added up."""
    family, reader = store_in(block).declare(gauge(mode)), OwnReader(block)
    for number in range(1, 8):
        family.place().set(number, float(number))  # type: ignore[attr-defined]
        assert [*values(block, "level", reader).values()] == [number]


def test_of_all_processes_each_is_shown() -> None:
    """Whether they live or not."""
    assert [family_is_by_process(one) for one in (gauge("all"), gauge("liveall"), gauge("sum"), TURNS)] == [
        *(True, True),
        *(False, False),
    ]
