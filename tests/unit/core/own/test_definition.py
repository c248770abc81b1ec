"""Definitions: what cells a series has, which two agree, what the catalogue keeps of them."""

import pytest

from hvd.core.own import logarithmic
from hvd.core.own.definition import FLOAT, HELP_CHARS, INT, MODES, STAMP, TIME, VALUE, Definition
from tests.unit.core.own.support import ORDERS, PARTS, SIZES, TURNS, gauge

LOGARITHMIC = Definition("latency", "histogram", "", buckets=logarithmic.BUCKETS)
STATES = Definition("state", "stateset", "", states=("on", "off"), mode="mostrecent")


@pytest.mark.parametrize(
    ("definition", "cells"),
    [
        (TURNS, (INT, FLOAT)),
        (PARTS, (INT, FLOAT)),
        (SIZES, (FLOAT, INT, INT, INT)),
        (LOGARITHMIC, (FLOAT, *(INT,) * logarithmic.CELLS)),
        (gauge("livesum"), (VALUE, STAMP)),
        (gauge("livemostrecent"), (VALUE, STAMP, TIME)),
        (STATES, (VALUE, STAMP, TIME)),
    ],
    ids=lambda value: value.name if isinstance(value, Definition) else "",
)
def test_a_kind_has_its_cells(definition: Definition, cells: tuple[int, ...]) -> None:
    """What readers add up, and what belongs to a process."""
    assert definition.cells == cells


@pytest.mark.parametrize("definition", [ORDERS, SIZES, LOGARITHMIC, STATES, gauge("liveall", "level", "a", "b")])
def test_a_record_says_all_of_it(definition: Definition) -> None:
    """What another process reads is the same definition."""
    assert Definition.of_record(definition.as_record()) == definition


def test_a_record_is_bounded() -> None:
    """The help is cut, and hvd's own buckets are one word."""
    record = Definition("a", "histogram", "x" * 2 * HELP_CHARS, buckets=logarithmic.BUCKETS).as_record()
    assert (len(record["help"]), record["buckets"]) == (HELP_CHARS, "log")


def test_definitions_agree_but_for_the_help() -> None:
    """All that decides where and how processes count has to be the same."""
    assert TURNS.agrees(Definition("turns", "counter", "Other words."))
    assert not TURNS.agrees(Definition("turns", "counter", "Turns.", registry="-"))
    assert not SIZES.agrees(Definition("sizes", "histogram", "Sizes.", unit="bytes", buckets=(1.0, 11.0)))


def test_differences_are_said() -> None:
    """Those alone in which the two differ."""
    other = Definition("orders", "gauge", "", labels=("shop",), mode="sum")
    assert ORDERS.differences(other) == "kind 'counter' and 'gauge', mode '' and 'sum'"


def test_modes_that_keep_what_the_dead_left() -> None:
    """sum, min, max and mostrecent; `all` is given as liveall."""
    assert {mode for mode in MODES if gauge(mode).keeps} == {"sum", "min", "max", "mostrecent"}
    assert len(MODES) == 10
