"""The lists of workers, routes and jobs."""

import pytest

from hvd.cli.top.columns import Table
from hvd.cli.top.events import EVENTS
from hvd.cli.top.frame import ASCII
from hvd.cli.top.lists import JOBS, ROUTES, ROUTES_EVER, WORKERS
from tests.unit.cli.top.data import job, route, span, table_texts, worker


def test_a_busy_worker_tells_what_it_serves() -> None:
    """The oldest of its requests, with its age; one that differs from the others is marked."""
    busy = [
        {"method": "GET", "path": "/new", "age_seconds": 1.0},
        {"method": "POST", "path": "/old", "age_seconds": 9.5},
    ]
    row = table_texts(WORKERS, [worker(7, 1, busy=busy, differs=True)], 120)[1]
    assert "! 7       POST /old 9.5s" in row


@pytest.mark.parametrize("table", [WORKERS, ROUTES_EVER], ids=["workers", "routes"])
def test_errors_of_the_server_and_of_clients_are_apart(table: Table) -> None:
    """Red is for the server's, of the last minute; an older daemon tells of neither."""
    errors = {"server_errors": 7, "client_errors": 93}
    row = {**(worker(7, 1) if table is WORKERS else route("/pay", 1)), **errors, "last_minute": errors}
    head, line = table_texts(table, [row], 120)
    places = [head.split().index(name) for name in ("5XX", "4XX")]
    assert [line.split()[place] for place in places] == ["7", "93"]
    columns = {column.name: column for column in table.columns}
    assert ("red" in columns["5xx"].style(row)) == (table is WORKERS)
    assert columns["4xx"].style(row) == ""
    assert table_texts(table, [{"last_minute": {"errors": 3}}], 120)[1].split()[places[0]] == "-"


def test_a_route_is_told_of_the_last_minute() -> None:
    """With 4xx and 5xx apart, in units of the column; red is for 5xx alone."""
    row = table_texts(ROUTES, [route("/pay", 7)], 120)[1].split()
    assert row[:6] == ["/pay", "40.5", "12%", "0.5%", "1.21s", "30.5s"]
    columns = {column.name: column for column in ROUTES.columns}
    assert "red" in columns["5xx"].style(route("/pay", 1))
    assert columns["5xx"].style(route("/pay", 1, last_minute=span(server_errors=0))) == ""
    assert columns["4xx"].style(route("/pay", 1)) == ""


def test_rows_are_sorted_by_any_column() -> None:
    """The greatest first, names from A; what isn't known last; the other way round."""
    rows = [
        route("/b", 1),
        route("/c", 2, last_minute=span(p99_ms=None)),
        route("/a", 3, last_minute=span(p99_ms=9999)),
    ]
    names = {order: [row["route"] for row in ROUTES.sort(rows, order)] for order in ROUTES.orders}
    assert names["p99"] == ["/a", "/b", "/c"]
    assert names["route"] == ["/a", "/b", "/c"]
    assert [row["route"] for row in ROUTES.sort(rows, "p99", turned=True)] == ["/c", "/b", "/a"]
    assert ROUTES.sort(rows, "nonsense") == ROUTES.sort(rows, "rate")


def test_a_job_has_a_bar_and_says_why_it_failed() -> None:
    """In words and signs, not by colour alone."""
    failed = job("disk", "failed", 50.0, error_msg="exit status 3")
    row = table_texts(JOBS, [failed], 160)[1]
    assert "failed" in row
    assert "█████░░░░░  50%" in row
    assert "disk (convert): exit status 3" in row
    assert "disk (convert): exit status 3" in table_texts(JOBS, [failed])[1]
    assert "#####.....  50%" in table_texts(JOBS, [job("disk", "running", 50.0)], glyphs=ASCII)[1]


def test_a_job_without_progress_pulses() -> None:
    """While it runs; 0% would be a measure."""
    rows = table_texts(JOBS, [job("disk", "running", 0.0, duration_seconds=seconds) for seconds in (3.2, 14.9)])[1:]
    assert "░░░█░░░░░░    -" in rows[0]
    assert "░░░░█░░░░░    -" in rows[1]
    assert "0%" in table_texts(JOBS, [job("disk", "failed", 0.0)])[1]


def test_jobs_come_in_the_daemons_order() -> None:
    """What runs, what waits, then what has ended; each the newest first, and the other way round."""
    states = ("completed", "failed", "pending", "running", "pending", "cancelled")
    rows = [job(str(n), state, 0.0, created_at=f"2026-01-23T20:29:0{n}.000Z") for n, state in enumerate(states)]
    assert [row["id"] for row in JOBS.sort(rows)] == ["3", "4", "2", "5", "1", "0"]
    assert [row["id"] for row in JOBS.sort(rows, turned=True)] == ["0", "1", "5", "2", "4", "3"]


@pytest.mark.parametrize("table", [WORKERS, ROUTES, ROUTES_EVER, JOBS, EVENTS], ids=lambda table: table.name)
def test_rows_without_anything_are_shown(table: Table) -> None:
    """With signs that nothing is known; and found, and sorted."""
    empty: list[dict[str, object]] = [{"ago": 0.0}, {"ago": 1.0}]
    assert "-" in table_texts(table, empty)[1]
    for order in table.orders:
        assert len(table.sort(table.search(empty, ""), order)) == 2
