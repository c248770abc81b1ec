"""The whole screen, at any size."""

import dataclasses

import pytest
from rich.cells import cell_len

from hvd.cli.top.frame import ASCII
from hvd.cli.top.keys import State
from hvd.cli.top.layout import lay_out, shares
from hvd.cli.top.model import Model
from tests.unit.cli.top.data import HOSTILE, detail, frame, job, metrics, model, route, text, worker
from tests.unit.cli.top.test_busy import outage


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (20, 5), (40, 10), (1, 1), (500, 100), (79, 23)])
@pytest.mark.parametrize(
    "known",
    [Model(), model(), model().without_connection(HOSTILE, 101.0).without_answer(HOSTILE, 101.0), outage(10)],
    ids=["new", "full", "lost", "stuck"],
)
def test_the_screen_has_its_size(width: int, height: int, known: Model) -> None:
    """Exactly so many lines, none too wide, whatever is known."""
    for state in (State(), State(focus=2), State(help=True), State(scrolled=(9, 9, 9, 9))):
        lines = lay_out(known, state, frame(width, height)).lines
        assert len(lines) == height
        assert all(cell_len(line.plain) <= width for line in lines)


def test_eighty_columns_show_what_is_important() -> None:
    """Health, charts, all three lists, the keys."""
    screen = text(model(), frame())
    for part in (
        *("healthy", "live", "1h 0m 0s", "1,250", "5 (0.4%)", "45.2ms", "12.5%", "47.7 MB"),
        *("requests/s", "p99", "1 workers 2", "2 routes 2", "/hello", "3 jobs 1 active", "running", "q quit"),
    ):
        assert part in screen, screen


def test_an_outage_fits_into_eighty_columns() -> None:
    """What is wrong, since when, and the oldest requests with their places in the code; and all lists."""
    screen = text(outage(8, health="degraded", reasons=["saturated: all 8 threads busy for 18.2 s"]), frame())
    for part in (
        *("● degraded", "! saturated: all 8 threads busy for 18.2 s", "8 of 8 busy for 18.2s"),
        *(
            "longest requests 1-3/8",
            "GET /slow/0",
            "report.py:41 build",
            "1 workers 2",
            "2 routes 2",
            "3 jobs 1 active",
        ),
    ):
        assert part in screen, screen


def test_a_running_job_tells_how_long() -> None:
    """As the daemon says."""
    jobs = [job("c", "running", 40.0, duration_seconds=210.5), job("d", "running", 1.0, duration_seconds=None)]
    screen = text(model().with_message(metrics(recent_jobs=jobs), 100.0), frame(80, None))
    assert [line.split()[-1] for line in screen.splitlines() if "running" in line] == ["30s", "-"]
    assert "3m 30s" in screen


def test_workers_that_ended_are_counted() -> None:
    """Where nothing else tells that one was replaced; at 80 columns too."""
    assert "workers 2, 7 ended" in text(model().with_message(detail(restarts=7), 100.0), frame())


def test_joined_processes_are_no_workers() -> None:
    """They are listed with them, and counted beside."""
    workers = [worker(11, 7), worker(12, 7, kind="joined"), worker(13, 7, kind="joined")]
    shown = dataclasses.replace(model().with_message(detail(workers=workers), 100.0), worker_class="gthread")
    assert "workers 1, 2 joined" in text(shown, frame(80, None))
    assert "workers 1 gthread, 2 joined" in text(shown, frame(160, None))


def test_ascii_screens_are_ascii() -> None:
    """For terminals without UTF-8."""
    for width, height in ((80, 24), (200, 50)):
        assert text(model(), frame(width, height, glyphs=ASCII)).isascii()


def test_without_a_height_all_rows_are_shown() -> None:
    """For a print: no keys, no cut."""
    known = model()
    rows = tuple(route(f"/{number}", number) for number in range(100))
    screen = text(dataclasses.replace(known, routes=rows, workers=(worker(1, 1),)), frame(80, None))
    assert all(f"\n/{number} " in screen for number in range(100))
    assert "q quit" not in screen


def test_the_list_in_focus_gets_the_room() -> None:
    """The others keep some rows; all of it is used, and no more."""
    for rows in ([2, 200, 0], [50, 50, 50], [0, 0, 0], [300, 1, 7]):
        for focus in range(3):
            for left in range(0, 60, 7):
                heights = shares(rows, focus, left)
                assert sum(height or 0 for height in heights) <= left
                assert all((height or 0) <= count + 1 for height, count in zip(heights, rows, strict=True))
    assert shares([50, 50, 50], 1, 30) == [7, 16, 7]
