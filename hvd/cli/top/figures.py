"""Values of a daemon as short texts, as hvd/cli/panel.py writes them. Pure; what is missing or odd shows as `-`."""

from collections.abc import Callable, Mapping
from typing import Any

from hvd.cli.panel import duration, milliseconds, size

Json = Mapping[str, Any]

UNKNOWN = "-"
_SANE = 1e18  # a count or size above is no measurement; NaN and infinity fail the comparison too


def number(value: object) -> float | None:
    """That value, if it is a number that can be a measurement."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _SANE else None


def shown(value: object, form: Callable[[float], str]) -> str:
    """A number in that form."""
    known = number(value)
    return UNKNOWN if known is None else form(known)


def count(value: float) -> str:
    """`1,250`."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """`0.4%`, of a value in percent."""
    return f"{value:.1f}%"


def rate(value: float) -> str:
    """A number a second: a decimal where it tells something."""
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def latency(value: float) -> str:
    """A time given in ms; in seconds from ten on."""
    return milliseconds(value) if value < 10_000 else f"{value / 1000:,.1f}s"


def brief(seconds: float) -> str:
    """A duration in its two largest units: `1d 2h`."""
    return " ".join(duration(seconds).split()[:2])


def memory(value: float) -> str:
    """Bytes, in few characters: without a decimal from 100 units on."""
    text = size(value)
    amount, _, unit = text.partition(" ")
    return f"{amount.partition('.')[0]} {unit}" if len(amount) > 4 else text


def errors(row: Json, all_of: str, errors_of: str) -> str:
    """Errors with their share of all: `5 (0.4%)`."""
    failed, total = number(row.get(errors_of)), number(row.get(all_of))
    if failed is None or total is None:
        return shown(failed, count)
    return f"{count(failed)} ({percent(100 * failed / total if total else 0)})"
