"""What wakes the screen up; tests/live/test_top.py shows the rest."""

import select

from hvd.cli.top.screen import Wakeups


def test_a_wakeup_ends_a_select_once() -> None:
    """However often it was said, and never waits when the pipe is full."""
    wakeups = Wakeups()
    try:
        assert select.select([wakeups.reader], [], [], 0)[0] == []
        for _ in range(100_000):
            wakeups.wake()
        assert select.select([wakeups.reader], [], [], 0)[0]
        while wakeups.take():
            pass
        assert select.select([wakeups.reader], [], [], 0)[0] == []
    finally:
        wakeups.close()
    wakeups.wake()
