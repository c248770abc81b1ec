"""Types of answers → JSON schemas (draft 2020-12, which OpenAPI 3.1 takes): what the code promises is published.

A TypedDict becomes a component, named as its class, with its docstring. Members are added to answers and never removed,
so no object is closed.
"""

import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

Schema = dict[str, Any]

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
}


class Schemas:
    """Makes schemas of types; `components` has those of the TypedDicts that it met, by name. Not thread-safe."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._types: dict[str, Any] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type; one that is a schema already stays as it is. Raises TypeError for what has none."""
        if isinstance(kind, dict):
            return kind
        if is_typeddict(kind):
            return self._reference(kind)
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(argument) for argument in arguments]}
        if origin in (list, Sequence):
            return {"type": "array", "items": self.of(arguments[0])}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        raise TypeError(f"{kind!r} has no JSON schema: answers are made of TypedDicts, lists, dicts and plain values")

    def _reference(self, kind: Any) -> Schema:
        name = kind.__name__
        if self._types.setdefault(name, kind) is not kind:
            raise TypeError(f"two types of answers are named {name}: {self._types[name].__module__}, {kind.__module__}")
        if name not in self.components:
            self.components[name] = {}  # so that a type that has itself in it comes to an end
            hints = get_type_hints(kind)
            self.components[name] = {
                "type": "object",
                "description": inspect.getdoc(kind) or name,
                "properties": {member: self.of(hint) for member, hint in hints.items()},
                "required": sorted(kind.__required_keys__),
            }
        return {"$ref": f"#/components/schemas/{name}"}
