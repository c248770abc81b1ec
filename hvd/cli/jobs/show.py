"""Jobs as lines of text. Pure; what a daemon sent is never trusted to print, nor to be complete."""

import codecs
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hvd.cli.panel import duration, escaped

Json = Mapping[str, Any]

_UNKNOWN = "-"
_TEXT_MAX = 400  # characters of one text; an answer of a daemon holds some, one of somebody else may hold any number


def plain(value: object, encoding: str = "utf-8", most: int = _TEXT_MAX) -> str:
    """A text of a daemon with all that isn't printable, or that `encoding` can't say, as an escape; `-` for none."""
    if value is None or value == "":
        return _UNKNOWN
    text = str(value)
    text = text if len(text) <= most else f"{text[: most - 3]}..."
    return escaped(text, encoding)


class Printed:
    """What a job printed, for a terminal: lines and tabs stay, and what overwrites a line comes on a line of its own.
    Fed with pieces of it.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def __call__(self, data: bytes) -> str:
        text = self._decoder.decode(data).replace("\r\n", "\n").replace("\r", "\n")
        return escaped(text, self._encoding, "\n\t")


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows as lines, with the columns aligned."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def listed(jobs: Iterable[Json], encoding: str) -> list[str]:
    """Jobs as a table with a head."""
    head = ("ID", "STATUS", "PROGRESS", "KIND", "CREATED", "DURATION", "NAME")
    return table([head, *([plain(cell, encoding) for cell in _row(job)] for job in jobs)])


def _row(job: Json) -> list[object]:
    fields = [job.get(name) for name in ("id", "status", "progress", "kind", "created_at", "duration_seconds", "name")]
    fields[2], fields[5] = percent(fields[2]), seconds(fields[5])
    return fields


def detailed(job: Json, encoding: str) -> list[str]:
    """All of one job: a line for each field, then what it printed last."""
    rows = []
    for name, value in job.items():
        if name != "output" and value is not None:
            rows.append((plain(name), plain(_FORMS.get(name, str)(value), encoding)))
    lines = table(rows)
    output = job.get("output")
    if isinstance(output, list) and output:
        lines += ["output", *(f"  {plain(line, encoding)}" for line in output)]
    return lines


def kinds_listed(kinds: Json, encoding: str) -> list[str]:
    """Kinds, each with its parameters."""
    lines = []
    for name, kind in kinds.items():
        params = kind.get("params") if isinstance(kind, Mapping) else None
        lines.append(plain(name, encoding))
        lines += [f"  {plain(f'{param}: {_limits(limits)}', encoding)}" for param, limits in (params or {}).items()]
    return lines


def _limits(limits: object) -> str:
    """What a parameter takes, in words."""
    if not isinstance(limits, Mapping):
        return _UNKNOWN
    words = [str(limits.get("type"))]
    if "choices" in limits:
        words = ["one of " + ", ".join(map(str, limits["choices"]))]
    if "min" in limits and "max" in limits:
        words = [f"whole number from {limits['min']} to {limits['max']}"]
    if "exists" in limits:
        words = ["path of a file that exists" if limits["exists"] else "path of a file to be made"]
    if "pattern" in limits:
        words = [f"text like {limits['pattern']}"]
    if not limits.get("required", True):
        words.append(f"default {limits['default']}" if limits.get("default") is not None else "may be left out")
    if limits.get("help"):
        words.append(str(limits["help"]))
    return "; ".join(words)


def percent(value: object) -> str:
    """Progress, without a fraction."""
    return f"{value:.0f}%" if _is_number(value) else _UNKNOWN


def seconds(value: object) -> str:
    """A duration: with milliseconds below a minute, in units from there on."""
    if not _is_number(value):
        return _UNKNOWN
    assert isinstance(value, int | float)
    return f"{value:.3f}s" if value < 60 else duration(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def _params(value: object) -> str:
    return json.dumps(value)[1:-1] if isinstance(value, dict) else str(value)


_FORMS: dict[str, Callable[[object], str]] = {"progress": percent, "duration_seconds": seconds, "params": _params}
