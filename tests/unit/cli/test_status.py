"""The box System Health: its exact text, and what it does with numbers that are missing or odd."""

from typing import Any

import pytest

from hvd.cli.main import main
from hvd.cli.status import health_box
from tests.unit.cli.daemon import HEALTHY, daemon, run
from tests.unit.cli.test_happenings import DEATH, RAW
from tests.unit.cli.test_last_minute import BEFORE, MINUTE

SNAPSHOT: dict[str, Any] = {
    "system_health": "healthy",
    "uptime_seconds": 3600.4,
    "memory_usage": 50 * 1024 * 1024,
    "cpu_usage": 12.34,
    "goroutines": 34,
    "threads": 30,
    "tasks": 4,
    "workers": [{"pid": 1, "busy": [{"method": "GET", "path": "/", "age_seconds": 0.1}]}, {"pid": 2, "busy": []}],
    "http_requests": 1250,
    "http_errors": 5,
    "avg_response_time": 45.2,
    "websocket_clients": 12,
    "observed_age_seconds": 1.5,
    "worker_threads": 8,
    "worker_threads_busy": 1,
    "busy_ratio": 0.024,
    "saturated_seconds": 0.0,
    "accept_backlog": 0,
    "accept_backlog_limit": 2048,
    "waiting_clients": {"silent": 0, "half_head": 0, "half_body": 0, "unread": 0, "idle": 0},
    "longest_requests": [{"method": "GET", "path": "/", "age_seconds": 0.1, "pid": 1, "slot": 12, "stack": []}],
    "p99": 98.6,
    "p99_with_open": 98.6,
    "reasons": [],
    "http_server_errors": 3,
    "http_client_errors": 2,
    "jobs_active": 2,
    "jobs_pending": 14,
    "jobs_failed": 3,
    "ends": {"planned": 1, "unplanned": 0, "failed_boots": 0},
    "last_minute": MINUTE,
    "minute_before": BEFORE,
}

BOX = """\
┌─ System Health ───────────────────────────────────────────────────────┐
│ Health      healthy                                                   │
│ Rate        33.3/s, 30.0/s the minute before                          │
│ 5xx         12.0% (240 of 2,000), 0.1% the minute before              │
│ 4xx         0.5% (10 of 2,000), 0.5% the minute before                │
│ p99         98.6ms, 91.2ms the minute before                          │
│ Capacity    1 of 8 busy, 2% of the time                               │
│ Backlog     0 of 2,048                                                │
│ Jobs        2 running, 14 pending, 3 failed                           │
│ Last death  none                                                      │
│ Uptime      1h 0m 0s                                                  │
│ Processes   2 workers, 50 MB, CPU 12.3%, 30 threads, 12 WebSockets    │
│ Totals      1,250 requests, 5xx 3, 4xx 2, mean 45.2ms since the start │
└───────────────────────────────────────────────────────────────────────┘"""


def values_of(snapshot: dict[str, Any]) -> dict[str, str]:
    """The box's rows by label; by "" what has none."""
    inner = (line[2:-2] for line in health_box(snapshot)[1:-1])
    return {"": ""} | {line[:10].strip(): line[10:].strip() for line in inner}


def test_a_known_snapshot_gives_exactly_this_box() -> None:
    """Aligned, in a box, with a person's units; of other signs for terminals that can't show lines."""
    assert "\n".join(health_box(SNAPSHOT, [])) == BOX
    ascii_box = BOX.translate(str.maketrans("┌┐└┘─│", "++++-|"))
    assert "\n".join(health_box(SNAPSHOT, [], unicode=False)) == ascii_box
    assert ascii_box.isascii()


REQUEST: dict[str, Any] = {
    "method": "GET",
    "path": "/slow",
    "age_seconds": 18.24,
    "pid": 4711,
    "slot": 12,
    "stack": [{"file": "/srv/shop/report.py", "line": 41, "function": "build"}],
}
OUTAGE: dict[str, Any] = {
    "health": "degraded",
    "system_health": "degraded",
    "reasons": ["saturated: all 8 threads busy for 18.2 s", "job runner away: jobs wait"],
    "worker_threads_busy": 8,
    "busy_ratio": 0.98,
    "saturated_seconds": 18.24,
    "accept_backlog": 12,
    "waiting_clients": {"silent": 1, "half_head": 3, "half_body": 0, "unread": 0, "idle": 0},
    "longest_requests": [REQUEST, REQUEST | {"pid": 4712, "age_seconds": 17.0, "stack": []}],
    "p99_with_open": 18_240.0,
}


