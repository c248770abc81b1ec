"""Jobs as lines of text. What a daemon sent is never trusted to print, nor to be complete."""

import codecs
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from hvd.texts import UNKNOWN, escaped, exact_duration, figure, plain, whole_percent

Json = Mapping[str, Any]


class OutputText:
    """Makes a job's output, piece by piece, fit for a terminal: lines and tabs stay, and what would overwrite a line
    comes on a line of its own.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def __call__(self, data: bytes) -> str:
        text = self._decoder.decode(data).replace("\r\n", "\n").replace("\r", "\n")
        return escaped(text, self._encoding, "\n\t")


def stdout_encoding() -> str:
    """The encoding of stdout; UTF-8 where there is no stdout."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows as lines, with the columns aligned."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def job_lines(jobs: Iterable[Json], encoding: str) -> list[str]:
    """Jobs as a table with a head."""
    head = ("ID", "STATUS", "PROGRESS", "KIND", "CREATED", "DURATION", "NAME")
    names = ("id", "status", "progress", "kind", "created_at", "duration_seconds", "name")
    return table([head, *([field(job, name, encoding) for name in names] for job in jobs)])


def field(job: Json, name: str, encoding: str = "utf-8") -> str:
    """One field of a job as plain text. A job that has not started has no duration, and one that hasn't said how far it
    is no progress, though daemons say 0.
    """
    value = job.get(name)
    if name == "progress" and value == 0:
        value = None
    if name == "duration_seconds" and "started_at" in job and job["started_at"] is None:
        value = None
    return plain(_FORMS[name](value) if name in _FORMS else value, encoding)


def detail_lines(job: Json, encoding: str) -> list[str]:
    """All of one job: a line for each field, then what it printed last."""
    names = [name for name, value in job.items() if name not in _NOT_LISTED and value is not None]
    lines = table([(plain(name), field(job, name, encoding)) for name in names])
    output = job.get("output")
    if isinstance(output, list) and output:
        lines += ["output", *(f"  {plain(line, encoding)}" for line in output)]
    return lines


def kind_lines(kinds: Json, encoding: str) -> list[str]:
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
        return UNKNOWN
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


def _params(value: object) -> str:
    return json.dumps(value)[1:-1] if isinstance(value, dict) else str(value)


_NOT_LISTED = {"output", "provider", "vm_name", "start_time", "end_time", "error_msg"}
"""The output has lines of its own; the others say once more, for other clients, what a field before them says."""

_FORMS: dict[str, Callable[[object], str]] = {
    "progress": partial(figure, form=whole_percent),
    "duration_seconds": partial(figure, form=exact_duration),
    "params": _params,
}
