"""JSON schemas and pointers: what is broken, and where."""

from typing import Any

import pytest

from hvd.json_schemas import Schema, pointer, rule

JOB = Schema(
    rule("a job", "object", required=["kind", "params"], additionalProperties=False)
    | {"properties": {"kind": rule("a text", "string", maxLength=3), "params": rule("a table", "object")}}
)


def broken(value: Any) -> list[tuple[Any, ...]]:
    return [(each.path, each.keyword, each.names) for each in JOB.violations(value)]


def test_all_that_is_broken_is_told_once() -> None:
    """Members that are missing or unknown by their names; all else by the keyword."""
    assert broken({"kind": "a", "params": {}}) == []
    assert broken({}) == [((), "required", ("kind", "params"))]
    assert broken({"kind": 7, "x": 1, "y": 2}) == [
        ((), "required", ("params",)),
        ((), "additionalProperties", ("x", "y")),
        (("kind",), "type", ()),
    ]
    (violation,) = JOB.violations({"kind": "long", "params": {}})
    assert (violation.value, violation.rules["description"]) == ("long", "a text")


@pytest.mark.parametrize(
    ("value", "type", "fits"),
    [
        (1, "integer", True),
        (1.0, "integer", False),
        (True, "integer", False),
        (1.5, "number", True),
        (True, "number", False),
        (float("nan"), "number", False),
        (float("inf"), "number", False),
        (10**400, "number", True),
    ],
)
def test_numbers_are_plain(value: Any, type: str, fits: bool) -> None:
    """TOML and Python have more that looks like one."""
    assert (not list(Schema(rule("a number", type)).violations(value))) == fits


def test_a_rule_is_a_schema_with_words() -> None:
    """`description` is what a message says."""
    assert rule("a number", "integer", minimum=1) == {"description": "a number", "type": "integer", "minimum": 1}


@pytest.mark.parametrize(("steps", "expected"), [((), ""), (("file",), "/file"), (("a/b~c", 0, ""), "/a~1b~0c/0/")])
def test_a_pointer_is_escaped(steps: tuple[str | int, ...], expected: str) -> None:
    """As RFC 6901 says."""
    assert pointer(*steps) == expected
