"""Where everything lies."""

import itertools

import pytest

from hvd.core import layout as at
from hvd.core.layout import Layout
from hvd.metrics.table import FAMILIES, HTTP, TIMED_CELLS
from tests.unit.core.support import SMALL

SHAPES = [
    Layout(slots, rows, series, TIMED_CELLS)
    for slots, rows, series in itertools.product((9, 72, 4104), (1, 8, 260), (16, 2000))
]


def parts(layout: Layout) -> list[tuple[int, int]]:
    """First byte and end of everything but the rows, in order."""
    return [
        (0, at.PAGE),
        (layout.slot_table, layout.slot_table + layout.slots * at.SLOT_CELLS * at.CELL),
        (layout.post_mortems, layout.post_mortems + at.POST_MORTEMS * at.POST_MORTEM_BYTES),
        (layout.pages, layout.pages + at.COMPANION_SLOTS * at.PAGE_BYTES),
        (layout.history, layout.history + at.HISTORY_POINTS * at.HISTORY_RECORD_CELLS * at.CELL),
        (layout.catalogue, layout.catalogue + layout.catalogue_bytes),
    ]


@pytest.mark.parametrize("layout", SHAPES, ids=repr)
def test_parts_do_not_overlap(layout: Layout) -> None:
    """Each begins on a page, not before the end of the one before; the rows fill the rest."""
    found = [*parts(layout), (layout.first_row, layout.size)]
    assert all(start % at.PAGE == 0 and start < end for start, end in found)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(found))


@pytest.mark.parametrize("layout", SHAPES[:6], ids=repr)
def test_rows_follow_each_other_on_pages_of_their_own(layout: Layout) -> None:
    """So no two threads write one cache line; the last ends where the segment does."""
    row_bytes = layout.row_cells * at.CELL
    starts = [layout.row_cell(*place) * at.CELL for place in itertools.product(range(layout.slots), range(layout.rows))]
    assert starts == list(range(layout.first_row, layout.size, row_bytes))
    assert row_bytes % at.PAGE == 0


def test_slot_records_do_not_overlap() -> None:
    """Neither with each other nor, with their cells for base values, with the next part."""
    records = [SMALL.slot_cell(number) for number in range(SMALL.slots)]
    assert records == [SMALL.slot_table // at.CELL + number * at.SLOT_CELLS for number in range(SMALL.slots)]
    assert at.S_BASE + 4 <= at.S_ROWS < at.S_SHARED < at.SLOT_CELLS


def test_the_text_of_a_row_fits_in_its_head() -> None:
    """Behind the named cells, before the first run."""
    assert at.R_BUSY < at.R_TEXT
    assert at.R_TEXT + at.TEXT_BYTES // at.CELL <= at.HEAD_CELLS


def test_a_row_has_room_for_every_series_that_the_limits_allow() -> None:
    """With every family full and its overflow series beside."""
    for layout in SHAPES:
        cells = at.HEAD_CELLS + sum(
            ((layout.series if family.limit is None else family.limit) + 1) * family.cells
            for family in FAMILIES.values()
        )
        assert cells <= layout.row_cells
    assert HTTP.limit is None


def test_checksums_tell_layouts_apart() -> None:
    """One number of the header changed, and it does not agree any more."""
    layouts = [*SHAPES, Layout(9, 1, 16, TIMED_CELLS + 1)]
    assert len({layout.checksum for layout in layouts}) == len(layouts)


def test_round_up() -> None:
    """To the next multiple, which may be the number itself."""
    assert [at.round_up(size, 8) for size in (0, 1, 8, 9)] == [0, 8, 8, 16]