def test_an_outage_is_told() -> None:
    """All threads busy, since when, with which requests, and where in the code; who waits."""
    box = "\n".join(line.strip("│ ") for line in health_box(SNAPSHOT | OUTAGE | RAW, [DEATH]))
    for lines in (
        "Health      degraded\nsaturated: all 8 threads busy for 18.2 s\njob runner away: jobs wait\nRate",
        "p99         98.6ms, 91.2ms the minute before; 18.2s with those in progress\n",
        "Capacity    8 of 8 busy for 18.2s, 98% of the time\nLongest",
        "Longest     18.2s GET /slow, worker 4711, at report.py:41 build\n17.0s GET /slow, worker 4712\nBacklog",
        "Backlog     12 of 2,048\nClients     1 silent, 3 with half a head\n",
        "Last death  3m 2s ago: worker 4711 was killed (SIGKILL)\n",
    ):
        assert lines in box, box


def test_long_texts_keep_to_the_width() -> None:
    """Reasons go on in the next line, requests are cut; however many there are, the box has an end."""
    long = {
        "reasons": ["saturated: " + "word " * 40] * 9,
        "longest_requests": [REQUEST | {"path": "/" + "x" * 200}] * 99,
    }
    lines = health_box(SNAPSHOT | OUTAGE | long, width=60)
    assert max(map(len, lines)) <= 60 + 19
    assert len(lines) < 50


def test_every_line_is_equally_wide() -> None:
    """Whatever the values are."""
    for snapshot in ({}, SNAPSHOT, SNAPSHOT | {"system_health": "x" * 300, "http_requests": 10**17}):
        assert len({len(line) for line in health_box(snapshot)}) == 1


def test_the_age_of_process_figures_shows_once_they_are_stale() -> None:
    """CPU, memory, threads and clients come from the aggregator, which may be away."""
    assert values_of(SNAPSHOT | {"observed_age_seconds": 5.0})[""] == ""
    assert values_of(SNAPSHOT | {"observed_age_seconds": 67.9})[""] == "stale, observed 1m 7s ago"
    assert values_of(SNAPSHOT | {"observed_age_seconds": None})[""] == "not observed yet"
    assert "stale" not in "\n".join(health_box(SNAPSHOT | {"observed_age_seconds": 60}, stale_after=61))


def test_one_is_no_plural() -> None:
    """As a small service has it at night."""
    one = SNAPSHOT | {"workers": [{}], "threads": 1, "websocket_clients": 1}
    assert values_of(one)["Processes"] == "1 worker, 50 MB, CPU 12.3%, 1 thread, 1 WebSocket"


def test_missing_fields_show_as_a_dash() -> None:
    """An older or newer daemon may not send them."""
    values = values_of({})
    assert values.pop("") == "not observed yet"
    assert values.pop("Processes") == "- workers, -, CPU -, - threads, - WebSockets"
    assert values.pop("Totals") == "- requests, - errors since the start"
    assert set(values.values()) == {"-"}


def test_a_daemon_of_the_version_before_tells_what_it_has() -> None:
    """Its last interval, and all errors in one number."""
    new = ("last_minute", "minute_before", "ends", "http_server_errors", "http_client_errors")
    values = values_of({name: value for name, value in SNAPSHOT.items() if name not in new})
    assert (values["5xx"], values["4xx"], values["p99"], values["Last death"]) == ("-", "-", "98.6ms", "-")
    assert values["Totals"].startswith("1,250 requests, 5 (0.4%) errors, mean")


