"""Request bodies → what they ask for, with a JSON pointer (RFC 6901) to each thing that is wrong.

A body is parsed strictly: what two readers could understand differently (a member given twice, NaN, a number that
overflows) is refused rather than guessed at. Each job of a batch is looked at by itself, so a bad one refuses no other.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from hvd.jobs.ids import is_id

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

    from hvd.jobs.database.store import NewJob
    from hvd.settings.job_kinds import Kind

Json = dict[str, Any]

BODY_MAX = 1024 * 1024  # bytes: a thousand jobs of a kilobyte each
JOBS_MAX = 1000  # in one body; what one transaction of the store takes in some 100 ms
NAME_MAX = 200  # characters
KEY_MAX = 255  # characters of an idempotency key
LIST_MAX, LIST_DEFAULT = 500, 50  # jobs in one page of a list
DEPTH_MAX = 32  # of arrays and objects in each other; a job needs 4, and Python's own limit is near 1000
_DIGITS_MAX = 100  # of a whole number; Python refuses to read 4,301, and takes quadratic time below
_PROBLEMS_MAX = 10  # told of one job: the answer to a megabyte of nonsense stays small
_SHOWN_MAX = 60  # characters shown of a text that the client sent

_JOB: Json = {
    "type": "object",
    "properties": {
        "kind": {"type": "string"},
        "params": {"type": "object"},
        "name": {"type": "string", "minLength": 1, "maxLength": NAME_MAX},
    },
    "required": ["kind", "params"],
    "additionalProperties": False,
}
_BATCH: Json = {
    "type": "object",
    "properties": {"jobs": {"type": "array", "minItems": 1, "maxItems": JOBS_MAX}},
    "required": ["jobs"],
    "additionalProperties": False,
}
_IDS: Json = {
    "type": "object",
    "properties": {"ids": {"type": "array", "minItems": 1, "maxItems": JOBS_MAX, "items": {"type": "string"}}},
    "required": ["ids"],
    "additionalProperties": False,
}
_TYPES = {"object": "a JSON object", "array": "an array", "string": "a string"}


class Submitted(NamedTuple):
    """What a body of POST /jobs/submit asks for: the jobs that may be taken, and what is wrong with the `rejected`."""

    jobs: list["NewJob"]
    rejected: int
    errors: list[Json]


def parse(data: bytes) -> Any:
    """The JSON value in those bytes. Raises ValueError, whose text says what is wrong."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"The body is not UTF-8: see its byte {error.start}.") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise _too_deep() from None
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [child for each in level if isinstance(each, dict | list) for child in _children(each)]
        if not level:
            return value
    raise _too_deep()


