"""Kinds of job: how operators declare them, and how a job's parameters become a command.

    [jobs.kinds.checksum]
    command = ["sha256sum", "{file}"]
    params = { file = { type = "path", roots = ["/srv/images"] } }

A command is a list of arguments and never meets a shell. `{file}` is the place of a parameter, `{{` and `}}` stand for
braces. The program itself holds no place; each place names a parameter, and each parameter has a place. A value can't
become an option: where a place begins an argument, no value may begin with "-".

A declaration is checked in three steps: its structure by a JSON schema, each parameter, then how they fit together.
Every step tells all that it finds, of whatever the steps before have found nothing wrong with.
"""

import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice, takewhile
from typing import TYPE_CHECKING, Any, cast

from hvd.settings.job_params import (
    FOLDER,
    TYPES,
    ChoiceParam,
    Fault,
    IntParam,
    Param,
    Problem,
    StringParam,
    param_from,
    pointer_to,
    regex_problem,
    rule,
)
from hvd.texts import cut, nearest, quoted

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

NO_LIMIT = 1024
"""The concurrency of a kind that sets none: the most that jobs.concurrency may be, so that alone counts."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NAME_EXPECTED = "a lower-case letter, then at most 31 of a-z 0-9 _ -"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_PIECE = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<place>[^{}]*)\}|(?P<stray>[{}])|(?P<text>[^{}]+)")
_UNKNOWN_MAX = 20  # unknown parameters that are told of one by one
FAULTS_MAX = 100
"""Faults after which nothing further is looked at: of a wrong file nobody reads them all, and each costs time."""

_ARGUMENT = rule("a text of at most 4096 characters, no NUL", "string", pattern=r"^[^\x00]{0,4096}\Z")
_KIND = rule("a table that declares a kind of job", "object", required=["command"], additionalProperties=False) | {
    "properties": {
        "command": rule("a list of 1 to 1000 texts, the program first", "array", minItems=1, maxItems=1000)
        | {"items": _ARGUMENT},
        "params": rule("a table of parameters, by name", "object"),
        "progress": rule(
            "a regular expression with a group named percent, or one group", "string", minLength=1, maxLength=1000
        ),
        "timeout": rule("a number of seconds from 0.1 to 2592000", "number", minimum=0.1, maximum=2_592_000),  # 30 days
        "concurrency": rule(f"a whole number from 1 to {NO_LIMIT}", "integer", minimum=1, maximum=NO_LIMIT),
        "retries": rule("a whole number from 0 to 100", "integer", minimum=0, maximum=100),
        "backoff": rule("a number of seconds from 0 to 3600", "number", minimum=0, maximum=3600),
        "env": rule("a table of texts, by the names of variables", "object", additionalProperties=_ARGUMENT),
        "cwd": rule("an absolute folder, without . and .. in it", "string", pattern=rf"^/\Z|{FOLDER}"),
    },
}
_PARAM = rule("a table that declares a parameter", "object", required=["type"]) | {
    "properties": {"type": {"description": "one of " + ", ".join(TYPES), "enum": list(TYPES)}},
}
_HELP = rule("a text of at most 500 characters", "string", maxLength=500)
_PARAMS = {
    name: {
        "required": each.REQUIRED,
        "additionalProperties": False,
        "properties": {**each.KEYS, "type": {}, "default": {}, "help": _HELP},
    }
    for name, each in TYPES.items()
}


_SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}


@dataclass(frozen=True)
class Kind:
    """A declared kind of job."""

    name: str
    command: tuple[str, ...]
    params: Mapping[str, Param] = field(default_factory=dict, hash=False)
    progress: str | None = None  # a regular expression; the group "percent", or else the only one
    timeout: float | None = None  # s
    concurrency: int = NO_LIMIT  # at once, of this kind, in one runner
    retries: int = 0  # further attempts after a failure, a timeout or a loss
    backoff: float = 1.0  # s before the first retry, doubled for each further one
    env: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)  # passwords, perhaps
    cwd: str | None = None

    def check(self, params: Mapping[str, Any]) -> list[Problem]:
        """All that is wrong with these parameters of a job to be submitted."""
        return self._read(params, lambda param, value: param.normal(value))[1]

    def normal(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as a job keeps them: defaults filled in, paths resolved. Raises ValueError for wrong ones."""
        return _right(*self._read(params, lambda param, value: param.normal(value)))

    def argv(self, params: Mapping[str, Any], *, is_first: bool = False) -> list[str]:
        """The command of a job that starts. Raises ValueError for parameters that have become wrong.

        At the first attempt a file that is to be made must still not be there: another job may have made it.

        A path may have left its roots since, or the declaration may be another. What the program is given holds no
        link; whoever may change folders inside the roots could still put one there before the program opens the path.
        """
        values = _right(*self._read(params, lambda param, value: param.at_start(value, is_first)))
        return [
            "".join(str(values[text]) if is_place else text for is_place, text in _pieces(argument))
            for argument in self.command
        ]

    def to_dict(self) -> dict[str, Any]:
        """The kind as JSON can hold it."""
        fields = {key: getattr(self, key) for key in self.__dataclass_fields__}
        params = {name: param.to_dict() for name, param in self.params.items()}
        return {**fields, "command": list(self.command), "params": params, "env": dict(self.env)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Kind":
        """The kind of `to_dict`'s fields, or of a declaration in which nothing is wrong."""
        numbers = {key: float(fields[key]) for key in ("timeout", "backoff") if fields.get(key) is not None}
        params = {name: param_from(each) for name, each in fields.get("params", {}).items()}
        return cls(**{**fields, **numbers, "command": tuple(fields["command"]), "params": params})

    def doubts(self) -> Iterator[str]:
        """What this machine and this user lack for the kind; the daemon, as another user, may have it."""
        if not shutil.which(self.command[0], path=self.env.get("PATH")):
            yield f"jobs.kinds.{self.name}.command: no program {quoted(self.command[0])} is found by this user"
        if self._is_shell_for_clients():
            yield (
                f"jobs.kinds.{self.name}.command: a place in a shell's script runs whatever a client sends: "
                'write "$0" there, and the place as the argument after the script'
            )
        folders = [("cwd", self.cwd)] if self.cwd else []
        for name, param in self.params.items():
            folders += [(f"params.{name}.roots", root) for root in getattr(param, "roots", ())]
        for key, folder in folders:
            if not os.path.isdir(folder):
                yield f"jobs.kinds.{self.name}.{key}: no folder {quoted(folder)} is found by this user"

    def _is_shell_for_clients(self) -> bool:
        if os.path.basename(self.command[0]) not in _SHELLS or "-c" not in self.command[:-1]:
            return False
        script = self.command[self.command.index("-c") + 1]
        return any(is_place for is_place, _ in _pieces(script))

    def _read(
        self, params: Mapping[str, Any], read: Callable[[Param, Any], Any]
    ) -> tuple[dict[str, Any], list[Problem]]:
        if not isinstance(params, Mapping):
            return {}, [Problem("", "must be an object")]
        values: dict[str, Any] = {}
        problems = list(self._unknown([name for name in params if name not in self.params]))
        for name, param in self.params.items():
            if name not in params and param.default is None:
                problems.append(Problem(pointer_to(name), "is missing"))
                continue
            try:
                values[name] = read(param, params.get(name, param.default))
            except ValueError as error:
                problems.append(Problem(pointer_to(name), str(error)))
        return values, problems or list(self._options(values))

    def _unknown(self, names: list[str]) -> Iterator[Problem]:
        for name in islice(names, _UNKNOWN_MAX):
            yield Problem(pointer_to(name), f"is no parameter of {self.name}{nearest(name[:64], self.params)}")
        if len(names) > _UNKNOWN_MAX:
            yield Problem("", f"has {len(names) - _UNKNOWN_MAX} more that are no parameters of {self.name}")

    def _options(self, values: Mapping[str, Any]) -> Iterator[Problem]:
        """The values that would begin an argument with "-"; an empty one leaves that to the next place."""
        for name in dict.fromkeys(
            next((name for name in _leading(argument) if values[name] != ""), "") for argument in self.command[1:]
        ):
            if name and str(values[name]).startswith("-"):
                yield Problem(pointer_to(name), "must not begin with -, or it could be taken for an option")


def read_kinds(table: object) -> tuple[dict[str, Kind], list[Fault]]:
    """The kinds that a table declares, without the wrong ones, and all faults, their keys as seen from the table."""
    if not isinstance(table, Mapping):
        return {}, [((), f"is {_brief(table)}: it must be a table of kinds of job, by name")]
    kinds: dict[str, Kind] = {}
    faults: list[Fault] = []
    for name, declaration in table.items():
        if len(faults) >= FAULTS_MAX:
            break
        found = list(islice(chain(_named(name, "of a kind of job"), _faults(declaration)), FAULTS_MAX))
        faults += [((name, *path), text) for path, text in found]
        if not found:
            kinds[name] = Kind.from_dict({"name": name, **declaration})
    return kinds, faults


def _faults(declaration: Any) -> Iterator[Fault]:
    found = list(_structure(_KIND, declaration))
    yield from found
    if not isinstance(declaration, Mapping):
        return
    faulty = {path[:1] for path, _ in found}
    sound = {key: value for key, value in declaration.items() if (key,) not in faulty}
    for name in sound.get("env", ()):
        if not _VARIABLE.fullmatch(name):
            yield ("env", name), "is no name of a variable"
    yield from _progress_faults(sound.get("progress"))
    params: dict[str, Param | None] = {}
    for name, each in sound.get("params", {}).items():
        params[name], wrong = _read_param(name, each)
        yield from ((("params", name, *path), text) for path, text in wrong)
    if "command" in sound and ("params" in sound or "params" not in declaration):
        yield from _command_faults(sound["command"], params)


def _read_param(name: str, declaration: Any) -> tuple[Param | None, list[Fault]]:
    faults = [*_named(name, "of a parameter"), *_structure(_PARAM, declaration)]
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
    expected = _KIND["properties"]["progress"]["description"]
    yield ("progress",), f"is {quoted(pattern)}: it must be {expected} ({problem})"


def _command_faults(command: list[str], params: Mapping[str, Param | None]) -> Iterator[Fault]:
    """What is wrong with the places; `params` has None for those in which something else is wrong."""
    placed = set(re.findall(r"\{(.*?)\}", command[0]))
    yield from _program_faults(command[0])
    for index, argument in enumerate(command[1:], 1):
        try:
            pieces = _pieces(argument)
        except ValueError as error:
            yield ("command", index), f"is {_brief(argument)}: {error}"
            placed |= set(params)  # it can't be known which of them it means
            continue
        places = [text for is_place, text in pieces if is_place]
        placed.update(places)
        yield from ((("command", index), f"is {_brief(argument)}: {told}") for told in _place_faults(places, params))
        yield from _option_faults(argument, params)
    for name in params:
        if name not in placed:
            yield ("params", name), f"is not used: the command needs a place {{{name}}}, or the parameter has to go"


def _place_faults(places: Iterable[str], params: Mapping[str, Param | None]) -> Iterator[str]:
    for name in places:
        if name not in params:
            yield f"{{{cut(name)}}} is no parameter{nearest(name, params)} (a brace itself is written twice)"


def _program_faults(program: str) -> Iterator[Fault]:
    expected = "the name of a program without folder, or its absolute path; it has no places"
    plain = "/" not in program or program.startswith("/")
    if not program.strip() or not program.isprintable() or not plain or program.startswith("-") or "{" in program:
        yield ("command", 0), f"is {_brief(program)}: it must be {expected}"


def _option_faults(argument: str, params: Mapping[str, Param | None]) -> Iterator[Fault]:
    """Parameters that begin an argument and are declared to take values that begin with "-"."""
    for name in _leading(argument):
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


def _leading(argument: str) -> list[str]:
    """The parameters that may begin an argument: those whose places come before any other text of it."""
    return [text for _, text in takewhile(lambda piece: piece[0], _pieces(argument))]


@cache
def _pieces(argument: str) -> tuple[tuple[bool, str], ...]:
    """An argument's parts: whether each is a place, and its name or its text. Raises ValueError for a stray brace."""
    pieces: list[tuple[bool, str]] = []
    for match in _PIECE.finditer(argument):
        if match["stray"]:
            raise ValueError("a brace that belongs to no place has to be written twice")
        is_place = match["place"] is not None
        pieces.append((is_place, match["place"] if is_place else (match["text"] or match["brace"][0])))
    return tuple(pieces)


def _named(name: str, what: str) -> Iterator[Fault]:
    if not _NAME.fullmatch(name):
        yield (), f"is no name {what}: it must be {_NAME_EXPECTED}"


def _structure(schema: Mapping[str, Any], value: Any) -> Iterator[Fault]:
    """What the schema finds, in our words, each once."""
    found: dict[Fault, None] = {}
    error: Any
    for error in _validator()(schema).iter_errors(value):
        path = tuple(error.absolute_path)
        broken: Any = error.schema
        known = broken.get("properties", {})
        if error.validator == "required":
            for name in (name for name in broken["required"] if name not in error.instance):
                found[(*path, name), f"is missing: it must be {known[name]['description']}"] = None
        elif error.validator == "additionalProperties":
            for name in islice((name for name in error.instance if name not in known), FAULTS_MAX):
                found[(*path, name), f"is no key here{nearest(name, known)}"] = None
        else:
            told = "" if path[:1] == ("env",) else f"is {_brief(error.instance)}: it "  # passwords, perhaps
            found[path, f"{told}must be {broken['description']}"] = None
    yield from found


@cache
def _validator() -> "Callable[[Mapping[str, Any]], Validator]":
    """Of JSON Schema, but 1.0 and true are no whole numbers, nan and inf no numbers: TOML has them all.

    The library is loaded where a kind is declared: without any, nobody needs its 50 ms.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def is_number(_: Any, value: Any) -> bool:
        return type(value) is int or (type(value) is float and math.isfinite(value))

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    made: Any = extend(Draft202012Validator, type_checker=types.redefine("number", is_number))  # type: ignore[no-untyped-call]
    return cast("Callable[[Mapping[str, Any]], Validator]", made)


def _brief(value: Any) -> str:
    """A value in a message; of what may hold others' passwords only what it is."""
    if isinstance(value, list) and any(isinstance(each, list | Mapping) for each in value):
        return "a list of tables or lists"
    return quoted(value)


def _right(values: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    if problems:
        raise ValueError("; ".join(f"{problem.pointer or 'params'} {problem.detail}" for problem in problems))
    return values
