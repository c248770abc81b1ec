"""Tables: columns that fit, orders, rows that fit."""

import pytest
from rich.cells import cell_len

from hvd.cli.top.frame import ASCII
from hvd.cli.top.lists import ROUTES, TABLES
from hvd.cli.top.table import Table
from tests.unit.cli.top.data import HOSTILE, job, route, table_texts, worker

ROUTE_ROWS = [route("/a", 10, p99_ms=5.0), route("/b", 1_234_567_890, errors=3), route("/c", 10)]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_line_has_the_width(table: Table, width: int) -> None:
    """However wide the screen; a column that doesn't fit is left out, a number is never cut."""
    rows = {
        "workers": [worker(1, 123_456_789_012, busy=[{"method": "GET", "path": HOSTILE, "age_seconds": 4000.0}])],
        "routes": [*ROUTE_ROWS, route(HOSTILE, 1)],
        "jobs": [job(HOSTILE, "failed", 33.3, error_msg=HOSTILE)],
    }[table.name]
    drawn = table_texts(table, rows, width)
    assert {cell_len(line) for line in drawn} <= {*range(width + 1)}
    assert len(drawn) == len(rows) + 1
    assert all(line.isascii() for line in table_texts(table, rows, width, glyphs=ASCII)), "where the terminal is"
    assert not any(ord(character) < 32 or ord(character) == 0x202E for line in drawn for character in line)


def test_spare_columns_are_the_first_to_go() -> None:
    """And stand in their place where there is room; large numbers are whole."""
    assert any("1,234,567,890" in line for line in table_texts(ROUTES, ROUTE_ROWS))
    assert table_texts(ROUTES, ROUTE_ROWS)[0].split()[2:] == ["COUNT▼", "/S", "ERRORS", "P50", "P99"]
    wide = table_texts(ROUTES, ROUTE_ROWS, 120)[0].split()[2:]
    assert wide == ["COUNT▼", "/S", "ERRORS", "P50", "P90", "P99", "MEAN"]


def test_rows_are_in_the_chosen_order() -> None:
    """From the greatest on, or turned round; equal ones in the order of their names."""

    def order(**more: object) -> list[str]:
        return [line.split()[0] for line in table_texts(ROUTES, ROUTE_ROWS, **more)[1:]]

    assert order() == ["/b", "/a", "/c"]
    assert order(turned=True) == ["/a", "/c", "/b"]
    assert order(order=4) == ["/b", "/c", "/a"]
    assert order(order=5) == ["/a", "/b", "/c"]


def test_the_head_marks_the_order_and_what_is_shown() -> None:
    """An arrow at its column; which rows these are, if not all."""
    rows = [route(f"/{number:02}", 100 - number) for number in range(20)]
    head, *rest = table_texts(ROUTES, rows, height=6, scrolled=3)
    assert "COUNT▼" in head
    assert "4-8/20" in head
    assert [line.split()[0] for line in rest] == ["/03", "/04", "/05", "/06", "/07"]
    *_, last = table_texts(ROUTES, rows, height=6, scrolled=1_000_000)
    assert last.startswith("/19")
