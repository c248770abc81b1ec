"""A file of variables as systemd reads it: systemd.exec(5), EnvironmentFile=."""

import re

_COMMENT = re.compile(r"[ \t]*[#;].*")
_ASSIGNMENT = re.compile(r"[ \t]*(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(?P<value>.*)", re.DOTALL)
_PIECE = re.compile(
    r"""'(?P<single>[^']*)'              # as it is
    |"(?P<double>(?:[^"\\]|\\.)*)"       # a backslash takes the meaning of " \ ` and $
    |\\(?P<escaped>.)
    |(?P<plain>[^'"\\]+)""",
    re.DOTALL | re.VERBOSE,
)


def read_variables(text: str) -> tuple[dict[str, str], list[int]]:
    """The variables, and the numbers of the lines that are none, which systemd passes over. Never raises."""
    variables: dict[str, str] = {}
    wrong: list[int] = []
    for number, line in _joined(text):
        if not line.strip() or _COMMENT.fullmatch(line):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        value = _unquoted(match["value"]) if match else None
        if match is None or value is None:
            wrong.append(number)
        else:
            variables[match["name"]] = value
    return variables, wrong


def _joined(text: str) -> list[tuple[int, str]]:
    """Lines, with the number of their first one: a backslash at the end, and an open quote, go on in the next."""
    lines: list[tuple[int, str]] = []
    begin, pending = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begin, pending = begin or number, pending + line
        if not _COMMENT.fullmatch(pending) and re.search(r"(?<!\\)(\\\\)*\\$", pending):
            pending = pending[:-1]
        elif not _COMMENT.fullmatch(pending) and _is_open(pending):
            pending += "\n"
        else:
            lines.append((begin, pending))
            begin, pending = 0, ""
    return [*lines, (begin, pending)] if pending else lines


def _is_open(line: str) -> bool:
    match = _ASSIGNMENT.fullmatch(line)
    return match is not None and match["value"][:1] in ("'", '"') and _unquoted(match["value"]) is None


def _unquoted(value: str) -> str | None:
    """None where a quote has no end."""
    pieces: list[str] = []
    at, value = 0, value.rstrip(" \t")
    while at < len(value):
        match = _PIECE.match(value, at)
        if match is None:
            return None
        if match["double"] is not None:
            pieces.append(re.sub(r'\\(["\\`$])', r"\1", match["double"]))
        else:
            pieces.append(next(part for part in match.group("single", "escaped", "plain") if part is not None))
        at = match.end()
    return "".join(pieces)
