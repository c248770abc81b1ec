"""The System Health panel: its exact text, and what it does with numbers that are missing or odd."""

from typing import Any

import pytest

from hvd.cli.panel import duration, escaped, milliseconds, panel_lines, size

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
}

PANEL = """\
┌─ System Health ─────────────────────────┐
│ Health         healthy                  │
│ Uptime         1h 0m 0s                 │
│ Memory         50 MB                    │
│ CPU            12.3%                    │
│ Concurrency    34 (30 threads, 4 tasks) │
│ Workers        2 (1 busy)               │
│ Requests       1,250                    │
│ Errors         5 (0.4%)                 │
│ Mean response  45.2ms                   │
│ WS clients     12                       │
└─────────────────────────────────────────┘"""


def values_of(snapshot: dict[str, Any]) -> dict[str, str]:
    """The panel's rows by label."""
    inner = (line[2:-2] for line in panel_lines(snapshot)[1:-1])
    return {line[:13].strip(): line[13:].strip() for line in inner}


def test_a_known_snapshot_gives_exactly_this_panel() -> None:
    """Aligned, in a box, with a person's units."""
    assert "\n".join(panel_lines(SNAPSHOT)) == PANEL


def test_the_panel_in_ascii_differs_in_its_box_only() -> None:
    """For terminals that can't show lines."""
    ascii_panel = PANEL.translate(str.maketrans("┌┐└┘─│", "++++-|"))
    assert "\n".join(panel_lines(SNAPSHOT, unicode=False)) == ascii_panel
    assert ascii_panel.isascii()


def test_every_line_is_equally_wide() -> None:
    """Whatever the values are."""
    for snapshot in ({}, SNAPSHOT, SNAPSHOT | {"system_health": "x" * 300, "http_requests": 10**17}):
        assert len({len(line) for line in panel_lines(snapshot)}) == 1


def test_the_age_of_process_figures_shows_once_they_are_stale() -> None:
    """CPU, memory, threads and clients come from the aggregator, which may be away."""
    assert "Processes" not in values_of(SNAPSHOT | {"observed_age_seconds": 5.0})
    assert values_of(SNAPSHOT | {"observed_age_seconds": 67.9})["Processes"] == "stale, observed 1m 7s ago"
    assert values_of(SNAPSHOT | {"observed_age_seconds": None})["Processes"] == "not observed yet"
    assert "stale" not in "\n".join(panel_lines(SNAPSHOT | {"observed_age_seconds": 60}, stale_after=61))


def test_missing_fields_show_as_a_dash() -> None:
    """An older or newer daemon may not send them."""
    values = values_of({})
    assert values.pop("Processes") == "not observed yet"
    assert values.pop("Concurrency") == "- (- threads, - tasks)"
    assert set(values.values()) == {"-"}


@pytest.mark.parametrize("odd", ["12", None, True, [], {}, float("nan"), float("inf"), -1, 10**400])
def test_odd_fields_show_as_a_dash(odd: object) -> None:
    """A panel never ends in a traceback for what somebody sent."""
    values = values_of({key: odd for key in SNAPSHOT if key not in ("workers", "system_health")})
    assert values["Uptime"] == values["Memory"] == values["Errors"] == values["Mean response"] == "-"
    assert values_of({"workers": odd}).get("Workers") == ("0 (0 busy)" if odd == [] else "-")
    assert values_of({"workers": [odd]})["Workers"] == "1 (0 busy)"


def test_errors_have_a_share_only_where_there_were_requests() -> None:
    """No division by zero, no share of an unknown number."""
    assert values_of({"http_errors": 0, "http_requests": 0})["Errors"] == "0 (0.0%)"
    assert values_of({"http_errors": 1234})["Errors"] == "1,234"
    assert values_of({"http_requests": 1})["Errors"] == "-"


def test_a_daemon_that_starts_says_so() -> None:
    """Though `system_health`, which an older daemon has alone, knows no such state."""
    assert values_of({"system_health": "degraded", "health": "starting"})["Health"] == "starting"
    assert values_of({"system_health": "degraded"})["Health"] == "degraded"


def test_text_from_the_daemon_cannot_drive_the_terminal() -> None:
    """Escape sequences, line ends and wide characters are shown, not sent."""
    assert values_of({"system_health": "\x1b[2J\n│ok"})["Health"] == r"\x1b[2J\n\u2502ok"
    assert escaped("\x9b\x7f\tü\u202e\u2066", "ascii", "\t") == r"\x9b\x7f" + "\t" + r"\xfc\u202e\u2066"
    assert values_of({"system_health": "é" * 50})["Health"] == r"\xe9" * 9 + r"\..."
    assert values_of({"system_health": ""})["Health"] == "-"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m 0s"), (3599, "59m 59s"), (3600, "1h 0m 0s"), (93_784, "1d 2h 3m 4s")],
)
def test_durations(seconds: float, text: str) -> None:
    """From the largest unit that isn't zero, whole seconds."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1 KB"), (1.5 * 1024**3, "1.5 GB"), (5000 * 1024**4, "5,000 TB")],
)
def test_sizes(amount: float, text: str) -> None:
    """In units of 1024."""
    assert size(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0.000ms"), (0.35, "0.350ms"), (45.24, "45.2ms"), (1e4, "10,000.0ms")]
)
def test_milliseconds(amount: float, text: str) -> None:
    """Short times keep three decimals."""
    assert milliseconds(amount) == text
