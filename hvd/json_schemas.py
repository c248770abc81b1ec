"""JSON schemas (draft 2020-12): which keywords a value breaks, and JSON pointers (RFC 6901) to where it does.

The callers write the messages, as they know the reader: the operator of a file, or the sender of a request.
"""

import math
from collections.abc import Iterator
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Path = tuple[str | int, ...]
"""The steps to a value: names of members, numbers of items."""


class Problem(NamedTuple):
    """What is wrong with a value that a client sent: a JSON pointer to it, and what it must be."""

    pointer: str
    detail: str


class Violation(NamedTuple):
    """A keyword of a schema that the value at `path` breaks; `rules` is the schema that the keyword is in.

    `names` are the members that are missing (`required`) or unknown (`additionalProperties`).
    """

    path: Path
    keyword: str
    value: Any
    rules: dict[str, Any]
    names: tuple[str, ...] = ()


class Schema:
    """A schema, to be made once: at module level. Thread-safe.

    1.0 and true are no whole numbers in it, NaN and infinity no numbers: TOML and Python have them all.
    """

    def __init__(self, rules: dict[str, Any]) -> None:
        self.rules = rules

    def violations(self, value: Any) -> Iterator[Violation]:
        """All that the value breaks, in the schema's order."""
        incomplete: set[Path] = set()
        error: Any
        for error in self._validator.iter_errors(value):
            path, names = tuple(error.absolute_path), ()
            if error.validator == "required":  # the library has an error for each member that is missing
                if path in incomplete:
                    continue
                incomplete.add(path)
                names = tuple(name for name in error.validator_value if name not in error.instance)
            elif error.validator == "additionalProperties":
                names = tuple(name for name in error.instance if name not in error.schema.get("properties", {}))
            yield Violation(path, error.validator, error.instance, error.schema, names)

    @cached_property
    def _validator(self) -> "Validator":
        """Made at first use: a daemon without kinds of job never needs the library's 50 ms."""
        return _validator_class()(self.rules)


@cache
def _validator_class() -> "type[Validator]":
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def is_number(_: Any, value: Any) -> bool:
        return type(value) is int or (type(value) is float and math.isfinite(value))

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator: Any = extend(Draft202012Validator, type_checker=types.redefine("number", is_number))  # type: ignore[no-untyped-call]
    return cast("type[Validator]", validator)


def rule(description: str, type: str, **limits: Any) -> dict[str, Any]:
    """The rules for one value; `description` says in a message what the value must be."""
    return {"description": description, "type": type, **limits}


def pointer(*steps: str | int) -> str:
    """The JSON pointer to the value at the end of these steps."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
