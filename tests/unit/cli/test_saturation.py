"""How busy a daemon is, in words."""

import pytest

from hvd.cli.saturation import (
    backlog_text,
    capacity_text,
    long_requests,
    p99_text,
    reasons_of,
    request_lines,
    waiting_text,
)

BUSY = {"worker_threads": 8, "worker_threads_busy": 8, "busy_ratio": 0.98, "saturated_seconds": 18.24}


def test_busy_threads_are_told_of_their_number() -> None:
    """Since when all are, and for how much of the time."""
    assert capacity_text(BUSY) == "8 of 8 busy for 18.2s, 98% of the time"
    assert capacity_text(BUSY | {"worker_threads_busy": 3}) == "3 of 8 busy, 98% of the time"
    assert capacity_text({"worker_threads": 8, "worker_threads_busy": 8}) == "8 of 8 busy"


def test_a_kernel_that_tells_no_backlog_leaves_it_unknown() -> None:
    """Which is not none."""
    assert backlog_text({"accept_backlog": 12, "accept_backlog_limit": 2048}) == "12 of 2,048"
    assert (
        backlog_text({"accept_backlog": 0, "accept_backlog_limit": 9, "queued_requests": 3}) == "0 of 9; 3 for a thread"
    )
    assert backlog_text({"accept_backlog": None, "queued_requests": 3}) == "-; 3 for a thread"
    assert backlog_text({"accept_backlog": None, "accept_backlog_limit": None}) == "-"


def test_clients_that_are_waited_for_are_told_by_what_is_missing() -> None:
    """Those that are none are left out."""
    clients = {"silent": 3, "half_head": 2, "half_body": 0, "unread": 1, "idle": 40}
    assert waiting_text({"waiting_clients": clients}) == "3 silent, 2 with half a head, 1 not reading, 40 kept alive"
    assert waiting_text({"waiting_clients": dict.fromkeys(clients, 0)}) == ""


def test_requests_in_progress_can_only_make_it_worse() -> None:
    """What is below the percentile of the finished ones says nothing more."""
    assert p99_text({"p99": 9.5, "p99_with_open": 18_240.0}) == "9.5ms, 18.2s with those in progress"
    assert p99_text({"p99": 0.0, "p99_with_open": 18_240.0}) == "-, 18.2s with those in progress"
    assert p99_text({"p99": 9.5, "p99_with_open": 9.5}) == p99_text({"p99": 9.5}) == "9.5ms"


def test_only_requests_that_take_long_are_told() -> None:
    """The one that asks is in progress as well."""
    quick, slow = ({"method": "GET", "path": "/x", "age_seconds": age, "pid": 7} for age in (0.1, 61.0))
    assert long_requests({"longest_requests": [slow, quick]}) == [slow]
    assert request_lines({"longest_requests": [slow, quick]}, "utf-8") == ["1m 1s GET /x, worker 7"]


@pytest.mark.parametrize("odd", [None, "x", [], {}, True, -1, float("nan"), [None], [{"age_seconds": 5}]])
def test_odd_values_are_no_error(odd: object) -> None:
    """An older daemon sends nothing, a broken one anything."""
    names = (*BUSY, "accept_backlog", "waiting_clients", "longest_requests", "p99", "p99_with_open", "reasons")
    raw = dict.fromkeys(names, odd)
    assert capacity_text(raw) == backlog_text(raw) == p99_text(raw) == "-"
    assert waiting_text(raw) == ""
    assert reasons_of(raw) == ()
    assert len(request_lines(raw, "ascii")) == (odd == [{"age_seconds": 5}])
    assert capacity_text({}) == "-"
