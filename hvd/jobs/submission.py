"""Submissions of jobs: the one place where what a client asks for is checked.

What comes out is typed, and is stored and run as it is. Each job of a batch is checked by itself, so a bad one refuses
no other.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from hvd.jobs.job import Job, Json, NewJob
from hvd.jobs.strict_json import excerpt
from hvd.json_schemas import Path, Problem, Schema, pointer, rule
from hvd.settings.job_kinds import Kind

BODY_MAX = 1024 * 1024  # bytes: a thousand jobs of a kilobyte each
JOBS_MAX = 1000  # in one body; what one transaction of the store takes in some 100 ms
NAME_MAX = 200  # characters
KEY_MAX = 255  # characters of an idempotency key
LIST_MAX, LIST_DEFAULT = 500, 50  # jobs in one page of a list
_PROBLEMS_MAX = 10  # reported of one job: the answer to a megabyte of nonsense stays small

_OBJECT, _TEXT = rule("a JSON object", "object"), rule("a string", "string")
_LIST = rule("an array", "array", minItems=1, maxItems=JOBS_MAX)


def _schema(*required: str, **members: dict[str, Any]) -> Schema:
    """Of an object with these members, some of which are required."""
    return Schema(_OBJECT | {"properties": members, "required": required, "additionalProperties": False})


_NAME = _TEXT | {"minLength": 1, "maxLength": NAME_MAX}
_JOB = _schema("kind", "params", kind=_TEXT, params=_OBJECT, name=_NAME)
_BATCH = _schema("jobs", jobs=_LIST)
_ARRAY = Schema(_LIST)


class SubmissionKey(NamedTuple):
    """An idempotency key, and the fingerprint of the body that it came with."""

    text: str
    fingerprint: str

    @classmethod
    def of(cls, text: str, body: object) -> "SubmissionKey":
        """The fingerprint is the same for bodies that mean the same, whatever their blanks and their members' order."""
        data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        return cls(text, hashlib.sha256(data).hexdigest())


class Submission(NamedTuple):
    """A checked body of POST /jobs/submit: the jobs that may be taken, how many may not be, and what is wrong."""

    jobs: list[NewJob]
    rejected: int = 0
    problems: list[Problem] = []


class Receipt(NamedTuple):
    """What came of a submission: the answer to it, and the jobs taken; none where it is that to an earlier one."""

    answer: Json
    jobs: list[Job]
    is_replay: bool


def body_schema(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The JSON schema of a body, for clients: one job, an array, or an object that has the array as `jobs`."""
    name = _NAME | {"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"}
    one_of_them = [
        _JOB.rules | {"properties": {"kind": {"const": kind.name}, "params": kind.params_schema(), "name": name}}
        for kind in kinds.values()
    ]
    job = {"oneOf": one_of_them}
    jobs = _LIST | {"items": job}
    return {"oneOf": [job, jobs, _BATCH.rules | {"properties": {"jobs": jobs}}]}


def check_submission(body: object, kinds: Mapping[str, Kind]) -> Submission:
    """The jobs that a parsed body asks for: one, an array, or an object that has the array as `jobs`."""
    steps: Path = ()
    jobs, schema = body, _ARRAY
    if isinstance(body, dict) and "jobs" in body:
        steps, jobs, schema = ("jobs",), body["jobs"], _BATCH
    elif not isinstance(body, list):
        return _check_all([("", body)], kinds)
    problems = list(structure(schema, body, ""))
    if problems or not isinstance(jobs, list):
        return Submission([], len(jobs) if isinstance(jobs, list) else 1, problems)
    return _check_all(((pointer(*steps, index), job) for index, job in enumerate(jobs)), kinds)


def _check_all(jobs: Iterable[tuple[str, object]], kinds: Mapping[str, Kind]) -> Submission:
    accepted: list[NewJob] = []
    rejected, problems = 0, list[Problem]()
    for place, job in jobs:
        checked = _check(job, place, kinds)
        if isinstance(checked, NewJob):
            accepted.append(checked)
        else:
            problems += checked
            rejected += 1
    return Submission(accepted, rejected, problems)


def _check(job: Any, place: str, kinds: Mapping[str, Kind]) -> NewJob | list[Problem]:
    """The job at that place of the body, or what is wrong with it."""
    problems = list(structure(_JOB, job, place)) or list(_unprintable(job, place))
    if problems:
        return problems
    kind = kinds.get(job["kind"])
    if kind is None:
        known = ", ".join(islice(sorted(kinds), 20))
        return [Problem(f"{place}/kind", f"no kind of job is named {excerpt(job['kind'])}; there are: {known}")]
    params, wrong = kind.check(job["params"])
    if not wrong:
        return NewJob(kind, params, job.get("name", kind.name))
    problems = [Problem(f"{place}/params{problem.pointer}", problem.detail) for problem in wrong[:_PROBLEMS_MAX]]
    if len(wrong) > len(problems):
        problems.append(Problem(f"{place}/params", f"has {len(wrong) - len(problems)} problems more"))
    return problems


def structure(schema: Schema, value: object, place: str) -> Iterator[Problem]:
    """What the schema finds, in words that hold little of what the client sent."""
    for path, keyword, part, rules, names in islice(schema.violations(value), _PROBLEMS_MAX):
        where = place + _short_pointer(path)
        if keyword == "required":
            for name in names:
                yield Problem(f"{where}/{name}", "is missing")
        elif keyword == "additionalProperties":
            members = ", ".join(rules["properties"])
            for name in names[:_PROBLEMS_MAX]:
                detail = f"member {excerpt(name)} is unknown; there are: {members}"
                yield Problem(where + _short_pointer((name,)), detail)
        elif keyword == "type":
            yield Problem(where, f"must be {rules['description']}")
        else:
            most = rules.get("maxLength") or rules["maxItems"]
            unit = "characters" if "maxLength" in rules else "items"
            yield Problem(where, f"must have 1 to {most} {unit}, and has {len(part)}")


def _unprintable(job: Any, place: str) -> Iterator[Problem]:
    """Texts that no log or database should meet: half a surrogate pair anywhere, control characters in a name."""
    try:
        json.dumps(job, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        for where in islice(_halves(job, place), _PROBLEMS_MAX):
            yield Problem(where, "holds half of a surrogate pair, which is no character")
        return
    if not job.get("name", "").isprintable():
        yield Problem(f"{place}/name", "must have printable characters only")


def _halves(value: object, place: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            if _is_text(name):
                yield from _halves(member, place + _short_pointer((name,)))
            else:
                yield place
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _halves(item, place + pointer(index))
    elif isinstance(value, str) and not _is_text(value):
        yield place


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short_pointer(path: Path) -> str:
    """A pointer without the names that would fill the answer: it then leads to their parents."""
    return pointer(*(step for step in path if len(pointer(step)) <= NAME_MAX + 1))
