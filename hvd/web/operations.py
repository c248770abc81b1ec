"""What an endpoint is: its path, its resource, and what each of its methods takes and answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import falcon

from hvd.settings.job_kinds import Kind
from hvd.settings.tokens import Scope
from hvd.web.here import Here

Content = Mapping[str, Any]
"""By media type, the type of the body: a TypedDict, or a JSON schema."""

Kinds = Mapping[str, Kind]


def json_of(answer: Any) -> Content:
    """JSON of that type."""
    return {falcon.MEDIA_JSON: answer}


@dataclass(frozen=True)
class Parameter:
    """A parameter: `schema` of its value, `place` "query", "path" or "header". A list's values have commas between."""

    name: str
    about: str
    schema: Mapping[str, Any]
    place: str = "query"


@dataclass(frozen=True)
class Operation:
    """What a method answers, by status; which statuses are problems; its parameters; and the JSON schema of its body,
    which may depend on the kinds of job declared. `scope` is what a caller needs, where the rest of its endpoint needs
    another.
    """

    answers: Mapping[int, Content]
    problems: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: Callable[[Kinds], Mapping[str, Any]] | None = None
    about: str = ""
    scope: Scope | None = None


@dataclass(frozen=True)
class Endpoint:
    """A path, what it is for in a line, what makes the resource that answers it, and its operations by method.

    Without `operations`, GET answers what the resource's method `answer` is annotated with. `admin_only` is true for
    what only the admin address serves, `scope` what a caller needs (access.py), `is_private` true for what no page of
    another site gets to see (pages.py), as all that tells of jobs, `needs_kinds` for what is there only where kinds of
    job are declared, `listed` false for what nobody asks for by itself.
    """

    path: str
    about: str
    resource: Callable[[Here], object]
    operations: Mapping[str, Operation] = field(default_factory=dict)
    admin_only: bool = False
    needs_kinds: bool = False
    listed: bool = True
    scope: Scope = Scope.READ
    is_private: bool = False
