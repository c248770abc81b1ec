"""Rows as lines of aligned columns."""

import pytest
from rich.cells import cell_len

from hvd.cli.top.columns import Lines
from hvd.cli.top.frame import ASCII, UNICODE
from hvd.cli.top.lists import JOBS, ROUTES, WORKERS
from tests.unit.cli.top.data import HOSTILE, job, route, table_texts, worker

LONG = "/orders/{order_id}/items/{item_id}/with/a/long/tail"


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
def test_lines_are_as_wide_as_the_screen(width: int) -> None:
    """Whatever is in them."""
    for table, rows in (
        (ROUTES, [route(HOSTILE, 1), route("/a", 10**15)]),
        (WORKERS, [worker(2**31, 10**15)]),
        (JOBS, [job(HOSTILE, "running", 40.0)]),
    ):
        for glyphs in (UNICODE, ASCII):
            for line in table_texts(table, rows, width, glyphs=glyphs):
                assert cell_len(line) <= width, line
                assert "\x1b" not in line
                assert glyphs is UNICODE or line.isascii()


def test_what_a_row_is_keeps_its_room() -> None:
    """Columns go first, spare ones before the others; that by which it is sorted stays; a name is cut in its middle."""
    head, row = table_texts(ROUTES, [route(LONG, 1)], 60)
    assert row.split()[0] == "/orders/{orde…/a/long/tail"
    assert "MEAN" not in head
    assert "MEAN▼" in table_texts(ROUTES, [route(LONG, 1)], 60, order="mean")[0]
    assert "MEAN▲" in table_texts(ROUTES, [route(LONG, 1)], 60, order="mean", turned=True)[0]


def test_heads_say_what_a_click_sorts_by() -> None:
    """Each names its column."""
    head, _ = Lines(80).drawn(ROUTES, [])
    orders = [span.style.meta.get("order") for span in head.spans if not isinstance(span.style, str)]
    assert orders[:3] == ["route", "rate", "5xx"]
