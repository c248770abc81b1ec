"""The whole screen, at any size."""

import dataclasses

import pytest
from rich.cells import cell_len

from hvd.cli.top.choice import TABS, Choice
from hvd.cli.top.frame import ASCII
from hvd.cli.top.layout import empty_text, lay_out, listing_of
from hvd.cli.top.model import Model
from tests.unit.cli.top.data import HOSTILE, change, detail, frame, job, metrics, model, route, span, text, worker
from tests.unit.cli.top.test_busy import outage


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (20, 6), (40, 10), (1, 1), (500, 100), (79, 23)])
@pytest.mark.parametrize(
    "known",
    [Model(), model(), model().without_connection(HOSTILE, 101.0).without_answer(HOSTILE, 101.0), outage(10)],
    ids=["new", "full", "lost", "stuck"],
)
def test_the_screen_has_its_size(width: int, height: int, known: Model) -> None:
    """No line is too wide, and the list keeps a row, whatever is known."""
    for tab in TABS:
        picture = lay_out(known, Choice(tab=tab), frame(width, height))
        lines = [*picture.head, *picture.charts, picture.tabs]
        assert len(lines) + 3 <= max(height, 5)
        assert all(cell_len(line.plain) <= width for line in lines)


def test_eighty_columns_answer_an_operators_questions_in_their_order() -> None:
    """Up; now against before; busy; what changed; charts with a scale; which route."""
    known = model().with_message(metrics(last_minute=span(), minute_before=span()), 100.0)
    screen = text(known.with_message(detail(changes=[change("/pay: 5xx 0 % → 12 %")]), 100.0), frame())
    parts = (
        "● healthy",
        "5xx",
        "last minute",
        "before",
        "Capacity",
        "changed",
        "since start",
        "└",
        "2 routes 2",
        "/hello",
    )
    places = [screen.index(part) for part in parts]
    assert places == sorted(places), screen


def test_forty_columns_and_ten_lines_keep_the_verdict_and_a_list() -> None:
    """And the reasons, shares, times, and how busy it is."""
    screen = text(outage(8, health="degraded", reasons=["saturated: all busy"], last_minute=span()), frame(40, 10))
    for part in (
        "● degraded",
        "! saturated: all busy",
        "5xx 12%",
        "p99 1.21s",
        "8 of 8 busy for 18.2s",
        "report.py:41 build",
        "/hello",
    ):
        assert part in screen, screen


def test_an_outage_fits_into_eighty_columns() -> None:
    """What is wrong, since when, and the oldest requests with their places in the code; with a chart and a list."""
    screen = text(outage(8, health="degraded", reasons=["saturated: all 8 threads busy for 18.2 s"]), frame())
    for part in (
        *("● degraded", "! saturated: all 8 threads busy for 18.2 s", "8 of 8 busy for 18.2s"),
        *("GET /slow/0", "report.py:41 build", "└", "2 routes 2", "/hello"),
    ):
        assert part in screen, screen


def test_routes_are_those_of_the_last_minute_or_since_the_start() -> None:
    """One that had no request is in the second list only; an older daemon has no other."""
    rows = [route("/a", 1), route("/b", 2, last_minute=None)]
    known = model().with_message(detail(routes=rows), 100.0)
    assert [row["route"] for row in listing_of(known, Choice(), frame()).rows] == ["/a"]
    ever = listing_of(known, Choice(since_start=True), frame())
    assert ([row["route"] for row in ever.rows], ever.table.columns[0].head) == (["/b", "/a"], "COUNT")
    old = [{name: value for name, value in row.items() if name != "last_minute"} for row in rows]
    assert len(listing_of(model().with_message(detail(routes=old), 100.0), Choice(), frame()).rows) == 2


def test_a_list_without_rows_says_what_to_do() -> None:
    """And one that is searched in vain, how to see all."""
    idle = model().with_message(detail(routes=[], workers=[]), 100.0)
    for tab, words in (("routes", "send a first one"), ("jobs", "hvd jobs submit"), ("metrics", "hvd.Counter")):
        assert words in empty_text(listing_of(idle, Choice(tab=tab), frame()), idle, Choice(tab=tab))
    searched = Choice().with_search("nothing")
    assert "none of 2 has 'nothing'" in empty_text(listing_of(model(), searched, frame()), model(), searched)
    old = model().with_message(detail(routes=[route("/a", 1, last_minute=None)]), 100.0)
    assert "t shows those" in empty_text(listing_of(old, Choice(), frame()), old, Choice())


def test_a_running_job_tells_how_long() -> None:
    """As the daemon says."""
    jobs = [job("c", "running", 40.0, duration_seconds=210.5), job("d", "running", 1.0, duration_seconds=None)]
    screen = text(model().with_message(metrics(recent_jobs=jobs), 100.0), frame(80, None))
    assert "3m 30s" in screen


def test_tabs_tell_how_many_there_are() -> None:
    """Ended ones and joined processes beside the workers; where it is narrow as much as fits."""
    workers = [worker(11, 7), worker(12, 7, kind="joined"), worker(13, 7, kind="joined")]
    known = model().with_message(detail(workers=workers, restarts=7), 100.0)
    assert "1 workers 1, 2 joined, 7 ended" in lay_out(known, Choice(), frame(160)).tabs.plain
    assert lay_out(known, Choice(), frame(40)).tabs.plain.split()[:4] == ["1", "wor", "2", "routes"]


def test_ascii_screens_are_ascii() -> None:
    """For terminals without UTF-8."""
    for width, height in ((80, 24), (200, 50)):
        for tab in TABS:
            assert text(model(), frame(width, height, glyphs=ASCII), Choice(tab=tab)).isascii()


def test_without_a_height_all_rows_are_shown() -> None:
    """For a print: no keys, no cut."""
    rows = tuple(route(f"/{number}", number) for number in range(100))
    screen = text(dataclasses.replace(model(), routes=rows), frame(80, None))
    assert all(f"\n/{number} " in screen for number in range(100))
    assert "q quit" not in screen
