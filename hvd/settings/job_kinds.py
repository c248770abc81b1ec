"""Kinds of job: how a job's parameters are checked, and become a command.

A command is a list of arguments and never meets a shell. An argument is a text with places for parameters: `{file}` is
the place of one, `{{` and `}}` stand for braces. A value can't become an option: where a place begins an argument, no
value may begin with "-".
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice, takewhile
from typing import Any, NamedTuple

from hvd.json_schemas import Problem, pointer
from hvd.settings.job_params import Param, param_from
from hvd.texts import quoted, suggestion

NO_LIMIT = 1024
"""The concurrency of a kind that sets none: the most that jobs.concurrency may be, so that alone counts."""

DECLARED_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
"""Of a kind, or of a parameter."""

_UNKNOWN_MAX = 20  # unknown parameters that are reported one by one
_POINTED_MAX = 64  # characters of a parameter's name in a pointer, so that nobody fills the answer with it
_PIECE = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<place>[^{}]*)\}|(?P<stray>[{}])|(?P<text>[^{}]+)")
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}


class ArgumentPiece(NamedTuple):
    """A part of an argument: a place, whose text is a parameter's name, or a text that stays as it is."""

    text: str
    is_place: bool


@cache
def pieces_of(argument: str) -> tuple[ArgumentPiece, ...]:
    """An argument's parts. Raises ValueError for a stray brace."""
    pieces: list[ArgumentPiece] = []
    for match in _PIECE.finditer(argument):
        if match["stray"]:
            raise ValueError("a brace that belongs to no place has to be written twice")
        if match["place"] is not None:
            pieces.append(ArgumentPiece(match["place"], is_place=True))
        else:
            pieces.append(ArgumentPiece(match["text"] or match["brace"][0], is_place=False))
    return tuple(pieces)


def places_in(argument: str) -> list[str]:
    """The parameters that have a place in it. Raises ValueError for a stray brace."""
    return [piece.text for piece in pieces_of(argument) if piece.is_place]


def leading_places(argument: str) -> list[str]:
    """The parameters that may begin an argument: those whose places come before any other text of it."""
    return [piece.text for piece in takewhile(lambda piece: piece.is_place, pieces_of(argument))]


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

    def check(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """The parameters of a job to be submitted, as the job keeps them: defaults filled in, paths resolved. And all
        that is wrong with them, each with a pointer below the parameters; the job may be taken where nothing is.
        """
        return self._check(params, lambda param, value: param.normal(value))

    def argv(self, params: Mapping[str, Any], *, is_first: bool = False) -> list[str]:
        """The command of a job that starts. Raises ValueError for parameters that have become wrong.

        They were checked when the job was submitted, and are once more: a path may have left its roots since, another
        version or configuration may declare the kind otherwise. At the first attempt a file that is to be made must
        still not be there: another job may have made it.

        The path that the program gets holds no link; a user who may change folders inside the roots could still put one
        there before the program opens the path.
        """
        values, problems = self._check(params, lambda param, value: param.at_start(value, is_first))
        if problems:
            raise ValueError("; ".join(f"{problem.pointer or 'params'} {problem.detail}" for problem in problems))
        return [
            "".join(str(values[piece.text]) if piece.is_place else piece.text for piece in pieces_of(argument))
            for argument in self.command
        ]

    def params_schema(self) -> dict[str, Any]:
        """The JSON schema of the parameters of a job to be submitted, as far as one can say it."""
        return {
            "type": "object",
            "properties": {name: param.schema() for name, param in self.params.items()},
            "required": [name for name, param in self.params.items() if param.default is None],
            "additionalProperties": False,
        }

    def to_dict(self) -> dict[str, Any]:
        """The kind as JSON can hold it."""
        fields = {key: getattr(self, key) for key in self.__dataclass_fields__}
        params = {name: param.to_dict() for name, param in self.params.items()}
        return {**fields, "command": list(self.command), "params": params, "env": dict(self.env)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Kind":
        """The kind of `to_dict`'s fields, or of a declaration in which nothing is wrong."""
        numbers = {key: float(fields[key]) for key in ("timeout", "backoff") if fields.get(key) is not None}
        params = {name: param_from(declaration) for name, declaration in fields.get("params", {}).items()}
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
        return bool(places_in(script))

    def _check(
        self, params: Mapping[str, Any], read: Callable[[Param, Any], Any]
    ) -> tuple[dict[str, Any], list[Problem]]:
        """The values that `read` gives for the parameters, and all that is wrong with these."""
        if not isinstance(params, Mapping):
            return {}, [Problem("", "must be an object")]
        values: dict[str, Any] = {}
        problems = list(self._unknown([name for name in params if name not in self.params]))
        for name, param in self.params.items():
            if name not in params and param.default is None:
                problems.append(Problem(_pointer(name), "is missing"))
                continue
            try:
                values[name] = read(param, params.get(name, param.default))
            except ValueError as error:
                problems.append(Problem(_pointer(name), str(error)))
        return values, problems or list(self._options(values))

    def _unknown(self, names: list[str]) -> Iterator[Problem]:
        for name in islice(names, _UNKNOWN_MAX):
            yield Problem(_pointer(name), f"is no parameter of {self.name}{suggestion(name[:64], self.params)}")
        if len(names) > _UNKNOWN_MAX:
            yield Problem("", f"has {len(names) - _UNKNOWN_MAX} more that are no parameters of {self.name}")

    def _options(self, values: Mapping[str, Any]) -> Iterator[Problem]:
        """The values that would begin an argument with "-"; an empty one leaves that to the next place."""
        for name in dict.fromkeys(
            next((name for name in leading_places(argument) if values[name] != ""), "") for argument in self.command[1:]
        ):
            if name and str(values[name]).startswith("-"):
                yield Problem(_pointer(name), "must not begin with -, or it could be taken for an option")


def _pointer(name: str) -> str:
    """The pointer to a parameter, whatever its name is."""
    text = name if len(name) <= _POINTED_MAX else name[:_POINTED_MAX] + "..."
    return pointer(text.encode("utf-8", "replace").decode())  # half a surrogate pair would stop the answer
