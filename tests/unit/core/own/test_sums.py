"""Sums: they are right after every change, and only pages that changed are read again."""

import importlib
import math
import random
from array import array
from types import ModuleType
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own import hot, sums
from hvd.core.own.definition import FLOAT, INT, STAMP, VALUE
from hvd.core.own.figures import Amounts, Sample
from hvd.core.own.sums import FIRST, NOTHING, SLACK, Plain, sum_of
from hvd.core.slots import Slots
from tests.unit.core.own.support import ORDERS, SHAPE, store_in

_own = importlib.import_module("hvd.core.own._own")
FORMS = {"compiled": _own, "in Python": sums}
in_each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())

MARKS = SHAPE.own_marks
PAGES = range(MARKS // layout.PAGE_CELLS, SHAPE.own_row_cells // layout.PAGE_CELLS)


def kinds_of(*series: tuple[int, ...]) -> bytearray:
    """Those of a row which has these series, one behind the other."""
    kinds = bytearray([NOTHING]) * SHAPE.own_row_cells
    offset = MARKS
    for cells in series:
        kinds[offset : offset + len(cells)] = bytes([cells[0] | FIRST, *cells[1:]])
        offset += len(cells)
    return kinds


@in_each_form
def test_only_what_changed_is_added_up(block: Block, form: ModuleType) -> None:
    """Once a page has been at rest for as long as a writer may be on its way."""
    families = [store_in(block).declare(ORDERS) for _ in range(2)]
    places = [family.place(("a",)) for family in families]
    offset = families[0].in_block.present + 4  # type: ignore[union-attr]  # behind those of the overflow series
    kinds = bytearray([NOTHING]) * SHAPE.own_row_cells
    kinds[offset : offset + 2] = bytes([INT | FIRST, FLOAT])
    heads = [SHAPE.own_row_cell(slot.number) for slot in Slots(block).taken()]
    reader = form.Sums(block.raw, SHAPE.own_row_cells)
    for place in places:
        place.add(0, 1)
    assert reader.read(heads, PAGES, kinds) == [offset]
    for _ in range(SLACK + 1):
        assert reader.read(heads, PAGES, kinds) == []
    block.cells[heads[0] + offset] += 1  # without a mark: nobody looks there
    assert reader.read(heads, PAGES, kinds) == []
    places[1].add(0, 1)
    assert reader.read(heads, PAGES, kinds) == [offset]
    assert reader.cells[offset] == 4


@in_each_form
def test_a_store_just_before_a_reading_is_seen_by_one_of_the_next(block: Block, form: ModuleType) -> None:
    """A page that was marked within the last readings is read again."""
    family = store_in(block).declare(ORDERS)
    place = family.place(("a",))
    head = SHAPE.own_row_cell(next(Slots(block).taken()).number)
    kinds = bytearray([INT | FIRST]) * SHAPE.own_row_cells
    place.add(0, 1)
    reader = form.Sums(block.raw, SHAPE.own_row_cells)
    changed = reader.read([head], PAGES, kinds)
    place.add(0, 1)
    reader.read([head], PAGES, kinds)
    block.cells[head + changed[-1]] += 1  # by a writer that had found its mark fresh
    assert reader.read([head], PAGES, kinds) == [changed[-1]]


@in_each_form
def test_an_epoch_that_was_set_back_hides_nothing(block: Block, form: ModuleType) -> None:
    """Whoever finds that reads all."""
    reader = form.Sums(block.raw, SHAPE.own_row_cells)
    kinds, head = bytearray([INT | FIRST]) * SHAPE.own_row_cells, SHAPE.own_row_cell(0)
    for _ in range(10):
        reader.read([head], PAGES, kinds)
    block.cells[head + MARKS] = 5
    block.cells[layout.H_EPOCH] = 3
    assert reader.read([head], PAGES, kinds) == [MARKS]


def test_both_forms_add_up_the_same(block: Block) -> None:
    """Random cells of all kinds in any rows; what is at the end of an integer stays there."""
    rng = random.Random(7)
    series = [(INT, FLOAT), (FLOAT, *[INT] * 12), (VALUE, STAMP)] * 60
    kinds = kinds_of(*series)
    heads = [SHAPE.own_row_cell(slot) for slot in range(SHAPE.slots)]
    readers: list[Any] = [form.Sums(block.raw, SHAPE.own_row_cells) for form in FORMS.values()]
    added = [cell for cell in range(SHAPE.own_row_cells) if kinds[cell] & ~FIRST in (INT, FLOAT)]
    for _ in range(30):
        for _ in range(rng.randrange(40)):
            head, cell = rng.choice(heads), rng.randrange(MARKS, MARKS + 60 * 17)
            if kinds[cell] & ~FIRST == FLOAT:
                block.floats[head + cell] += rng.choice([0.5, 1e300, 1.0, math.inf])
            else:
                block.cells[head + cell] = rng.choice([block.cells[head + cell] | 1, 5, 2**62, 2**63 - 1])
            block.cells[head + cell // layout.PAGE_CELLS] = block.cells[layout.H_EPOCH]
        changed = [reader.read(heads, PAGES, kinds) for reader in readers]
        assert changed[0] == changed[1]
        assert [readers[0].cells[cell] for cell in added] == [readers[1].cells[cell] for cell in added]


@in_each_form
def test_samples_of_counters_are_made_anew(block: Block, form: ModuleType) -> None:
    """Each where it belongs; what is no integer is in the sum."""
    reader = form.Sums(block.raw, SHAPE.own_row_cells)
    reader.cells[MARKS], reader.cells[MARKS + 2], reader.floats[MARKS + 3] = 2**53 + 1, 2, 0.5
    samples: list[Any] = [(), (), ()]
    first = Plain(("a",), 1.5, MARKS, MARKS + 1, MARKS + 1, None, samples, 0)
    second = Plain(("b",), 2.5, MARKS + 2, MARKS + 3, MARKS + 3, None, samples, 2)
    reader.renew([first, second], Sample, {})
    assert samples == [(Sample(("a",), 2**53 + 1, 1.5, {}),), (), (Sample(("b",), 2.5, 2.5, {}),)]
    assert type(samples[0][0]) is Sample


@in_each_form
def test_samples_of_histograms_are_made_anew(block: Block, form: ModuleType) -> None:
    """With counts and sum, of their own types."""
    reader, samples = form.Sums(block.raw, SHAPE.own_row_cells), list[Any]([()])
    reader.floats[MARKS], reader.cells[MARKS + 1], reader.cells[MARKS + 2] = 2.5, 2**53 + 1, 3
    reader.renew([Plain(("a",), 1.5, MARKS + 1, MARKS + 3, MARKS, Amounts, samples, 0)], Sample, {})
    assert samples == [(Sample(("a",), Amounts((2**53 + 1, 3), 2.5), 1.5, {}),)]
    assert (type(samples[0][0].value), samples[0][0].value.observed) == (Amounts, 2**53 + 4)


@in_each_form
def test_gauges_are_read_row_by_row(form: ModuleType) -> None:
    """Of the tenancy that a row has, or of any."""
    cells = array("q", [0] * 400)
    raw = memoryview(cells).cast("B")
    for row, value, stamp in ((100, 1.5, 7), (200, -2.0, 8), (300, 9.0, 0)):
        raw.cast("d")[row + 3], cells[row + 4] = value, stamp
    assert form.gauge_values(raw, memoryview(array("q", [100, 7, 200, 7, 300, 0])), 3) == [1.5]
    assert form.gauge_values(raw, memoryview(array("q", [100, 0, 200, 0, 300, 0])), 3) == [1.5, -2.0]
    assert form.gauge_values(raw, memoryview(array("q")), 3) == []
    like, rows = Sample(("a",), 0.0, 1.5), memoryview(array("q", [100, 7, 200, 7, 200, 8]))
    samples = form.gauge_samples(raw, rows, 3, ["1", "2", "3"], like)
    assert samples == (like._replace(labels=("a", "1"), value=1.5), like._replace(labels=("a", "3"), value=-2.0))
    assert [type(sample) for sample in samples] == [Sample, Sample]
    with pytest.raises(TypeError):
        _own.gauge_samples(raw, rows, 3, ["1"], ("a", 0.0, 1.5, {}))
    for rows, cell in (([398, 0], 1), ([-1, 0], 0), ([0, 0], 399), ([2**62, 0], 3)):
        with pytest.raises(IndexError):
            _own.gauge_values(raw, memoryview(array("q", rows)), cell)
        with pytest.raises(IndexError):
            _own.gauge_samples(raw, memoryview(array("q", rows)), cell, ["1"], like)


@in_each_form
def test_counts_are_texts_between_pieces(form: ModuleType) -> None:
    """Up to each bucket, and in all; what is not so simple is left to others."""
    assert form.counts_text(("a ", "\nb ", "\nc ", " d"), (3, 999_996)) == "a 3.0\nb 999999.0\nc 999999.0 d"
    assert form.counts_text(("a", "b"), ()) == "a0.0b"
    for pieces, counts in ((("a", "b", "c"), (10**6,)), (("a", "b", "c"), (-1,)), (("a", "b"), (1,)), ((), ())):
        assert form.counts_text(pieces, counts) is None
    assert form.counts_text(("a", "b", "c"), (10**30,)) is None
    assert form.counts_text(("\xfc", "\ud800", "c"), (1,)) in (None, "\xfc1.0\ud8001.0c")


def test_the_compiled_form_refuses_a_counter_that_is_none() -> None:
    """Whatever it is given."""
    reader = _own.Sums(memoryview(bytearray(8000)), 500)
    good = Plain(("a",), 1.5, 0, 1, 1, None, [()], 0)
    for wrong in ({"first": -1}, {"first": 1}, {"end": 501}, {"more": 500}, {"more": -1}, {"place": 1}, {"place": -1}):
        with pytest.raises(IndexError):
            reader.renew([good._replace(**wrong)], Sample, {})
    for arguments in (
        ([()], Sample, {}),
        ([good._replace(samples=())], Sample, {}),
        ([good._replace(amounts=dict)], Sample, {}),
        ([good], dict, {}),
        ((), Sample, {}),
    ):
        with pytest.raises(TypeError):
            reader.renew(*arguments)


def test_the_compiled_form_refuses_what_would_be_outside_of_the_block(block: Block) -> None:
    """Whatever damaged cells say."""
    kinds = bytearray(SHAPE.own_row_cells)
    reader = _own.Sums(block.raw, SHAPE.own_row_cells)
    for heads in ([-1], [SHAPE.size // 8], [2**62], ["x"]):
        with pytest.raises((ValueError, TypeError)):
            reader.read(heads, PAGES, kinds)
    for pages in (range(-1, 2), range(PAGES.stop + 1)):
        with pytest.raises(ValueError, match="not within the row"):
            reader.read([0], pages, kinds)
    with pytest.raises(ValueError, match="not within the row"):
        reader.read([0], PAGES, kinds[:-1])
    with pytest.raises(ValueError, match="not within the block"):
        _own.Sums(memoryview(array("q", [0] * 100)).cast("B"), 101)
    with pytest.raises(RuntimeError, match="no block"):
        _own.Sums.__new__(_own.Sums).read([0], PAGES, kinds)
    with pytest.raises(ValueError, match="not within the row"):
        _own.Sums(block.raw, 0).read([0], range(0), kinds)
    assert reader.read([0], range(3, 1), kinds) == []


def test_the_compiled_form_is_used() -> None:
    """Where there is one."""
    assert hot.Sums is _own.Sums


def test_floats_are_added_up_as_if_they_were_rounded_once() -> None:
    """And no infinity is an error."""
    assert sum_of([0.1] * 10) == 1.0
    assert sum_of([1e308, 1e308]) == math.inf
    assert math.isnan(sum_of([math.inf, -math.inf]))