def fingerprint(body: object) -> str:
    """The same for bodies that mean the same, whatever their blanks and the order of their members."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_submit(body: object, kinds: Mapping[str, "Kind"]) -> Submitted:
    """The jobs that a parsed body asks for."""
    if not isinstance(body, dict) or "jobs" not in body:
        return _read_each([("", body)], kinds)
    errors = list(_structure(_BATCH, body, ""))
    if errors:
        jobs = body["jobs"]
        return Submitted([], len(jobs) if isinstance(jobs, list) else 1, errors)
    return _read_each(((f"/jobs/{index}", job) for index, job in enumerate(body["jobs"])), kinds)


def read_ids(body: object) -> tuple[list[str], list[str], list[Json]]:
    """The ids that a parsed body lists, each once, then what can be no id, then what is wrong with the body itself."""
    errors = list(_structure(_IDS, body, ""))
    if errors or not isinstance(body, dict):
        return [], [], errors
    given = dict.fromkeys(body["ids"])
    return [text for text in given if is_id(text)], [text for text in given if not is_id(text)], []


def _read_each(jobs: Iterable[tuple[str, object]], kinds: Mapping[str, "Kind"]) -> Submitted:
    taken: list[NewJob] = []
    rejected, errors = 0, []
    for place, job in jobs:
        problems = list(_structure(_JOB, job, place)) or list(_unprintable(job, place))
        if not problems:
            assert isinstance(job, dict)
            new, problems = _read_job(job, place, kinds)
            if new:
                taken.append(new)
        errors += problems
        rejected += bool(problems)
    return Submitted(taken, rejected, errors)


def _read_job(job: Json, place: str, kinds: Mapping[str, "Kind"]) -> tuple["NewJob | None", list[Json]]:
    from hvd.jobs.database.store import (
        NewJob,  # the desk has loaded it, and SQLAlchemy; without a desk nobody gets here
    )

    kind = kinds.get(job["kind"])
    if kind is None:
        known = ", ".join(islice(sorted(kinds), 20))
        return None, [_problem(f"{place}/kind", f"no kind of job is named {shown(job['kind'])}; there are: {known}")]
    wrong = kind.check(job["params"])
    if wrong:
        told = [_problem(f"{place}/params{each.pointer}", each.detail) for each in wrong[:_PROBLEMS_MAX]]
        if len(wrong) > len(told):
            told.append(_problem(f"{place}/params", f"has {len(wrong) - len(told)} problems more"))
        return None, told
    try:
        params = kind.normal(job["params"])
    except (ValueError, OSError) as error:  # what a path leads to has changed since the check
        return None, [_problem(f"{place}/params", f"can't be used any longer ({error})")]
    return NewJob(kind.name, params, job.get("name", kind.name)), []


def _structure(schema: Json, value: Any, place: str) -> Iterator[Json]:
    """What the schema finds, in words that hold little of what the client sent."""
    error: Any
    for error in islice(_validator(id(schema)).iter_errors(value), _PROBLEMS_MAX):
        at = place + "".join(map(_step, error.absolute_path))
        keyword, limits, instance = error.validator, error.schema, error.instance
        if keyword == "required":
            # The library gives an error for each member that is missing, and names it in the text only.
            name = next(name for name in limits["required"] if error.message.startswith(repr(name)))
            yield _problem(f"{at}/{name}", "is missing")
        elif keyword == "additionalProperties":
            members = ", ".join(limits["properties"])
            for name in islice((name for name in instance if name not in limits["properties"]), _PROBLEMS_MAX):
                yield _problem(at + _step(name), f"member {shown(name)} is unknown; there are: {members}")
        elif keyword == "type":
            yield _problem(at, f"must be {_TYPES[limits['type']]}")
        else:
            most = limits.get("maxLength") or limits["maxItems"]
            unit = "characters" if "maxLength" in limits else "items"
            yield _problem(at, f"must have 1 to {most} {unit}, and has {len(instance)}")


def _unprintable(job: object, place: str) -> Iterator[Json]:
    """Texts that no log or database should meet: half a surrogate pair anywhere, control characters in a name."""
    try:
        json.dumps(job, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        for at in islice(_halves(job, place), _PROBLEMS_MAX):
            yield _problem(at, "holds half of a surrogate pair, which is no character")
        return
    if isinstance(job, dict) and not job.get("name", "").isprintable():
        yield _problem(f"{place}/name", "must have printable characters only")


def _halves(value: object, place: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            if _is_text(name):
                yield from _halves(member, place + _step(name))
            else:
                yield place
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _halves(item, f"{place}/{index}")
    elif isinstance(value, str) and not _is_text(value):
        yield place


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _problem(pointer: str, detail: str) -> Json:
    return {"pointer": pointer, "detail": detail}


def _step(name: str | int) -> str:
    """One step of a pointer; none for a name that would fill the answer: the pointer is then its parent's."""
    text = str(name).replace("~", "~0").replace("/", "~1")
    return f"/{text}" if len(text) <= NAME_MAX else ""


def shown(text: str) -> str:
    """A client's text in quotes, in ASCII, of bounded length."""
    return json.dumps(text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "...")


def _children(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _too_deep() -> ValueError:
    return ValueError(f"The body's arrays and objects are nested deeper than {DEPTH_MAX}.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        name = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"The body gives the member {shown(name)} of an object twice.")
    return members


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"The body has a number of {len(digits)} digits; {_DIGITS_MAX} are the most.")
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"The body has a number that is too large: {digits[:_SHOWN_MAX]}.")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"The body is not JSON: it has no {name}.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=_decimal, parse_constant=_constant)
_SCHEMAS = {id(schema): schema for schema in (_JOB, _BATCH, _IDS)}


@cache
def _validator(schema_id: int) -> "Validator":
    """The library is loaded at the first body: a daemon without kinds of job never needs its 50 ms."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_SCHEMAS[schema_id])
