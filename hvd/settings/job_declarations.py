"""How operators declare kinds of job.

    [jobs.kinds.checksum]
    command = ["sha256sum", "{file}"]
    params = { file = { type = "path", roots = ["/srv/images"] } }

The program itself holds no place; each place names a parameter, and each parameter has a place.

A declaration is checked in three steps: its structure by a JSON schema, each parameter, then how they fit together.
Every step tells all that it finds, of whatever the steps before have found nothing wrong with.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from hvd.json_schemas import Schema, rule
from hvd.settings.job_kinds import DECLARED_NAME, NO_LIMIT, Kind, leading_places, places_in
from hvd.settings.job_params import (
    FOLDER_PATTERN,
    TYPES,
    ChoiceParam,
    Fault,
    IntParam,
    Param,
    StringParam,
    param_from,
    regex_problem,
)
from hvd.texts import cut, quoted, suggestion

FAULTS_MAX = 100
"""After so many faults the check stops: nobody reads them all, and each costs time."""

_NAME_EXPECTED = "a lower-case letter, then at most 31 of a-z 0-9 _ -"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_ARGUMENT = rule("a text of at most 4096 characters, no NUL", "string", pattern=r"^[^\x00]{0,4096}\Z")
_KIND = Schema(
    rule("a table that declares a kind of job", "object", required=["command"], additionalProperties=False)
    | {
        "properties": {
            "command": rule("a list of 1 to 1000 texts, the program first", "array", minItems=1, maxItems=1000)
            | {"items": _ARGUMENT},
            "params": rule("a table of parameters, by name", "object"),
            "progress": rule(
                "a regular expression with a group named percent, or one group", "string", minLength=1, maxLength=1000
            ),
            "timeout": rule(
                "a number of seconds from 0.1 to 2592000", "number", minimum=0.1, maximum=2_592_000
            ),  # 30 days
            "concurrency": rule(f"a whole number from 1 to {NO_LIMIT}", "integer", minimum=1, maximum=NO_LIMIT),
            "retries": rule("a whole number from 0 to 100", "integer", minimum=0, maximum=100),
            "backoff": rule("a number of seconds from 0 to 3600", "number", minimum=0, maximum=3600),
            "env": rule("a table of texts, by the names of variables", "object", additionalProperties=_ARGUMENT),
            "cwd": rule("an absolute folder, without . and .. in it", "string", pattern=rf"^/\Z|{FOLDER_PATTERN}"),
        }
    }
)
_PARAM = Schema(
    rule("a table that declares a parameter", "object", required=["type"])
    | {"properties": {"type": {"description": "one of " + ", ".join(TYPES), "enum": list(TYPES)}}}
)
_HELP = rule("a text of at most 500 characters", "string", maxLength=500)
_PARAMS = {
    name: Schema(
        {
            "required": param.REQUIRED,
            "additionalProperties": False,
            "properties": {**param.KEYS, "type": {}, "default": {}, "help": _HELP},
        }
    )
    for name, param in TYPES.items()
}


def read_kinds(table: object) -> tuple[dict[str, Kind], list[Fault]]:
    """The kinds that a table declares, without the wrong ones, and all faults, their keys as seen from the table."""
    if not isinstance(table, Mapping):
        return {}, [((), f"is {_brief(table)}: it must be a table of kinds of job, by name")]
    kinds: dict[str, Kind] = {}
    faults: list[Fault] = []
    for name, declaration in table.items():
        if len(faults) >= FAULTS_MAX:
            break
        of_kind = list(islice(chain(_name_faults(name, "of a kind of job"), _faults(declaration)), FAULTS_MAX))
        faults += [((name, *path), text) for path, text in of_kind]
        if not of_kind:
            kinds[name] = Kind.from_dict({"name": name, **declaration})
    return kinds, faults


def _faults(declaration: Any) -> Iterator[Fault]:
    in_structure = list(_structure(_KIND, declaration))
    yield from in_structure
    if not isinstance(declaration, Mapping):
        return
    faulty = {path[:1] for path, _ in in_structure}
    sound = {key: value for key, value in declaration.items() if (key,) not in faulty}
    for name in sound.get("env", ()):
        if not _VARIABLE.fullmatch(name):
            yield ("env", name), "is no name of a variable"
    yield from _progress_faults(sound.get("progress"))
    params: dict[str, Param | None] = {}
    for name, param in sound.get("params", {}).items():
        params[name], faults = _read_param(name, param)
        yield from ((("params", name, *path), text) for path, text in faults)
    if "command" in sound and ("params" in sound or "params" not in declaration):
        yield from _command_faults(sound["command"], params)


def _read_param(name: str, declaration: Any) -> tuple[Param | None, list[Fault]]:
    faults = [*_name_faults(name, "of a parameter"), *_structure(_PARAM, declaration)]
    if not any(path for path, _ in faults) and isinstance(declaration, Mapping):
        faults += _structure(_PARAMS[declaration["type"]], declaration)
    if faults:
        return None, faults
    param = param_from(declaration)
    return param, list(param.faults())


def _progress_faults(pattern: str | None) -> Iterator[Fault]:
    if pattern is None:
        return
    problem = regex_problem(pattern)
    if not problem:
        groups = re.compile(pattern)
        if "percent" in groups.groupindex or groups.groups == 1:
            return
        problem = f"it has {groups.groups} groups, none of them named percent"
    expected = _KIND.rules["properties"]["progress"]["description"]
    yield ("progress",), f"is {quoted(pattern)}: it must be {expected} ({problem})"


def _command_faults(command: list[str], params: Mapping[str, Param | None]) -> Iterator[Fault]:
    """What is wrong with the places; `params` has None for those in which something else is wrong."""
    placed = set(re.findall(r"\{(.*?)\}", command[0]))
    yield from _program_faults(command[0])
    for index, argument in enumerate(command[1:], 1):
        try:
            places = places_in(argument)
        except ValueError as error:
            yield ("command", index), f"is {_brief(argument)}: {error}"
            placed |= set(params)  # it can't be known which of them it means
            continue
        placed.update(places)
        for name in [name for name in places if name not in params]:
            proposal = f"{suggestion(name, params)} (a brace itself is written twice)"
            yield ("command", index), f"is {_brief(argument)}: {{{cut(name)}}} is no parameter{proposal}"
        yield from _option_faults(argument, params)
    for name in params:
        if name not in placed:
            yield ("params", name), f"is not used: the command needs a place {{{name}}}, or the parameter has to go"


def _program_faults(program: str) -> Iterator[Fault]:
    expected = "the name of a program without folder, or its absolute path; it has no places"
    plain = "/" not in program or program.startswith("/")
    if not program.strip() or not program.isprintable() or not plain or program.startswith("-") or "{" in program:
        yield ("command", 0), f"is {_brief(program)}: it must be {expected}"


def _option_faults(argument: str, params: Mapping[str, Param | None]) -> Iterator[Fault]:
    """Parameters that begin an argument and are declared to take values that begin with "-"."""
    for name in leading_places(argument):
        param = params.get(name)
        why = f"at {{{name}}} it begins an argument, and what begins with - could be taken for an option"
        if isinstance(param, IntParam) and param.min < 0:
            yield ("params", name, "min"), f"is {param.min}: it must be at least 0; {why}"
        if isinstance(param, ChoiceParam):
            for index, choice in enumerate(param.choices):
                if choice.startswith("-"):
                    yield ("params", name, "choices", index), f"is {quoted(choice)}: it must not begin with -; {why}"
        if isinstance(param, StringParam) and str(param.default or "").startswith("-"):
            yield ("params", name, "default"), f"is {quoted(param.default)}: it must not begin with -; {why}"
        if param and not _may_be_empty(param):
            return  # so the next place begins nothing


def _may_be_empty(param: Param) -> bool:
    return isinstance(param, StringParam) and not regex_problem(param.pattern) and bool(re.fullmatch(param.pattern, ""))


def _name_faults(name: str, what: str) -> Iterator[Fault]:
    if not DECLARED_NAME.fullmatch(name):
        yield (), f"is no name {what}: it must be {_NAME_EXPECTED}"


def _structure(schema: Schema, value: Any) -> Iterator[Fault]:
    """What the schema finds, in our words, each once."""
    faults: dict[Fault, None] = {}
    for path, keyword, part, rules, names in schema.violations(value):
        known = rules.get("properties", {})
        if keyword == "required":
            for name in names:
                faults[(*path, name), f"is missing: it must be {known[name]['description']}"] = None
        elif keyword == "additionalProperties":
            for name in names[:FAULTS_MAX]:
                faults[(*path, name), f"is no key here{suggestion(name, known)}"] = None
        else:
            what = "" if path[:1] == ("env",) else f"is {_brief(part)}: it "  # passwords, perhaps
            faults[path, f"{what}must be {rules['description']}"] = None
    yield from faults


def _brief(value: Any) -> str:
    """A value in a message; of what may hold others' passwords only what it is."""
    if isinstance(value, list) and any(isinstance(item, list | Mapping) for item in value):
        return "a list of tables or lists"
    return quoted(value)