@pytest.mark.parametrize("odd", ["12", None, True, [], {}, float("nan"), float("inf"), -1, 10**400])
def test_odd_fields_show_as_a_dash(odd: object) -> None:
    """A box never ends in a traceback for what somebody sent."""
    values = values_of({key: odd for key in SNAPSHOT if key not in ("workers", "system_health")})
    assert values["Uptime"] == values["Rate"] == values["5xx"] == values["p99"] == values["Jobs"] == "-"
    assert values["Totals"] == "- requests, - errors since the start"
    assert values_of({"workers": odd})["Processes"].startswith("0 workers" if odd == [] else "- workers")


def test_a_daemon_that_starts_says_so() -> None:
    """Though `system_health`, which an older daemon has alone, knows no such state."""
    assert values_of({"system_health": "degraded", "health": "starting"})["Health"] == "starting"
    assert values_of({"system_health": "degraded"})["Health"] == "degraded"


def test_text_from_the_daemon_cannot_drive_the_terminal() -> None:
    """Escape sequences, line ends and wide characters are shown, not sent."""
    assert values_of({"system_health": "\x1b[2J\n│ok"})["Health"] == r"\x1b[2J\n\u2502ok"
    assert values_of({"system_health": "é" * 50})["Health"] == r"\xe9" * 9 + r"\..."
    assert values_of({"system_health": ""})["Health"] == "-"


def test_status_prints_the_box_and_ends_with_the_health(capsys: pytest.CaptureFixture[str]) -> None:
    """0 for healthy, 3 for anything else."""
    for health, code in (("healthy", 0), ("degraded", 3), ("unhealthy", 3), (None, 3)):
        with daemon((200, HEALTHY | {"system_health": health})) as (url, _):
            assert main(["status", "--url", url]) == code
        text = capsys.readouterr().out
        assert text.startswith("┌─ System Health ─")
        assert (health or "-") in text
        assert "1,250" in text


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ((200, {"events": [DEATH], "newest": 1}), "worker 4711 was killed (SIGKILL)"),
        ((200, {"events": []}), "Last death  none "),
        ((404, {"title": "Not Found"}), "Last death  - "),
        ((502, b"<html>"), "Last death  - "),
    ],
)
def test_status_asks_what_happened(capsys: pytest.CaptureFixture[str], answer: tuple[int, Any], row: str) -> None:
    """An older daemon doesn't know."""
    with daemon((200, HEALTHY), answer) as (url, requests):
        assert main(["status", "--url", url]) == 0
    assert row in capsys.readouterr().out
    assert [request.path for request in requests] == ["/api/v1/snapshot", "/api/v1/events"]


def test_status_falls_back_to_ascii() -> None:
    """Where stdout can't encode the box."""
    with daemon((200, HEALTHY)) as (url, _):
        done = run("status", "--url", url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("+- System Health -")


@pytest.mark.parametrize(
    ("since", "row"),
    [
        ("2026-01-20T12:00:05Z", "2026-01-20 12:00:05 UTC"),
        ("2026-01-23T19:29:59Z", "the start"),
        ("long ago", "the start"),
        (7, "the start"),
    ],
)
def test_since_when_requests_are_counted_is_told_where_it_is_before_the_start(since: object, row: str) -> None:
    """Else the uptime says it."""
    values = values_of({**SNAPSHOT, **RAW, "totals_since": since})
    assert values["Totals"].endswith(f" since {row}")


@pytest.mark.parametrize(
    ("status", "answer", "line", "code"),
    [
        (200, {"status": "healthy", "reasons": []}, "healthy", 0),
        (200, {"status": "degraded", "reasons": ["a\x1b", "b"]}, "degraded: a\\x1b; b", 0),
        (503, {"status": "unhealthy", "reasons": ["no worker serves"]}, "unhealthy: no worker serves", 3),
        (200, {"status": "healthy", "reasons": 1}, "healthy", 0),
    ],
)
def test_a_probe_fails_only_where_nobody_is_served(
    capsys: pytest.CaptureFixture[str], status: int, answer: dict[str, Any], line: str, code: int
) -> None:
    """So an orchestrator doesn't end what is merely degraded."""
    with daemon((status, answer)) as (url, requests):
        assert main(["status", "--probe", "--url", url]) == code
    assert capsys.readouterr().out == f"{line}\n"
    assert [request.path for request in requests] == ["/health"]
