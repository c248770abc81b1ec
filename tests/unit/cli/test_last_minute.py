"""The last minute beside the one before."""

from typing import Any

import pytest

from hvd.cli.last_minute import minute_rows

MINUTE: dict[str, Any] = {
    "seconds": 60.0,
    "requests": 2000,
    "requests_per_second": 33.33,
    "server_errors": 240,
    "client_errors": 10,
    "server_error_rate": 0.12,
    "client_error_rate": 0.005,
    "p99_ms": 98.6,
}
BEFORE = MINUTE | {"requests_per_second": 30.0, "server_error_rate": 0.001, "p99_ms": 91.2}
NOTHING = MINUTE | {"requests": 0, "requests_per_second": 0.0, "p99_ms": None}


def rows(**raw: object) -> list[str]:
    return [value for _, value in minute_rows(raw)]


def test_errors_of_the_server_and_of_clients_are_told_apart() -> None:
    """With the numbers behind the share, and each beside the minute before, where that is known."""
    assert minute_rows({"last_minute": MINUTE, "minute_before": BEFORE}) == [
        ("Rate", "33.3/s, 30.0/s the minute before"),
        ("5xx", "12.0% (240 of 2,000), 0.1% the minute before"),
        ("4xx", "0.5% (10 of 2,000), 0.5% the minute before"),
        ("p99", "98.6ms, 91.2ms the minute before"),
    ]
    assert rows(last_minute=MINUTE) == ["33.3/s", "12.0% (240 of 2,000)", "0.5% (10 of 2,000)", "98.6ms"]


def test_no_traffic_is_no_measurement() -> None:
    """Neither an error share of 0 nor a time of 0; what was before is told."""
    assert rows(last_minute=NOTHING) == ["0.0/s", "-", "-", "-"]
    assert rows(last_minute=NOTHING, minute_before=MINUTE)[1] == "-, 12.0% the minute before"


def test_requests_in_progress_show_in_p99() -> None:
    """Where they are older than what was completed: while all are stuck, nothing else tells."""
    assert rows(last_minute=MINUTE, p99_with_open=18_240.0)[3] == "98.6ms; 18.2s with those in progress"
    assert rows(last_minute=MINUTE, p99_with_open=98.6)[3] == "98.6ms"
    assert rows(last_minute=NOTHING, p99_with_open=18_240.0)[3] == "-; 18.2s with those in progress"


def test_an_older_daemon_has_its_last_interval() -> None:
    """Of what it tells; the rest is unknown."""
    assert rows(requests_per_second=12.5, p99=9.5) == ["12.5/s", "-", "-", "9.5ms"]


@pytest.mark.parametrize("odd", [None, 7, "x", [], {"requests": "x", "p99_ms": -1, "requests_per_second": True}])
def test_odd_answers_are_unknown(odd: object) -> None:
    """Whatever somebody sent."""
    assert rows(last_minute=odd, minute_before=odd) == ["-"] * 4
