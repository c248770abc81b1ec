"""Where everything lies."""

import itertools

import pytest

from hvd.core import layout
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from hvd.metrics.table import FAMILIES, HTTP
from tests.unit.core.support import SMALL

SHAPES = [
    Layout(slots, rows, series, TIMED_CELLS)
    for slots, rows, series in itertools.product((9, 72, 4104), (1, 8, 260), (16, 2000))
]


def parts(shape: Layout) -> list[tuple[int, int]]:
    """First byte and end of everything but the rows, in order."""
    return [
        (0, layout.PAGE),
        (shape.slot_table, shape.slot_table + shape.slots * layout.SLOT_CELLS * layout.CELL),
        (shape.post_mortems, shape.post_mortems + layout.POST_MORTEMS * layout.POST_MORTEM_BYTES),
        (shape.pages, shape.pages + layout.COMPANION_SLOTS * layout.PAGE_BYTES),
        (shape.history, shape.history + layout.HISTORY_POINTS * layout.HISTORY_RECORD_CELLS * layout.CELL),
        (shape.events, shape.events + layout.EVENTS * layout.EVENT_BYTES),
        (shape.spans, shape.spans + layout.SPANS * layout.SPAN_BYTES),
        (shape.catalogue, shape.catalogue + shape.catalogue_bytes),
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_parts_do_not_overlap(shape: Layout) -> None:
    """Each begins on a page, not before the end of the one before; the rows fill the rest."""
    spans = [*parts(shape), (shape.first_row, shape.size)]
    assert all(start % layout.PAGE == 0 and start < end for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("shape", SHAPES[:6], ids=repr)
def test_rows_follow_each_other_on_pages_of_their_own(shape: Layout) -> None:
    """So no two threads write one cache line; the last ends where the segment does."""
    row_bytes = shape.row_cells * layout.CELL
    places = itertools.product(range(shape.slots), range(shape.rows))
    starts = [shape.row_cell(*place) * layout.CELL for place in places]
    assert starts == list(range(shape.first_row, shape.size, row_bytes))
    assert row_bytes % layout.PAGE == 0


def test_slot_records_do_not_overlap() -> None:
    """Neither with each other nor, with their cells for base values, with the next part."""
    records = [SMALL.slot_cell(number) for number in range(SMALL.slots)]
    assert records == [SMALL.slot_table // layout.CELL + number * layout.SLOT_CELLS for number in range(SMALL.slots)]
    assert layout.S_BASE + 4 <= layout.S_ROWS < layout.S_SHARED < layout.SLOT_CELLS


def test_the_text_of_a_row_fits_in_its_head() -> None:
    """Behind the named cells, before the first run."""
    assert layout.R_BUSY < layout.R_TEXT
    assert layout.R_TEXT + layout.TEXT_BYTES // layout.CELL <= layout.HEAD_CELLS


def test_a_row_has_room_for_every_series_that_the_limits_allow() -> None:
    """With every family full and its overflow series beside."""
    for shape in SHAPES:
        cells = layout.HEAD_CELLS + sum(
            ((shape.series if family.limit is None else family.limit) + 1) * family.cells for family in FAMILIES.all
        )
        assert cells <= shape.row_cells
    assert HTTP.limit is None


def test_checksums_tell_layouts_apart() -> None:
    """One number of the header changed, and it does not agree any more."""
    layouts = [*SHAPES, Layout(9, 1, 16, TIMED_CELLS + 1)]
    assert len({shape.checksum for shape in layouts}) == len(layouts)


def test_round_up() -> None:
    """To the next multiple, which may be the number itself."""
    assert [layout.round_up(size, 8) for size in (0, 1, 8, 9)] == [0, 8, 8, 16]


def test_a_block_of_this_format_is_as_it_always_was() -> None:
    """So each version with this format can take over, and share, the blocks of the others."""
    shape = Layout(slots=12, rows=4, series=20, run_cells=172, own_series=100)
    assert (layout.FORMAT, TIMED_CELLS) == (7, 172)
    assert (shape.checksum, shape.size, shape.row_cells) == (922_569_749, 35_721_216, 59_904)
    assert (shape.own_marks, shape.own_row_cells, shape.first_own_row) == (512, 4096, 11_333_632)
    assert (shape.events, shape.spans, shape.baselines, shape.first_row) == (
        4_759_552,
        5_021_696,
        11_759_616,
        12_718_080,
    )
    assert (layout.EVENTS, layout.EVENT_BYTES, layout.SPANS, layout.SPAN_BYTES) == (256, 1024, 96, 16_384)
    assert (layout.H_ENDS, layout.ENDS, layout.H_BASELINES, layout.BASELINE_CELLS) == (72, 3, 80, 5)


def test_readers_of_own_metrics_add_in_a_cache_line_of_their_own() -> None:
    """What masters write is in other ones."""
    line = range(layout.H_EPOCH, layout.H_EPOCH + 64 // layout.CELL)
    assert line.start * layout.CELL % 64 == 0
    assert line.start > layout.H_PINS
    assert line.stop <= layout.H_ENDS
    assert layout.H_ENDS + layout.ENDS <= layout.H_BASELINES
    assert layout.H_BASELINES + 2 * layout.BASELINE_CELLS <= layout.PAGE // layout.CELL


@pytest.mark.parametrize("series", [1, 256, 20_000, 531_441, 768_017, 1_000_000])
def test_each_page_of_a_row_of_own_metrics_has_a_mark(series: int) -> None:
    """Before the first cell that a series may have."""
    shape = Layout(slots=12, rows=4, series=20, run_cells=172, own_series=series)
    assert shape.own_row_cells // layout.PAGE_CELLS <= shape.own_marks
