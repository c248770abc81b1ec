"""Types of answers as JSON schemas."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

import pytest
from jsonschema import Draft202012Validator

from hvd.web.json_types import Schemas


class Part(TypedDict, total=False):
    """A part."""

    size: float


class Whole(Part):
    """What has parts, and itself in it."""

    name: str
    parts: list[Part]
    inner: "Whole | None"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (str, "a", 1),
        (int, 1, 1.5),
        (float, 1, "1"),
        (bool, True, 1),
        (None | int, None, "a"),
        (str | None, "a", 1),
        (Literal["a", "b"], "a", "c"),
        (list[int], [1], ["a"]),
        (Sequence[str], [], "a"),
        (dict[str, int], {"a": 1}, {"a": "b"}),
        (Mapping[str, list[str]], {"a": []}, {"a": 1}),
        ({"const": 7}, 7, 8),
    ],
)
def test_a_schema_takes_what_the_type_takes(kind: Any, good: object, bad: object) -> None:
    """And nothing else."""
    validator: Any = Draft202012Validator(Schemas().of(kind))
    assert validator.is_valid(good)
    assert not validator.is_valid(bad)


def test_anything_is_anything() -> None:
    """No promise is made."""
    assert Schemas().of(Any) == Schemas().of(object) == {}


def test_a_typed_dict_is_a_component() -> None:
    """By its name, with what it inherits; a member that may be missing isn't required; more members may come."""
    schemas = Schemas()
    assert schemas.of(Whole) == {"$ref": "#/components/schemas/Whole"}
    assert set(schemas.components) == {"Whole", "Part"}
    whole = schemas.components["Whole"]
    assert whole["required"] == ["inner", "name", "parts"]
    assert whole["description"] == "What has parts, and itself in it."
    validator: Any = Draft202012Validator({**schemas.of(Whole), "components": {"schemas": schemas.components}})
    assert validator.is_valid({"name": "a", "parts": [{}], "inner": None, "later": 1})
    assert not validator.is_valid({"name": "a", "parts": [{"size": "x"}], "inner": None})


def _another_part() -> Any:
    class Part(TypedDict):
        """Of another module, say."""

        x: int

    return Part


def test_what_has_no_schema_is_refused() -> None:
    """At once, not where a client trusts it; two types of one name as well."""

    class Pair(NamedTuple):
        a: int

    with pytest.raises(TypeError, match="no JSON schema"):
        Schemas().of(Pair)
    schemas = Schemas()
    schemas.of(Part)
    with pytest.raises(TypeError, match="named Part"):
        schemas.of(_another_part())
