"""Parameters of jobs: which values they take, and what a value becomes in the command.

A value comes from anybody who may submit a job, a declaration from the operator. Messages about values therefore hold
neither the value nor the operator's folders, and say the same of what exists outside of them and of what doesn't.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, ClassVar

from hvd.json_schemas import Path, rule
from hvd.texts import quoted

Fault = tuple[Path, str]
"""What is wrong with a declaration: the steps to the key, and what is to be said of it."""

PATH_MAX = 4095  # bytes: Linux takes no longer path
_WHOLE_MAX = 2**63 - 1  # what databases and other readers of JSON can keep
_CHOICES_SHOWN = 20
_CHOICE = r"^[^\x00-\x1f\x7f-\x9f]{1,255}\Z"
_UNCLEAN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, which logs and terminals obey, and halves of surrogate pairs, which UTF-8 can't hold."""

FOLDER_PATTERN = r"^(/(?!\.{1,2}(/|\Z))[^/\x00-\x1f\x7f]{1,255})+/?\Z"
"""An absolute folder other than /, without steps . and .., which lead elsewhere where the step before is a link."""


@dataclass(frozen=True, kw_only=True)
class Param:
    """What all parameters have. `default` is None for one that has to be given."""

    default: Any = None
    help: str = ""

    TYPE: ClassVar[str]
    KEYS: ClassVar[dict[str, Any]]  # a JSON schema for each key of the declaration
    REQUIRED: ClassVar[tuple[str, ...]]

    def normal(self, value: Any) -> Any:
        """The value as a job keeps it. Raises ValueError that says what it must be."""
        raise NotImplementedError

    def at_start(self, value: Any, is_first: bool = False) -> Any:
        """The same once more for the job's start, and for a default: what has changed since must do no harm."""
        return self.normal(value)

    def faults(self) -> Iterator[Fault]:
        """What is wrong with this declaration beyond what the schema says."""
        if self.default is not None:
            try:
                self.at_start(self.default)
            except ValueError as error:
                yield ("default",), f"is {quoted(self.default)}: it {error}"

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the values, as far as one can say it; without folders, which are the operator's."""
        more = {"description": self.help} if self.help else {}
        return {**self.value_schema(), **more, **({} if self.default is None else {"default": self.default})}

    def value_schema(self) -> dict[str, Any]:
        """The same without what all parameters have."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The declaration."""
        fields = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        left_out = [("default", None), ("help", "")]
        return {"type": self.TYPE, **{key: value for key, value in fields.items() if (key, value) not in left_out}}


@dataclass(frozen=True, kw_only=True)
class ChoiceParam(Param):
    """One of some texts."""

    choices: tuple[str, ...]

    TYPE = "choice"
    REQUIRED = ("choices",)
    KEYS = {
        "choices": rule("a list of 1 to 1000 different texts", "array", minItems=1, maxItems=1000, uniqueItems=True)
        | {"items": rule("a text of 1 to 255 characters, no control characters", "string", pattern=_CHOICE)}
    }

    def normal(self, value: Any) -> str:
        if type(value) is not str or value not in self.choices:
            more = ", ..." if len(self.choices) > _CHOICES_SHOWN else ""
            raise ValueError("must be one of " + ", ".join(islice(self.choices, _CHOICES_SHOWN)) + more)
        return value

    def value_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True, kw_only=True)
class IntParam(Param):
    """A whole number within bounds that belong to it."""

    min: int
    max: int

    TYPE = "int"
    REQUIRED = ("min", "max")
    KEYS = dict.fromkeys(
        ("min", "max"), rule("a whole number of 64 bits", "integer", minimum=-_WHOLE_MAX, maximum=_WHOLE_MAX)
    )

    def normal(self, value: Any) -> int:
        if type(value) is not int or not self.min <= value <= self.max:  # bool is an int for isinstance
            raise ValueError(f"must be a whole number from {self.min} to {self.max}")
        return value

    def value_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.min, "maximum": self.max}

    def faults(self) -> Iterator[Fault]:
        if self.min > self.max:
            yield ("min",), f"is {self.min}: it must be at most max, which is {self.max}"
        else:
            yield from super().faults()


