"""The whole screen, at any size."""

import dataclasses

import pytest
from rich.cells import cell_len

from hvd.cli.top.keys import State
from hvd.cli.top.model import Model
from hvd.cli.top.tables import ASCII
from hvd.cli.top.view import Frame, screen, shares
from tests.unit.cli.top.data import HOSTILE, detail, job, metrics, model, route, worker


def frame(width: int = 80, height: int | None = 24, **more: object) -> Frame:
    return Frame("http://127.0.0.1:8080", width, height, **{"now": 100.5, **more})  # type: ignore[arg-type]


def text(known: Model, drawn: Frame, state: State | None = None) -> str:
    return "\n".join(line.plain.rstrip() for line in screen(known, state or State(), drawn).lines)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (20, 5), (40, 10), (1, 1), (500, 100), (79, 23)])
@pytest.mark.parametrize(
    "known", [Model(), model(), model().without_connection(HOSTILE, 101.0)], ids=["new", "full", "lost"]
)
def test_the_screen_has_its_size(width: int, height: int, known: Model) -> None:
    """Exactly so many lines, none too wide, whatever is known."""
    for state in (State(), State(focus=2), State(help=True), State(scrolled=(9, 9, 9))):
        lines = screen(known, state, frame(width, height)).lines
        assert len(lines) == height
        assert all(cell_len(line.plain) <= width for line in lines)


def test_eighty_columns_show_what_is_important() -> None:
    """Health, charts, all three lists, the keys."""
    shown = text(model(), frame())
    for part in (
        *("healthy", "live", "1h 0m 0s", "1,250", "5 (0.4%)", "45.2ms", "12.5%", "47.7 MB"),
        *("requests/s", "p99", "1 workers 2", "2 routes 2", "/hello", "3 jobs 1 active", "running", "q quit"),
    ):
        assert part in shown, shown


def test_wide_screens_use_words() -> None:
    """Where there is room."""
    assert "12 (10 threads, 2 tasks)" in text(model(), frame(200, 50))


def test_old_numbers_are_marked() -> None:
    """With their age, and why there are no others; the numbers stay."""
    shown = text(model(), frame(now=160.0))
    assert "STALE 1m" in shown
    lost = text(model().without_connection("connection refused", 103.0), frame(now=101.0))
    assert "STALE" in lost
    assert "No connection, trying again in 2 s: connection refused" in lost
    assert "1,250" in lost


def test_a_pause_is_marked() -> None:
    """With how long it has been."""
    assert "PAUSED 12s" in text(model(), frame(paused_for=12.0))


def test_what_is_wrong_is_said() -> None:
    """Reasons, alerts, and workers that died at work."""
    known = model().with_message(metrics(system_health="degraded", alerts=[{"message": "hot"}]), 100.0)
    died = {"time": "2026-01-23T20:29:00Z", "kind": "worker", "pid": 9, "cause": "SIGKILL"}
    request = {"method": "GET", "path": "/slow", "age_seconds": 2.0}
    known = known.with_health({"reasons": ["aggregator away"]}).with_post_mortems(
        {"post_mortems": [{**died, "requests": [request]}]}
    )
    shown = text(known, frame())
    for part in ("degraded", "! aggregator away", "! hot", "worker 9 died 1m 0s ago (SIGKILL) at GET /slow 2.0s"):
        assert part in shown, shown


def test_a_daemon_that_starts_says_so() -> None:
    """Until the first message of its WebSocket, which tells `system_health` alone."""
    known = model().with_snapshot({**metrics(system_health="degraded")["data"]["raw"], "health": "starting"}, 100.0)
    assert "starting" in text(known, frame())
    assert "degraded" in text(known.with_message(metrics(system_health="degraded"), 100.0), frame())


def test_a_running_job_tells_how_long() -> None:
    """As the daemon says."""
    jobs = [job("c", "running", 40.0, duration_seconds=210.5), job("d", "running", 1.0, duration_seconds=None)]
    shown = text(model().with_message(metrics(recent_jobs=jobs), 100.0), frame(80, None))
    assert [line.split()[-1] for line in shown.splitlines() if "running" in line] == ["30s", "-"]
    assert "3m 30s" in shown


def test_workers_that_ended_are_counted() -> None:
    """Where nothing else tells that one was replaced; at 80 columns too."""
    assert "workers 2, 7 ended" in text(model().with_message(detail(restarts=7), 100.0), frame())


def test_ascii_screens_are_ascii() -> None:
    """For terminals without UTF-8."""
    for width, height in ((80, 24), (200, 50)):
        assert text(model(), frame(width, height, glyphs=ASCII)).isascii()


def test_without_a_height_all_rows_are_shown() -> None:
    """For a print: no keys, no cut."""
    known = model()
    rows = tuple(route(f"/{number}", number) for number in range(100))
    shown = text(dataclasses.replace(known, routes=rows, workers=(worker(1, 1),)), frame(80, None))
    assert all(f"\n/{number} " in shown for number in range(100))
    assert "q quit" not in shown


def test_the_list_in_focus_gets_the_room() -> None:
    """The others keep some rows; all of it is used, and no more."""
    for rows in ([2, 200, 0], [50, 50, 50], [0, 0, 0], [300, 1, 7]):
        for focus in range(3):
            for left in range(0, 60, 7):
                given = shares(rows, focus, left)
                assert sum(each or 0 for each in given) <= left
                assert all((each or 0) <= count + 1 for each, count in zip(given, rows, strict=True))
    assert shares([50, 50, 50], 1, 30) == [7, 16, 7]
