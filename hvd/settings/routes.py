r"""Routes that operators declare, for apps whose framework tells none: templates, each with a regular expression.

    [routes]
    "/items/{id}" = '/items/\d+'

The first one counts whose expression the whole path matches.
"""

import re
from collections.abc import Mapping
from typing import Any

from hvd.texts import cut, quoted

_TEMPLATE = re.compile(r"/[!-~]{0,199}")
_EXPECTED = "/ and at most 199 printable ASCII characters, no blanks"


def read_routes(table: Mapping[str, Any]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The routes that a table declares, without the wrong ones, and all faults: a template, and what is wrong there."""
    routes: dict[str, str] = {}
    faults: list[tuple[str, str]] = []
    for template, pattern in table.items():
        if not _TEMPLATE.fullmatch(template):
            faults.append((template, f"is no template of a route: it must be {_EXPECTED}"))
        elif (problem := _problem(pattern)) is not None:
            faults.append((template, f"is {quoted(pattern)}: it must be a regular expression of paths{problem}"))
        else:
            routes[template] = pattern
    return routes, faults


def _problem(pattern: Any) -> str | None:
    """Why it is no regular expression, where there is more to say than that; None where it is one."""
    if not isinstance(pattern, str) or not pattern:
        return ""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f" ({cut(str(error))})"
    return None
