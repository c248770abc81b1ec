"""What a thread stores for a request. The hot path: no lock, no system call.

`_hotrow.c` beside it is the same in C, used where it could be compiled. A thread stores in this order, and readers
rely on it:

    begin:   text, begin time, started + 1
    respond: the series' count + 1, of an error errors + 1 and server errors + 1 (before the response's first byte)
    finish:  sum + ns, bucket + 1, finished + 1, begin time = 0
    abandon: aborted + 1, its cause + 1, begin time = 0         (rows.py)

So of a row that is read between two stores, started - finished - aborted is the number of requests in progress, and
never more than its begin time shows. Each store is one of a whole aligned cell. x86-64 keeps the order of stores; the
compiled form makes every processor keep it. So this form in Python is exact on x86-64; on aarch64 and others a reader
may see two stores in the wrong order, and then be wrong by the request in progress for that moment.
"""

import struct
import sys
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from time import monotonic_ns
from typing import Any

from hvd.core import layout
from hvd.core.amounts import AMOUNT_CELLS, bucket_of
from hvd.core.durations import BOUNDS
from hvd.core.limits import SERVER_ERROR

STARTED, FINISHED, ERRORS, BEGIN = layout.R_STARTED, layout.R_FINISHED, layout.R_ERRORS, layout.R_BEGIN_NS

_store_text = struct.Struct(f"{layout.TEXT_BYTES}s").pack_into  # cuts what is longer, fills up with zeros


class HotRow:
    """One thread's row, for the requests it serves. Only the thread that has it may call it.

    `runs` gives, for the label values of a response, the first cell of their run, counted from the row's head.
    `interrupted` and `exchange` are the worker's: what it notes of a request that an exception took the thread out of,
    and what the thread serves, None in between (what is there refers to the row).
    """

    __slots__ = ("_began", "_cells", "_raw", "_runs", "_text", "base", "exchange", "interrupted")

    def __init__(self, raw: memoryview, head: int, count: int, runs: Mapping[tuple[str, ...], int]) -> None:
        self._raw = raw
        self._cells = raw.cast("q")[head : head + count]
        self._text = (head + layout.R_TEXT) * layout.CELL
        self._runs = runs
        self._began = 0
        self.base = 0
        self.interrupted: Any = None
        self.exchange: Any = None

    def abandon(self, cause: str) -> None:
        """Count the request in progress as aborted, of this cause."""
        raise NotImplementedError

    def begin(self, *words: str) -> None:
        """A request arrived: it is in flight from here, for readers and for a post-mortem, which see these words."""
        cells = self._cells
        if cells[BEGIN]:
            self.abandon("exception")
        _store_text(self._raw, self._text, " ".join(words).encode("latin-1", "replace"))
        self.base = 0
        self._began = cells[BEGIN] = monotonic_ns()
        cells[STARTED] += 1

    def respond(self, labels: tuple[str, ...], error: int, /) -> None:
        """Count the response; to be called before its first byte leaves. `error` is NO_ERROR, CLIENT_ERROR or
        SERVER_ERROR.
        """
        base = self.base = self._runs[labels]
        cells = self._cells
        cells[base] += 1
        if error:
            cells[ERRORS] += 1
        if error == SERVER_ERROR:
            cells[layout.R_SERVER_ERRORS] += 1

    def pass_on(self, labels: tuple[str, ...], /) -> None:
        """Another process answers and counts the response: this one counts the duration only.

        That is the time until the request was passed on, under the labels that the other process is expected to use.
        """
        self.base = self._runs[labels]

    def finish(self) -> None:
        """The response is complete: its duration counts. Without a response before it, the request was aborted.

        Nothing happens where no request is in progress.
        """
        base = self.base
        if not self._cells[BEGIN]:
            return
        if not base:
            self.abandon("no_response")
            return
        cells = self._cells
        ns = monotonic_ns() - self._began
        cells[base + 1] += ns
        cells[base + 2 + bisect_left(BOUNDS, ns)] += 1
        cells[FINISHED] += 1
        cells[BEGIN] = 0

    def record(self, runs: Mapping[tuple[str, ...], int], labels: tuple[str, ...], ns: int, /) -> None:
        """Count one piece of work and its duration in ns, when it is over."""
        base = runs[labels]
        cells = self._cells
        cells[base + 1] += ns  # first: where it is no number, nothing is counted
        cells[base] += 1
        cells[base + 2 + bisect_left(BOUNDS, ns)] += 1

    def measure(self, runs: Mapping[tuple[str, ...], int], labels: tuple[str, ...], /, *amounts: int) -> None:
        """Count amounts of one thing, as the sizes of what came and went; a negative one is not known."""
        at = runs[labels]
        cells = self._cells
        cells[at] += 1
        at += 1
        for amount in amounts:
            if amount >= 0:
                cells[at] += amount
                cells[at + 1 + bucket_of(amount)] += 1
            at += AMOUNT_CELLS


Head = tuple[int, int, int, int, int, int, int, bytes]
"""Of a row R_STARTED to R_ERRORS, R_SERVER_ERRORS, R_BEGIN_NS, R_BUSY, and its text."""


def sum_rows(raw: memoryview, heads: list[int], used: int, retries: int) -> tuple[bytes, list[Head]]:
    """The sums, cell by cell, of the rows whose heads are at these cells, up to cell `used` of each; and their heads.

    The sums of a head's own cells are 0. A row is copied between two readings of its head that agree; where they don't
    after so many `retries`, the last copy counts, see totals.py.

    One long integer adds all cells of a row at once: no cell is negative or reaches 2^63, so none carries over.
    """
    cells, total, read_heads, head_bytes = raw.cast("q"), 0, list[Head](), layout.HEAD_CELLS * layout.CELL
    for head in heads:
        after = _read_head(raw, cells, head, retries)
        for _ in range(retries):
            before, copied = after, raw[head * layout.CELL + head_bytes : (head + used) * layout.CELL].tobytes()
            after = _read_head(raw, cells, head, retries)
            if after == before:
                break
        total += int.from_bytes(copied, sys.byteorder)
        read_heads.append(after)
    return bytes(head_bytes) + total.to_bytes(used * layout.CELL - head_bytes, sys.byteorder), read_heads


def _read_head(raw: memoryview, cells: memoryview, head: int, retries: int) -> Head:
    """Of one moment: read until two readings agree."""
    start = (head + layout.R_TEXT) * layout.CELL

    def read() -> Head:
        started, finished, aborted, errors, begin, busy, _, failed = cells[head : head + layout.R_TEXT].tolist()
        return started, finished, aborted, errors, failed, begin, busy, raw[start : start + layout.TEXT_BYTES].tobytes()

    previous = read()
    for _ in range(retries):
        if (current := read()) == previous:
            break
        previous = current
    return previous


def fence() -> None:
    """A memory barrier: other processors see stores and loads before this call before those after it.

    Compiled. In Python it does nothing: x86-64 keeps the order by itself, other processors may not.
    """


def cumulate(cells: memoryview, start: int, ends: tuple[int, ...]) -> tuple[int, ...]:
    """For each of `ends`, which rise: the sum of the cells start to start + end. IndexError past the cells."""
    sums = list(accumulate(cells[start : start + ends[-1]].tolist()))
    return tuple(sums[end - 1] for end in ends)
