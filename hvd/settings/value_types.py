"""Types of values: what a setting may be, how it is read from TOML and from a variable's text."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hvd.texts import as_toml, quoted

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?")
_PORT = r"(?P<port>0|[1-9][0-9]{0,4})"
_HOST_PORT = re.compile(rf"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]):{_PORT}")
_ORIGIN = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:{_PORT})?")
_URL = re.compile(
    r"sqlite:///(?!:memory:)[^?#]*[^?#/]|postgresql(\+psycopg)?://\S+"
)  # SQLAlchemy would split a path at ?
_UNIX_PATH_MAX = 107  # bytes that fit in sockaddr_un.sun_path beside the closing zero


@dataclass(frozen=True)
class ValueType:
    """What a value may be: `read` makes a value of what TOML has, `parse` makes that of a variable's text.

    Both raise ValueError; its text, if any, says what would be right better than `expected` does.
    """

    expected: str
    read: Callable[[Any], Any]
    parse: Callable[[str], Any] = str


def _checked(
    expected: str,
    is_right: Callable[[Any], bool],
    made: Callable[[Any], Any] = lambda value: value,
    parse: Callable[[str], Any] = str,
) -> ValueType:
    """What `made` makes of a value that is right."""

    def read(value: Any) -> Any:
        if not is_right(value):
            raise ValueError
        return made(value)

    return ValueType(expected, read, parse)


def _number(expected: str, is_right: Callable[[Any], bool], kind: type[float], pattern: re.Pattern[str]) -> ValueType:
    def parse(text: str) -> Any:
        if not pattern.fullmatch(text):
            raise ValueError(f"{expected}, in plain digits")
        return kind(text)

    return _checked(expected, is_right, kind, parse)


def whole(low: int, high: int) -> ValueType:
    """A whole number within bounds that belong to it."""

    def is_right(value: Any) -> bool:
        return type(value) is int and low <= value <= high  # bool is an int, but True is no number of workers

    return _number(f"a whole number from {low} to {high}", is_right, int, _WHOLE)


def seconds(low: float, high: float) -> ValueType:
    """A finite number of seconds within bounds that belong to it."""

    def is_right(value: Any) -> bool:
        return type(value) in (int, float) and low <= value <= high  # which holds for neither NaN nor inf

    return _number(f"a number of seconds from {low:g} to {high:g}", is_right, float, _DECIMAL)


def text(expected: str, pattern: str) -> ValueType:
    """A text that the pattern matches as a whole."""
    return _checked(expected, lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value)))


def one_of(*names: str) -> ValueType:
    """One of some lower-case names, in any case."""
    expected = "one of " + ", ".join(names)
    return _checked(expected, lambda value: isinstance(value, str) and value.lower() in names, str.lower)


def _read_switch(value: Any) -> str:
    text = as_toml(value) if isinstance(value, bool) else value
    if not isinstance(text, str) or text.lower() not in ("auto", "true", "false"):
        raise ValueError
    return text.lower()


def _read_bind(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    if value.startswith("unix:"):
        path = os.path.abspath(value.removeprefix("unix:").removeprefix("//"))
        if value in ("unix:", "unix://") or not path.isprintable() or len(os.fsencode(path)) > _UNIX_PATH_MAX:
            raise ValueError(f"unix:PATH with a printable path of 1 to {_UNIX_PATH_MAX} bytes")
        return f"unix:{path}"
    match = _HOST_PORT.fullmatch(value)
    if not match or int(match["port"]) > 65535:
        raise ValueError
    return value


def _read_origins(value: Any) -> tuple[str, ...]:
    """The origins as a browser's Origin header has them: lower case, without the scheme's own port."""
    if not isinstance(value, list | tuple):
        raise ValueError
    if "*" in value:
        if len(value) > 1:
            raise ValueError("either * alone, or a list of origins")
        return ("*",)
    return tuple(_read_origin(origin) for origin in value)


def _read_origin(value: Any) -> str:
    match = _ORIGIN.fullmatch(value.lower()) if isinstance(value, str) else None
    if not match or int(match["port"] or 1) not in range(1, 65536):
        raise ValueError(f"a list of scheme://host[:port], without path or closing slash; {quoted(value)} is not one")
    own_port = {"http": "80", "https": "443"}.get(match["scheme"])
    port = f":{match['port']}" if match["port"] and match["port"] != own_port else ""
    return f"{match['scheme']}://{match['host']}{port}"


def _read_path(value: Any) -> Path:
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError
    return Path(os.path.abspath(value))


def _read_url(value: Any) -> str:
    """Of a SQLite file the absolute path, as for other paths: the companions may run in another folder."""
    if not isinstance(value, str) or not value.isprintable() or not _URL.fullmatch(value):
        raise ValueError
    if urlsplit(value).port == 0:  # ValueError, which says so, where it is no number of a port
        raise ValueError
    path = value.removeprefix("sqlite:///")
    return value if path == value else f"sqlite:///{os.path.abspath(path)}"


def _read_flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _parse_flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _read_patterns(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(pattern, str) and pattern for pattern in value):
        raise ValueError
    for pattern in value:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"a list of regular expressions; {quoted(pattern)} is not one ({error})") from None
    return tuple(value)


def _read_pins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(key, str) and 0 < len(key) <= 960 for key in value):
        raise ValueError
    if len(value) > 16:
        raise ValueError("a list of 16 metrics at most")
    return tuple(value)


def some_of(*names: str) -> ValueType:
    """A list of some of these names."""

    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(name in names for name in value):
            raise ValueError
        return tuple(value)

    return ValueType(f"a list (in the variable: commas between) of {', '.join(names)}", read, _parts)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


BIND = ValueType("HOST:PORT, [IPV6]:PORT or unix:PATH", _read_bind)
NAME = text("1 to 64 of the characters A-Z a-z 0-9 . _ -", r"[A-Za-z0-9._-]{1,64}")
MODE = text('three octal digits, as "0660", with the first from 6 on: its owner has to connect', r"0?[67][0-7]{2}")
GROUP = text("a group's name or gid", r"[A-Za-z_][A-Za-z0-9_.-]{0,31}[$]?|[0-9]{1,9}")
PATH = ValueType("a path", _read_path)
URL = ValueType("sqlite:///PATH or postgresql://USER@HOST/NAME (also postgresql+psycopg://)", _read_url)
TOKEN = text("16 to 4096 printable ASCII characters, no blanks", r"[!-~]{16,4096}")
ORIGINS = ValueType(
    "a list (in the variable: commas between) of scheme://host[:port], or * alone",
    _read_origins,
    _parts,
)
WORKER_CLASS = text("a name that gunicorn knows (gthread, sync), or module.Class", r"[A-Za-z0-9_.:#-]{1,200}")
FLAG = ValueType("true or false", _read_flag, _parse_flag)
SWITCH = ValueType("true, false or auto", _read_switch)
PATTERNS = ValueType(
    "a list (in the variable: blanks between) of regular expressions that the whole path matches",
    _read_patterns,
    str.split,
)
PINS = ValueType(
    "a list (in the variable: semicolons between) of metrics, as orders_total, each with labels or not, as "
    'orders_total{shop="north"}',
    _read_pins,
    lambda text: [part.strip() for part in text.split(";") if part.strip()],
)
PRESETS = some_of("flask", "fastapi", "starlette", "django")
LOG_LEVEL = one_of("debug", "info", "warning", "error", "critical")
