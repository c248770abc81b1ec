"""The lists: columns that fit, orders, rows that fit."""

import pytest
from rich.cells import cell_len

from hvd.cli.top.tables import ASCII, JOBS, ROUTES, TABLES, WORKERS, Shape, Table, serving, table_lines
from tests.unit.cli.top.data import HOSTILE, job, route, worker


def lines(
    table: Table, rows: list[dict[str, object]], width: int = 80, height: int | None = None, **more: object
) -> list[str]:
    shape = Shape(width, height, **more)  # type: ignore[arg-type]
    return [line.plain for line in table_lines(table, [f"{table.name} {len(rows)}", table.name], rows, shape)]


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
    drawn = lines(table, rows, width)
    assert {cell_len(line) for line in drawn} <= {*range(width + 1)}
    assert len(drawn) == len(rows) + 1
    assert not any(ord(character) < 32 or ord(character) == 0x202E for line in drawn for character in line)


def test_large_numbers_are_whole() -> None:
    """At 80 columns too."""
    assert any("1,234,567,890" in line for line in lines(ROUTES, ROUTE_ROWS))


def test_spare_columns_are_the_first_to_go() -> None:
    """And stand in their place where there is room."""
    assert lines(ROUTES, ROUTE_ROWS)[0].split()[2:] == ["COUNT▼", "/S", "ERRORS", "P50", "P99"]
    wide = lines(ROUTES, ROUTE_ROWS, 120)[0].split()[2:]
    assert wide == ["COUNT▼", "/S", "ERRORS", "P50", "P90", "P99", "MEAN"]


def test_rows_are_in_the_chosen_order() -> None:
    """From the greatest on, or turned round; equal ones in the order of their names."""

    def order(**more: object) -> list[str]:
        return [line.split()[0] for line in lines(ROUTES, ROUTE_ROWS, **more)[1:]]

    assert order() == ["/b", "/a", "/c"]
    assert order(turned=True) == ["/a", "/c", "/b"]
    assert order(order=4) == ["/b", "/c", "/a"]
    assert order(order=5) == ["/a", "/b", "/c"]


def test_the_head_marks_the_order_and_what_is_shown() -> None:
    """An arrow at its column; which rows these are, if not all."""
    rows = [route(f"/{number:02}", 100 - number) for number in range(20)]
    head, *shown = lines(ROUTES, rows, height=6, scrolled=3)
    assert "COUNT▼" in head
    assert "4-8/20" in head
    assert [line.split()[0] for line in shown] == ["/03", "/04", "/05", "/06", "/07"]
    *_, last = lines(ROUTES, rows, height=6, scrolled=1_000_000)
    assert last.startswith("/19")


def test_a_busy_worker_tells_what_it_serves() -> None:
    """The oldest of its requests, with its age."""
    busy = [
        {"method": "GET", "path": "/new", "age_seconds": 1.0},
        {"method": "POST", "path": "/old", "age_seconds": 9.5},
    ]
    row = lines(WORKERS, [worker(7, 1, busy=busy)], 120)[1]
    assert "POST /old 9.5s" in row
    assert serving({}, "utf-8") == "- - -"


def test_a_job_has_a_bar_and_says_why_it_failed() -> None:
    """In words and signs, not by colour alone."""
    row = lines(JOBS, [job("disk", "failed", 50.0, error_msg="exit status 3")], 160)[1]
    assert "failed" in row
    assert "█████░░░░░  50%" in row
    assert "disk (convert): exit status 3" in row
    assert "disk (convert): exit status 3" in lines(JOBS, [job("disk", "failed", 50.0, error_msg="exit status 3")])[1]
    assert "#####.....  50%" in lines(JOBS, [job("disk", "running", 50.0)], glyphs=ASCII)[1]


def test_ascii_is_ascii() -> None:
    """Whatever the daemon sends."""
    for table, row in ((WORKERS, worker(1, 1)), (ROUTES, route(HOSTILE, 1)), (JOBS, job(HOSTILE, "running", 1.0))):
        assert all(line.isascii() for line in lines(table, [row], glyphs=ASCII))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_without_anything_are_shown(table: Table) -> None:
    """With signs that nothing is known."""
    assert "-" in lines(table, [{}])[1]
