"""Types of values: what is read and refused, and what a person sees of a value.

What each setting takes is in test_settings.py, through the settings.
"""

from pathlib import Path
from typing import Any

import pytest

from hvd.settings.value_types import ValueType, cut, dotted, nearest, one_of, quoted, seconds, shown, text, whole


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


@pytest.mark.parametrize(
    ("value", "as_shown"),
    [
        ("postgresql://hvd:s@cr/et@db/hvd?password=s&x=1", '"postgresql://hvd:***@db/hvd?password=***&x=1"'),
        ("a\x1b\n", '"a\\u001b\\n"'),
        (Path("/srv"), '"/srv"'),
        (["a", True, 2.5, None], '["a", true, 2.5, None]'),
    ],
)
def test_a_value_is_shown_as_toml_has_it_without_passwords(value: Any, as_shown: str) -> None:
    """Control characters can't reach a terminal."""
    assert shown(value) == as_shown


def test_the_nearest_name_is_asked_for_if_there_is_one() -> None:
    """Case doesn't matter; what is not to count is left out of what is compared."""
    assert nearest("Wrkers", ["workers", "slots"]) == "; did you mean workers?"
    assert (
        nearest("HVD_SLOT", ["HVD_WORKERS", "HVD_SLOTS"], lambda name: name.removeprefix("HVD_"))
        == "; did you mean HVD_SLOTS?"
    )
    assert nearest("foo", ["workers", "slots"]) == ""


def test_the_steps_to_a_value_are_written_as_a_key() -> None:
    """Quoted where TOML needs it, and without control characters."""
    assert dotted(("jobs", "kinds", "a-b_1", "command", 0)) == "jobs.kinds.a-b_1.command[0]"
    assert dotted(("jobs", "a b", "\x1b", "")) == 'jobs."a b"."\\u001b".""'


def test_a_complaint_quotes_200_characters_at_most() -> None:
    """And no part of a password: that is taken out before the rest is cut."""
    assert cut("x" * 200) == "x" * 200
    assert cut("x" * 201) == "x" * 200 + "… (201 characters)"
    assert quoted("y" * 100_000) == '"' + "y" * 199 + "… (100002 characters)"
    assert "geheim" not in quoted("postgresql://hvd:" + "geheim" * 100 + "@db/hvd")
    assert len(dotted(["k" * 5000, "l" * 5000])) < 500


def test_what_cannot_be_written_out_is_described() -> None:
    """A table may be as deep as it likes, a number have more digits than Python converts."""
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert shown(deep) == "a table"
    assert shown([{}, 1]) == "[a table, 1]"
    assert shown(1 << 40_000) == "a number of 40001 bits"
