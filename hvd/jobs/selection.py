"""Which jobs a query or a cancellation means: a list of ids, or all of some statuses."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hvd.jobs.ids import is_id
from hvd.jobs.states import STATUSES
from hvd.jobs.strict_json import excerpt
from hvd.jobs.submission import JOBS_MAX, structure
from hvd.json_schemas import Problem, Schema, pointer, rule

_ID_LISTS = ("ids", "job_ids")
_FILTERS = ("all", "status", "limit")
_TEXT = rule("a string", "string")
_IDS = rule("an array of ids", "array", minItems=1, maxItems=JOBS_MAX) | {"items": _TEXT}
_STATUSES = rule("a status, or an array of statuses", "array", minItems=1, maxItems=len(STATUSES))
_MEMBERS: dict[str, dict[str, Any]] = {
    "ids": _IDS,
    "job_ids": _IDS,
    "all": rule("true or false", "boolean"),
    "status": _STATUSES | {"items": _TEXT},
    "limit": rule("a whole number", "integer"),
}
_OBJECT = rule("a JSON object", "object", additionalProperties=False)
_BODY = Schema(_OBJECT | {"properties": _MEMBERS})


class Rules(NamedTuple):
    """What a request may select: of which statuses, how many at most, and how many where it doesn't say; `names_set`
    is true where `all` or `status` has to say which jobs are meant.
    """

    statuses: Sequence[str]
    most: int
    usual: int
    names_set: bool

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the body, for clients: it says the same as `check_selection`."""
        status = {"type": "string", "enum": list(self.statuses)}
        bounds = {"minimum": 1, "maximum": self.most, "default": self.usual}
        members = {
            **_MEMBERS,
            "status": {"anyOf": [status, _STATUSES | {"items": status}]},
            "limit": _MEMBERS["limit"] | bounds,
        }
        alone = {"properties": {"all": {"const": False}, "status": False, "limit": False}}
        needed = [{"required": [name]} for name in self.needed]
        return {
            **_OBJECT,
            "properties": members,
            "not": {"required": list(_ID_LISTS)},
            "dependentSchemas": dict.fromkeys(_ID_LISTS, alone),
            "anyOf": [*needed, {"required": ["all"], "properties": {"all": {"const": True}}}],
        }

    @property
    def needed(self) -> tuple[str, ...]:
        """Members of which one has to be there, or `all` as true."""
        return (*_ID_LISTS, "status") if self.names_set else (*_ID_LISTS, *_FILTERS)


class Selection(NamedTuple):
    """The ids, each once, then the texts that can be no id; or, where `is_filter`, the statuses (none: all) and how
    many; or what is wrong with the request.
    """

    ids: list[str] = []
    malformed: list[str] = []
    is_filter: bool = False
    statuses: list[str] = []
    limit: int = 0
    problems: list[Problem] = []


def check_selection(body: object, rules: Rules) -> Selection:
    """What a parsed body selects."""
    if isinstance(body, dict) and isinstance(body.get("status"), str):
        body = {**body, "status": [body["status"]]}
    problems = list(structure(_BODY, body, ""))
    if problems or not isinstance(body, dict):
        return Selection(problems=problems)
    problems = _contradictions(body) or _out_of_bounds(body, rules) or _nothing_named(body, rules)
    if problems:
        return Selection(problems=problems)
    texts = dict.fromkeys(next((body[name] for name in _ID_LISTS if name in body), ()))
    return Selection(
        [text for text in texts if is_id(text)],
        [text for text in texts if not is_id(text)],
        not texts,
        list(dict.fromkeys(body.get("status", ()))),
        body.get("limit", rules.usual),
    )


def _contradictions(body: Mapping[str, Any]) -> list[Problem]:
    """Members of which only one can hold. Clients that send all their fields send `"all": false` beside a list."""
    lists = [name for name in _ID_LISTS if name in body]
    filters = [name for name in _FILTERS if body.get(name, False) is not False]
    if len(lists) > 1:
        return [Problem("/job_ids", "stands beside ids, which means the same: give one of them")]
    if lists and filters:
        names = f"{lists[0]} and {filters[0]}"
        return [Problem(pointer(filters[0]), f"{names} contradict each other: give a list of ids, or a filter")]
    return []


def _out_of_bounds(body: Mapping[str, Any], rules: Rules) -> list[Problem]:
    known = ", ".join(rules.statuses)
    problems = [
        Problem(pointer("status", index), f"{excerpt(status)} can't be asked for here; there are: {known}")
        for index, status in enumerate(body.get("status", ()))
        if status not in rules.statuses
    ]
    if not 1 <= body.get("limit", 1) <= rules.most:
        problems.append(Problem("/limit", f"must be a whole number from 1 to {rules.most}"))
    return problems


def _nothing_named(body: Mapping[str, Any], rules: Rules) -> list[Problem]:
    """Refuse a request that names no set: a forgotten member must not cancel anything, or ask for everything."""
    if any(name in body for name in rules.needed) or body.get("all"):
        return []
    return [Problem("/ids", "is missing: give ids, job_ids, status, or all as true")]
