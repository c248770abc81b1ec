"""JSON of clients, parsed strictly: what two readers could understand differently (a member given twice, NaN, a number
that overflows) is refused rather than guessed at.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from hvd.texts import clipped

DEPTH_MAX = 32  # of arrays and objects in each other; a job needs 4, and Python's own limit is near 1000
_DIGITS_MAX = 100  # of a whole number; Python refuses to read 4,301, and takes quadratic time below
_EXCERPT_MAX = 60  # characters


def parse(data: bytes) -> Any:
    """The JSON value in those bytes. Raises ValueError, whose text says what is wrong."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"The body is not UTF-8: see its byte {error.start}.") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise _too_deep() from None
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [child for parent in level if isinstance(parent, dict | list) for child in _children(parent)]
        if not level:
            return value
    raise _too_deep()


def excerpt(text: str) -> str:
    """A client's text in quotes, in ASCII, of bounded length."""
    return json.dumps(clipped(text, _EXCERPT_MAX))


def _children(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _too_deep() -> ValueError:
    return ValueError(f"The body's arrays and objects are nested deeper than {DEPTH_MAX}.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        name = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"The body gives the member {excerpt(name)} of an object twice.")
    return members


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"The body has a number of {len(digits)} digits; {_DIGITS_MAX} are the most.")
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"The body has a number that is too large: {digits[:_EXCERPT_MAX]}.")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"The body is not JSON: it has no {name}.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=_decimal, parse_constant=_constant)
