"""How much the log tells of slow requests."""

import logging

import pytest

from hvd.daemon.stacks.slow_log import LINES, LINES_OF_PLACE, MINUTE, SlowLog

log = logging.getLogger("test.slow")


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_minute_has_so_many_lines_and_a_sum(caplog: pytest.LogCaptureFixture) -> None:
    """Some of each place; the sum names the place of most."""
    slow = SlowLog(log)
    slow.end_minute(1.0)
    for _ in range(100):
        slow.add(7, "GET /a", 1.25, "at a.py:1 a")
    for number in range(LINES):
        slow.add(8, "GET /b", 1.0, f"at b.py:{number} b")
    assert len(caplog.messages) == LINES
    assert caplog.messages[LINES_OF_PLACE - 1] == "hvd: worker (pid:7): GET /a takes 1.2 s by now, at a.py:1 a"
    assert caplog.messages[LINES_OF_PLACE] == "hvd: worker (pid:8): GET /b takes 1.0 s by now, at b.py:0 b"
    slow.end_minute(MINUTE)
    assert len(caplog.messages) == LINES
    slow.end_minute(1.0 + MINUTE)
    assert caplog.messages[LINES:] == ["hvd: 100 more requests were slow in the last minute, 95 of them: at a.py:1 a"]


def test_the_next_minute_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    """And where nothing was left out there is no sum."""
    slow = SlowLog(log)
    for minute in range(3):
        slow.end_minute(minute * MINUTE)
        for _ in range(LINES_OF_PLACE):
            slow.add(7, "GET /a", 1.0, "at a.py:1 a")
    assert len(caplog.messages) == 3 * LINES_OF_PLACE


def test_what_clients_and_files_are_called_is_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """In the sum too, which says where no place is known."""
    slow = SlowLog(log)
    slow.end_minute(0.0)
    for _ in range(LINES_OF_PLACE + 1):
        slow.add(7, "GET /\x1b", 1.0, "")
    assert caplog.messages[0] == "hvd: worker (pid:7): GET /\\x1b takes 1.0 s by now"
    slow.end_minute(MINUTE)
    assert caplog.messages[-1].endswith("1 more requests were slow in the last minute, 1 of them: no place known")
