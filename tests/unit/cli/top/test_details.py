"""All that is known of a row."""

import pytest

from hvd.cli.top.details import detail_lines, title_of
from hvd.cli.top.events import event_rows
from hvd.cli.top.frame import ASCII, UNICODE
from tests.unit.cli.top.data import HOSTILE, change, detail, event, job, metrics, model, own_model, route, span, worker

STACK = [{"file": "/srv/shop/report.py", "line": 41, "function": "build"}]


def texts(table: str, row: dict[str, object], known: object = None) -> str:
    lines = detail_lines(table, row, known or model(), UNICODE)  # type: ignore[arg-type]
    return "\n".join(line.plain for line in lines)


def test_a_route_has_statuses_and_percentiles() -> None:
    """Of the last minute beside those since the start; and what changed."""
    known = model().with_message(detail(changes=[change("/hello: 5xx 0 % → 12 %"), change("x", route="/b")]), 1.0)
    lately = span(statuses={"200": 2100, "503": 292})
    screen = texts(
        "routes", route("/hello", 7, statuses={"200": 5, "404": 2}, methods=["GET"], last_minute=lately), known
    )
    rows = {line[:18].strip(): line.split()[-2:] for line in screen.splitlines()}
    assert rows["p99"] == ["1.21s", "30.0ms"]
    assert rows["5xx share"] == ["12%", "-"]
    assert [rows[status] for status in ("200", "404", "503")] == [["2,100", "5"], ["0", "2"], ["292", "0"]]
    assert screen.endswith("changed            /hello: 5xx 0 % → 12 %")


def test_a_worker_has_its_requests_with_their_places() -> None:
    """And how it differs from the others; errors of the server and of clients apart."""
    busy = [{"method": "GET", "path": "/slow", "age_seconds": 9.5}]
    known = model().with_message(metrics(longest_requests=[{"pid": 7, "path": "/slow", "stack": STACK}]), 100.0)
    known = known.with_message(detail(skew=[{"pid": 7, "text": "worker 7 is slow"}]), 100.0)
    screen = texts("workers", worker(7, 1, busy=busy), known)
    for part in ("GET /slow 9.5s\n  /srv/shop/report.py:41 in build", "differs            worker 7 is slow"):
        assert part in screen, screen
    for part in ("requests           1 since start, 0 with 5xx, 0 with 4xx", "5xx                0 in the last minute"):
        assert part in screen, screen


def test_a_job_has_its_parameters() -> None:
    """And why it failed, and which it is a retry of."""
    job_row = job("disk", "failed", 50.0, error_msg="exit status 3", params={"source": "/srv/a.img"}, retry_of="0-1")
    screen = texts("jobs", job_row)
    for part in ("exit status 3", "retry of           0-1", "parameters", "source             /srv/a.img"):
        assert part in screen


def test_a_job_has_its_times_in_words() -> None:
    """With zone and age; what there is none of has no line."""
    screen = texts("jobs", job("disk", "running", 58.0, error_msg="", duration_seconds=62.968764))
    for part in ("progress           58%\n", "duration           1m 2s", ", 1m 0s ago"):
        assert part in screen, screen
    assert "error" not in screen


def test_an_event_has_all_that_is_known() -> None:
    """Sizes and times in words."""
    died = event(
        2,
        "death",
        memory_bytes=1_288_490_188,
        peak_bytes=37_683_200,
        cause="SIGKILL",
        aborted=3,
        reasons=["a", "b"],
        until=1769200200.0,
    )
    screen = texts("events", event_rows([died], 0.0)[0])
    for part in ("death of 2", "1.2 GB", "35.9 MB", "SIGKILL", "a, b", "2m 40s ago", "until              2026-"):
        assert part in screen, screen


@pytest.mark.parametrize("table", ["workers", "routes", "jobs", "metrics", "events"])
def test_any_row_will_do(table: str) -> None:
    """Nothing known, or all of it hostile."""
    names = ("pid", "route", "name", "key", "kind", "text", "params", "statuses", "last_minute", "id", "methods")
    for row in ({}, dict.fromkeys(names, HOSTILE)):
        for line in [*detail_lines(table, row, own_model(), ASCII)]:
            assert line.plain.isascii(), line
            assert "\x1b" not in line.plain
        assert title_of(table, row, ASCII).isascii()
