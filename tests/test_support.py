"""What tests use to wait, and to leave nothing behind: that a failure says what happened."""

import os
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from tests.support import leftovers
from tests.support.leftovers import nothing_left
from tests.support.waiting import until


def test_a_condition_that_does_not_come_says_what_was_compared() -> None:
    """With the values of then; of several lambdas in a line too, and where a name is bound in one."""
    numbers, wanted = [1, 2], 9
    with pytest.raises(AssertionError, match=r"(?s) s: it is 9 .*\n  numbers\[0\] is 1\n  wanted is 9$"):
        until(lambda: numbers[0] == wanted, "it is 9", 0)
    with pytest.raises(AssertionError, match=r"len\(numbers\) is 2\n  numbers\[1\] is 2$"):
        until(lambda: len(numbers) == 2 and numbers[1] > 2, "both", 0)
    for condition in (lambda: number if (number := numbers[0]) > 3 else None, lambda: numbers[1] > 3):
        with pytest.raises(AssertionError, match=r"numbers\[[01]\]\)? is [12]$"):
            until(condition, "a larger one", 0)


def in_thread() -> Callable[[], None]:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="forgotten", daemon=True)
    thread.start()
    return lambda: (done.set(), thread.join())[1]


def child() -> Callable[[], None]:
    process = subprocess.Popen(["sleep", "60"])
    return lambda: (process.kill(), process.wait())[0]


def zombie() -> Callable[[], None]:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return lambda: (process.wait(), None)[1]


def variable() -> Callable[[], None]:
    os.environ["HVD_FORGOTTEN"] = "1"
    return lambda: os.environ.__delitem__("HVD_FORGOTTEN")


LEFT = {"thread forgotten": in_thread, "(sleep)": child, "(true)": zombie, "variable HVD_FORGOTTEN": variable}


@pytest.mark.parametrize("name", LEFT)
def test_what_a_test_leaves_behind_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread, a process, one that nobody has waited for, a variable."""
    monkeypatch.setattr(leftovers, "SECONDS", 0.1)
    ends: list[Callable[[], None]] = []
    try:
        with pytest.raises(AssertionError) as raised, nothing_left():
            ends.append(LEFT[name]())
    finally:
        for end in ends:
            end()
    assert name in str(raised.value)


def test_what_ends_by_itself_is_waited_for() -> None:
    """As a thread that was told to end, and has not yet."""
    with nothing_left():
        threading.Thread(target=time.sleep, args=(0.2,)).start()
