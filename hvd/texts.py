"""Texts for people: numbers with their units, times, and what others wrote, made harmless. Pure; safe in any thread."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

UNKNOWN = "-"
"""Stands for what is missing, or is no measurement."""

QUOTED = 200
"""Characters of a value that a complaint repeats: a whole file in a variable by mistake must not fill the log."""

_SANE = 1e18  # a count or size above is no measurement; NaN and infinity fail the comparison too
_PLAIN = 400  # characters of one text; an answer of a daemon holds some, one of somebody else may hold any number
_COMPARED = 64  # characters of a name that are compared: no name of ours is longer
_BITS = 1000
_ODD = re.compile(r"[^\x20-\x7e]")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def number(value: object) -> float | None:
    """That value, if it is a number that can be a measurement."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _SANE else None


def figure(value: object, form: Callable[[float], str]) -> str:
    """A number in one of the forms below; UNKNOWN for what is no measurement."""
    known = number(value)
    return UNKNOWN if known is None else form(known)


def count(value: float) -> str:
    """`1,250`."""
    return f"{value:,.0f}"


def digits(value: float) -> str:
    """`4711`, of what is a name rather than an amount: a process id, a line."""
    return f"{value:.0f}"


def percent(value: float) -> str:
    """`0.4%`, of a value in percent."""
    return f"{value:.1f}%"


def whole_percent(value: float) -> str:
    """`7%`, of a value in percent."""
    return f"{value:.0f}%"


def rate(value: float) -> str:
    """A number a second: a decimal where it tells something."""
    return f"{value:,.1f}" if value < 1000 else count(value)


def errors(failed: object, total: object) -> str:
    """Errors with their share of all: `5 (0.4%)`."""
    some, all_of_them = number(failed), number(total)
    if some is None or all_of_them is None:
        return figure(failed, count)
    return f"{count(some)} ({percent(100 * some / all_of_them if all_of_them else 0)})"


def size(amount: float) -> str:
    """Bytes in the largest unit of 1024 that keeps a digit before the point: `50 MB`, `1.5 GB`."""
    units = ["B", "KB", "MB", "GB", "TB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    return f"{amount:,.1f}".removesuffix(".0") + f" {units[0]}"


def short_size(amount: float) -> str:
    """The same in few characters: without a decimal from 100 units on."""
    text, _, unit = size(amount).partition(" ")
    return f"{text.partition('.')[0] if len(text) > 4 else text} {unit}"


def milliseconds(amount: float) -> str:
    """A time in ms: `45.2ms`, three decimals below 1, in seconds from 1,000 on: `1.15s`, `18.2s`."""
    if amount >= 9995:
        return f"{amount / 1000:,.1f}s"
    if amount >= 999.95:
        return f"{amount / 1000:.2f}s"
    return f"{amount:,.1f}ms" if amount >= 1 else f"{amount:.3f}ms"


def duration(seconds: float, parts: int = 4) -> str:
    """Seconds as `1d 2h 3m 4s`, from the largest unit that isn't zero; so many units at most."""
    rest = max(0, int(seconds))  # a clock may have been set back
    texts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, rest = divmod(rest, length)
        if amount or texts or unit == "s":
            texts.append(f"{amount}{unit}")
    return " ".join(texts[:parts])


def short_duration(seconds: float) -> str:
    """Its two largest units: `1d 2h`."""
    return duration(seconds, 2)


def exact_duration(seconds: float) -> str:
    """The same with milliseconds below a minute: `1.500s`."""
    return f"{seconds:.3f}s" if seconds < 60 else duration(seconds)


def rfc3339(time_ns: int) -> str:
    """A Unix time in ns as RFC 3339, UTC, whole seconds."""
    return _utc(time_ns // 10**9, "seconds")


def rfc3339_milliseconds(seconds: float | None) -> str | None:
    """A Unix time in s as RFC 3339, UTC, with milliseconds; None for None."""
    return None if seconds is None else _utc(seconds, "milliseconds")


def _utc(seconds: float, timespec: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def escaped(text: str, encoding: str = "utf-8", keep: str = "") -> str:
    """Text from elsewhere, for a terminal or a log: what isn't printable, or what `encoding` can't say, is an escape.

    So nothing moves the cursor or turns the direction of what follows. Characters of `keep` stay.
    """

    def form(match: re.Match[str]) -> str:
        return match[0] if match[0].isprintable() or match[0] in keep else ascii(match[0])[1:-1]

    return _ODD.sub(form, text).encode(encoding, "backslashreplace").decode(encoding)


def plain(value: object, encoding: str = "utf-8", most: int = _PLAIN) -> str:
    """So many characters of what a daemon sent, `escaped`; UNKNOWN for None and ""."""
    return UNKNOWN if value is None or value == "" else escaped(clipped(str(value), most), encoding)


def clipped(text: str, most: int) -> str:
    """The text where it is short, or its beginning: so many characters with the `...` behind it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def as_toml(value: Any) -> str:
    """A value of a setting as TOML has it, without passwords."""
    if isinstance(value, Mapping):  # it may hold passwords, and be as deep as it likes
        return "a table"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, str | Path):
        text = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", str(value))
        return json.dumps(re.sub(r"(password=)[^&]*", r"\1***", text))
    if isinstance(value, int) and value.bit_length() > _BITS:  # Python refuses to write many digits
        return f"a number of {value.bit_length()} bits"
    return str(value).lower() if isinstance(value, bool) else str(value)


def quoted(value: Any) -> str:
    """A value of a setting in a complaint: as TOML has it, and no more than QUOTED characters of it."""
    return cut(as_toml(value))


def cut(text: str) -> str:
    """The text where it is short, or its first QUOTED characters."""
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}… ({len(text)} characters)"


def suggestion(name: str, names: Iterable[str], compared: Callable[[str], str] = str) -> str:
    """`; did you mean NAME?` with the nearest of the names, or "". `compared` gives the part of a name that counts."""
    by_part = {compared(candidate).upper(): candidate for candidate in names}
    matches = difflib.get_close_matches(compared(name[:_COMPARED]).upper(), by_part, n=1)
    return f"; did you mean {by_part[matches[0]]}?" if matches else ""


def toml_key(steps: Iterable[str | int]) -> str:
    """The steps to a value as TOML writes a key; a place in a list as [0]."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + cut(step if _BARE_KEY.fullmatch(step) else json.dumps(step))
    return text
