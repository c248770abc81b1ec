"""How busy the workers are, and what takes longest, on the screen."""

import pytest
from rich.cells import cell_len

from hvd.cli.top.busy import busy_lines, longest_lines
from hvd.cli.top.frame import ASCII
from hvd.cli.top.model import Model
from tests.unit.cli.top.data import HOSTILE, frame, metrics, model

APP = {"file": "/srv/shop/report.py", "line": 41, "function": "build"}


def request(number: int, **values: object) -> dict[str, object]:
    plain = {"method": "GET", "path": f"/slow/{number}", "age_seconds": 18.2 - number, "pid": 4711 + number}
    return {**plain, "slot": 12, "stack": [APP], **values}


def outage(requests: int = 8, **values: object) -> Model:
    plain = {"worker_threads": 8, "worker_threads_busy": 8, "busy_ratio": 0.98, "saturated_seconds": 18.2}
    waiting = {"accept_backlog": 12, "accept_backlog_limit": 2048, "waiting_clients": {"silent": 1}}
    longest = [request(number) for number in range(requests)]
    raw = {**plain, **waiting, "p99_with_open": 18_200.0, "longest_requests": longest, **values}
    return model().with_message(metrics(**raw), 100.0)


def test_threads_backlog_and_clients_are_shown() -> None:
    """With a bar; on as many lines as it takes."""
    lines = [line.plain for line in busy_lines(outage(), frame())]
    assert lines == [
        "Capacity  ██████████ 8 of 8 busy for 18.2s, 98% of the time",
        "Backlog  12 of 2,048   p99 now  9.8ms, 18.2s with those in progress",
        "Clients  1 silent",
    ]
    (line,) = busy_lines(outage(worker_threads_busy=2, waiting_clients={}, p99_with_open=None), frame(160))
    assert line.plain.startswith("Capacity  ██░░░░░░░░ 2 of 8 busy")
    assert busy_lines(outage(), frame(40))[0].plain == "Busy  8 of 8 busy for 18.2s"


def test_what_only_some_services_have_is_shown_where_there_is_any() -> None:
    """An event loop that is late by nothing is one; a queue that no proxy tells of is none."""
    some = {"queue_time_p50": 4.5, "queue_time_p99": 250.0, "event_loop_lag_seconds": 0.0125, "app_connections": 12}
    lines = "\n".join(line.plain for line in busy_lines(outage(**some, joined_processes=3), frame(200)))
    for text in ("Queue time  p50 4.5ms, p99 250.0ms", "Loop lag  12.5ms", "Connections  12 of the app", "Joined  3"):
        assert text in lines
    assert "Queue" not in "".join(line.plain for line in busy_lines(outage(queue_time_p99=0.0), frame()))


def test_old_figures_are_dim() -> None:
    """An alarm of what was is none of now."""
    (fresh, *_), (old, *_) = busy_lines(outage(), frame()), busy_lines(outage(), frame(now=900.0))
    assert [span.style for span in fresh.spans] == ["not dim bold yellow"]
    assert [span.style for span in old.spans] == ["dim"]


def test_what_an_older_daemon_does_not_send_is_unknown() -> None:
    """Neither a full bar nor an empty one."""
    assert [line.plain for line in busy_lines(model(), frame())] == ["Capacity  -   Backlog  -"]
    assert longest_lines(model(), frame()) == []


def test_the_longest_requests_are_lines() -> None:
    """With age, worker and the app's innermost frame; as many as there is room for, all where there is no end."""
    lines = [line.plain for line in longest_lines(outage(), frame())]
    assert lines[0] == "  18.2s  GET /slow/0  worker 4711  at report.py:41 build"
    assert lines[2].endswith("(and 5 more)")
    assert len(lines) == 3
    assert len(longest_lines(outage(), frame(80, None))) == 8


def test_where_in_the_code_is_never_cut_away() -> None:
    """The path is, in its middle."""
    (line,) = longest_lines(outage(longest_requests=[request(0, path="/very" * 40)]), frame(50))
    assert "GET /ver" in line.plain
    assert line.plain.endswith("at report.py:41 build")


@pytest.mark.parametrize("width", [1, 20, 40, 80, 200])
def test_hostile_requests_keep_to_the_width(width: int) -> None:
    """Escaped, and cut; a stack may be missing."""
    known = outage(longest_requests=[request(0, path=HOSTILE, stack=None), request(1, pid="x", stack=[5])])
    for glyphs in (ASCII, frame().glyphs):
        for line in longest_lines(known, frame(width, 24, glyphs=glyphs)):
            assert cell_len(line.plain) <= width
            assert "\x1b" not in line.plain
