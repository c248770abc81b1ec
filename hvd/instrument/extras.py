"""What is kept of a request beside count and duration: sizes, the time in queues before it came, exceptions by type.

Sizes are those of bodies, as far as they are known without reading one: of a request by its Content-Length, of a
response by its only piece, or by its Content-Length. A stream without one has no size, and counts in none.
_extras.c is the hot part, compiled.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

from hvd.core.amounts import UNKNOWN
from hvd.core.rows import Row, Rows, ThreadRow
from hvd.metrics.table import EXCEPTIONS, QUEUE, SIZES, VIEWS

compiled: Any
try:
    compiled = import_module("hvd.instrument._counting")
except ImportError:  # there was no compiler
    compiled = None

Header = tuple[Any, Any]
"""Name and value, str or bytes."""

_LENGTH_NAMES = "content-length", b"content-length"
_COUNTED = "_hvd_counted"
LENGTH_DIGITS = 15
"""More are no size."""

QUEUED_MOST = 3600.0  # s: a time further back is that of another clock, or of another unit

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (1e8, 1.0))
"""From how much on a time since 1970 is one in ns, µs, ms, s: for the years 1973 to 5138."""
_MOST = 1e20


class Extras:
    """Of one process, which counts in `rows`. `sizes`, `queue` are None where they are not kept.

    Where rows give way to others while requests are in progress, as they do in a process that joins a daemon, cells of
    the one are no cells of the other: `local` has the rows that these are counted in, whichever a request has. Else it
    is None.
    """

    def __init__(
        self, rows: Rows, *, sizes: bool = True, queue_time: bool = True, local: ThreadRow | None = None
    ) -> None:
        self.rows, self.local = rows, local
        self.sizes = rows.runs[SIZES.key] if sizes else None
        self.queue = rows.runs[QUEUE.key] if queue_time else None
        self._exceptions, self._views = rows.runs[EXCEPTIONS.key], rows.runs[VIEWS.key]
        self._named: set[str] = set()

    def queued(self, row: Row, since: str | bytes) -> None:
        """Count how long a request waited that came with X-Request-Start."""
        if self.queue is not None and (ns := queue_ns(since, time.time_ns())) is not None:
            self._row(row).record(self.queue, (), ns)

    def sized(self, row: Row, method: str, route: str, length: Any, headers: Iterable[Header], body: Any) -> None:
        """A response is about to leave. `length` is the request's Content-Length, text or number, None or -1 without
        one; `body` the list of pieces or the bytes that leave, anything else where they are not known.
        """
        if self.sizes is not None:
            measure(self._row(row), self.sizes, method, route, length, headers, body)

    def _row(self, row: Row) -> Row:
        return self.local.row if self.local else row

    def raised(self, row: Row, error: BaseException, route: str, method: str = "") -> None:
        """Count an exception that ended a request, and that the server or the app's framework answers."""
        if getattr(error, _COUNTED, None) is None:  # a framework may report it, and raise it as well
            with suppress(AttributeError):
                setattr(error, _COUNTED, True)
            self._row(row).add(self._exceptions[method, route, type(error).__name__], 1)

    def named(self, row: Row, route: str, view: str) -> None:
        """Note the app's own name for a route."""
        if route not in self._named:
            self._named.add(route)
            self._row(row).add(self._views[route, view], 1)


def queue_ns(since: str | bytes, now_ns: int) -> int | None:
    """X-Request-Start -> for how long the request waited in ns. None for no time, and for that of another clock.

    nginx writes `t=` and seconds (`t=${msec}`), Heroku milliseconds; others micro- or nanoseconds. Clocks of two
    machines differ: a start in the future counts as none at all.
    """
    text = since.decode("latin-1") if isinstance(since, bytes) else since
    try:
        start = float(text.strip().removeprefix("t="))
    except ValueError:
        return None
    unit = next((unit for least, unit in _UNITS if _MOST > start >= least), None)
    waited = now_ns - round(start * (1e9 / unit)) if unit else -1
    return waited if 0 <= waited <= QUEUED_MOST * 1e9 else None


def size_of(length: Any) -> int:
    """The number that a Content-Length says, or is; -1 where it says none."""
    if isinstance(length, int):
        return length
    digits = isinstance(length, str | bytes) and len(length) <= LENGTH_DIGITS and length.isascii() and length.isdigit()
    return int(length) if digits else UNKNOWN


def header_of(headers: Any, *names: str | bytes) -> Any:
    """The value of the first header of these names, in lower case; None where there is none. What is no list of pairs
    has none: whoever sends it will say so.
    """
    for header in headers if isinstance(headers, list | tuple) else ():
        if isinstance(header, list | tuple) and len(header) == 2:
            name, value = header
            if isinstance(name, str | bytes) and len(name) == len(names[0]) and name.lower() in names:
                return value
    return None


def content_length_in_python(headers: Iterable[Header]) -> int:
    """What Content-Length says, -1 where there is none."""
    return size_of(header_of(headers, *_LENGTH_NAMES))


def measure_in_python(
    row: Row, runs: Any, method: str, route: str, length: Any, headers: Iterable[Header], body: Any
) -> None:
    """See Extras.sized. What leaves for HEAD has no body, whatever its headers say of the one that GET would have."""
    if method == "HEAD":
        size = 0
    elif isinstance(body, bytes):
        size = len(body)
    elif type(body) is list and len(body) == 1 and isinstance(body[0], bytes):
        size = len(body[0])
    else:
        size = content_length_in_python(headers)
    row.measure(runs, (method, route), size_of(length), size)


content_length = compiled.content_length if compiled else content_length_in_python
measure = compiled.measure if compiled else measure_in_python