@dataclass(frozen=True, kw_only=True)
class StringParam(Param):
    """A text that a regular expression matches as a whole."""

    pattern: str
    max_length: int = 255

    TYPE = "string"
    REQUIRED = ("pattern",)
    KEYS = {
        "pattern": rule("a regular expression for the whole value", "string", minLength=1, maxLength=1000),
        "max_length": rule("a whole number from 1 to 4096", "integer", minimum=1, maximum=4096),
    }

    def normal(self, value: Any) -> str:
        if type(value) is not str or len(value) > self.max_length or _UNCLEAN.search(value):
            raise ValueError(f"must be a text of at most {self.max_length} characters, no control characters")
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"must match {self.pattern}")
        return value

    def value_schema(self) -> dict[str, Any]:
        """With the pattern where it can stand between anchors: flags at its beginning can't."""
        whole = f"^(?:{self.pattern})$"
        pattern = {} if regex_problem(whole) else {"pattern": whole}
        return {"type": "string", "maxLength": self.max_length, **pattern}

    def faults(self) -> Iterator[Fault]:
        problem = regex_problem(self.pattern)
        if problem:
            yield ("pattern",), f"is {quoted(self.pattern)}: it must be a regular expression ({problem})"
        else:
            yield from super().faults()


@dataclass(frozen=True, kw_only=True)
class PathParam(Param):
    """A file inside given folders, symbolic links resolved: one that exists, or one that the job is to make.

    A file that exists may be a regular one or a block device, since disk images are kept on both.
    """

    roots: tuple[str, ...]
    exists: bool = True

    TYPE = "path"
    REQUIRED = ("roots",)
    KEYS = {
        "roots": rule("a list of 1 to 100 folders", "array", minItems=1, maxItems=100)
        | {"items": rule("an absolute folder other than /, without . and .. in it", "string", pattern=FOLDER_PATTERN)},
        "exists": rule("true, or false for a file that the job is to make", "boolean"),
    }

    def normal(self, value: Any) -> str:
        path = self.at_start(value)
        try:
            mode = os.lstat(path).st_mode  # of a link only where links go round in circles
        except FileNotFoundError:
            mode = 0
        except OSError:
            mode = stat.S_IFLNK
        if self.exists and not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise ValueError("must be a file that exists")
        if not self.exists and (mode or not os.path.isdir(os.path.dirname(path))):
            raise ValueError("must be a file that does not exist yet, in a folder that does")
        return path

    def at_start(self, value: Any, is_first: bool = False) -> str:
        """The path that the command gets. Its place is looked at, and at the first attempt that a file to be made isn't
        there: two jobs may have been submitted for it. A retry finds the file that it left behind.
        """
        if type(value) is not str or not value.startswith("/") or _UNCLEAN.search(value):
            raise ValueError("must be an absolute path without control characters")
        if len(value.encode()) > PATH_MAX:
            raise ValueError(f"must be a path of at most {PATH_MAX} bytes")
        path = _resolved(value)
        if not path or not any(_is_inside(path, root) for root in self.roots):
            raise ValueError("must lie in a folder that is open to this kind of job")
        if is_first and not self.exists and os.path.lexists(path):
            raise ValueError("must be a file that does not exist yet")
        return path

    def schema(self) -> dict[str, Any]:
        return {name: value for name, value in super().schema().items() if name != "default"}

    def value_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^/", "maxLength": PATH_MAX}


TYPES: dict[str, type[Param]] = {type.TYPE: type for type in (ChoiceParam, IntParam, StringParam, PathParam)}


def param_from(declaration: Mapping[str, Any]) -> Param:
    """The parameter that is declared so; the declaration fits its type's schema."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in declaration.items() if key != "type"
    }
    return TYPES[declaration["type"]](**values)


def regex_problem(pattern: str) -> str:
    """Why the pattern is no regular expression; nothing if it is one."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return ""


def _resolved(value: str) -> str:
    """The path without links, "" if there is none that a command could be given."""
    try:
        path = os.path.realpath("/" + value.lstrip("/"))  # two slashes at the start would stay
    except (OSError, RecursionError):  # Python 3.11 resolves a link in a call inside that of the link before
        return ""
    return "" if _UNCLEAN.search(path) or len(path.encode()) > PATH_MAX else path


def _is_inside(path: str, root: str) -> bool:
    """By the parts of the names: /srv/images-evil is not inside /srv/images."""
    folder = os.path.realpath(root)
    return folder != "/" and path != folder and PurePosixPath(path).is_relative_to(folder)
