"""Types of values: what is read and refused.

What each setting takes is in test_table.py, through the settings.
"""

from typing import Any

import pytest

from hvd.settings.value_types import ValueType, one_of, seconds, text, whole


def refusal(kind: ValueType, value: Any) -> str:
    """What a type says to a value that it refuses."""
    with pytest.raises(ValueError, match=r".*") as caught:
        kind.read(value)
    return str(caught.value) or kind.expected


@pytest.mark.parametrize(
    ("kind", "right", "wrong", "expected"),
    [
        (whole(1, 4), [1, 4], [0, 5, True, 1.0, "1", None], "a whole number from 1 to 4"),
        (seconds(0.1, 60), [0.1, 1, 60], [0.09, 61, True, "1", float("nan")], "a number of seconds from 0.1 to 60"),
        (text("two letters", "[a-z]{2}"), ["ab"], ["abc", "ab\n", 1, None], "two letters"),
        (one_of("a", "b"), ["a", "b"], ["c", 1, ["a"]], "one of a, b"),
    ],
)
def test_a_type_takes_what_it_says_and_nothing_else(
    kind: ValueType, right: list[Any], wrong: list[Any], expected: str
) -> None:
    """Of the right Python type too: True is no number."""
    assert [kind.read(value) for value in right] == right
    assert {refusal(kind, value) for value in wrong} == {expected}
