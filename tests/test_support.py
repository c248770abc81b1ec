"""What tests use to wait: that a failure says what happened."""

import pytest

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
