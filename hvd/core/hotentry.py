"""Requests that share a row: of threads that serve many at once, and of threads that got no row of their own.

They count in the slot's last row, and each has, while there is room, an entry of the slot (layout.py), which says what
it is. `_hotentry.c` beside this is the same in C, used where it could be compiled. What is stored, in this order:

    begin:   busy + 1, text, thread, begin time = -now, started + 1, begin time = now
    respond: the series' count + 1            (before the response's first byte)
    finish:  sum + ns, bucket + 1, begin time = -begun, finished + 1, begin time = 0, busy - 1
    abandon: begin time = -begun, aborted + 1, its cause + 1, begin time = 0, busy - 1

So started - finished - aborted is the number of requests in progress, and never more than busy. The requests in
progress are those whose begin time is positive, and as many of the negative ones as that number says beside them: of
one that the process was killed in the midst of beginning or ending.
"""

import os
import struct
import sys
import threading
from _thread import get_ident  # now, before gevent puts its own there: a thread's number is looked for in its stacks
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import monotonic_ns

from hvd.core import layout
from hvd.core.durations import BOUNDS
from hvd.core.hotrow import HotRow

_store_text = struct.Struct(f"{layout.TEXT_BYTES}s").pack_into  # cuts what is longer, fills up with zeros


class Sharing:
    """A slot's last row, which requests share, and the slot's entries. One process uses it, in any thread.

    A cell of the row, or of an entry, is changed only while `held`. A destructor or a signal handler may run at any
    point, even in a thread that is just changing cells: so its own changes wait in `waiting`.
    """

    def __init__(
        self,
        raw: memoryview,
        slot: int,
        head: int,
        count: int,
        first: int,
        entries: int,
        runs: Mapping[tuple[str, ...], int],
        aborted: Mapping[tuple[str, ...], int],
    ) -> None:
        """`slot`, `head` and `first` are the cells of the slot's record, of the row, and of the first entry."""
        self.raw, self.head, self.count, self.first = raw, head, count, first
        cells = raw.cast("q")
        self.cells = cells[head : head + count]
        self.entries = cells[first : first + entries * layout.ENTRY_CELLS]
        self.runs, self.aborted = runs, aborted
        self.exception = 0  # the cell of that cause
        self.by_entry = False  # an entry stands for a thread, by its id()
        self.pid = os.getpid()
        self.waiting: deque[Callable[[], None]] = deque()
        self._slot = cells[slot : slot + layout.SLOT_CELLS]
        self._free = list(range(entries - 1, -1, -1))
        self._lock = threading.RLock()
        self._is_held = False  # read under the lock: true while this very thread changes cells

    def entry(self) -> "HotEntry":
        """A row object for one request after the other, for threads that serve many at once."""
        if not self.exception:
            self.exception = self.aborted["exception",]  # now: a destructor must not wait for the catalogue
            self._slot[layout.S_SHARED] = 1
        return HotEntry(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Exclude the other threads."""
        try:
            with self._lock:
                self._is_held = True
                try:
                    yield
                finally:
                    self._is_held = False
        finally:
            self.do_waiting()

    def do(self, work: Callable[[], None]) -> None:
        """Do the work while `held`: now, or, where this very thread holds it already, afterwards."""
        with self._lock:
            if self._is_held:
                self.waiting.append(work)
                return
            with self.held():
                work()

    def do_waiting(self) -> None:
        """Do the work that waits; where another thread holds the row, that thread does it afterwards."""
        while self.waiting and self._lock.acquire(blocking=False):
            try:
                if self._is_held:
                    return
                self._is_held = True
                try:
                    if self.waiting:
                        self.waiting.popleft()()
                finally:
                    self._is_held = False
            finally:
                self._lock.release()

    def take(self, text: bytes, began: int, thread: int) -> int | None:
        """While held: the first cell of an entry for a request that is about to begin; None where there is no room."""
        if not self._free:
            return None
        number = self._free.pop()
        if number >= self._slot[layout.S_ENTRIES]:
            self._slot[layout.S_ENTRIES] = number + 1
        entry = number * layout.ENTRY_CELLS
        _store_text(self.raw, (self.first + entry + layout.E_TEXT) * layout.CELL, text)
        self.entries[entry + layout.E_THREAD] = thread
        self.entries[entry + layout.E_BEGIN_NS] = -began
        return entry

    def show(self, entry: int | None, begin_ns: int) -> None:
        """While held: give the entry this begin time."""
        if entry is not None:
            self.entries[entry + layout.E_BEGIN_NS] = begin_ns

    def end(self, entry: int | None, began: int, ended: int, cause: int = 0) -> None:
        """While held: a request ends. It counts in the cell `ended` of the head, and in that of the cause."""
        self.show(entry, -began)
        self.cells[ended] += 1
        if cause:
            self.cells[cause] += 1
        self.show(entry, 0)
        if entry is not None:
            self._free.append(entry // layout.ENTRY_CELLS)
        self.cells[layout.R_BUSY] -= 1


class HotEntry(HotRow):
    """A row object for one request, or for one after the other. One thread at a time calls it.

    A request that is in progress when the object goes is aborted. Not so in a forked child, where the objects of its
    parent's requests are deleted too, nor at the end of the process, whose master counts why its requests are aborted.
    `thread` is what stands for the request's thread in stacks; 0: the calling thread's number, or the object's id().
    """

    __slots__ = ("_entry", "_sharing", "thread")

    def __init__(self, sharing: Sharing) -> None:
        self._began = 0  # first: __del__ needs it even where the rest raises
        self._sharing = sharing
        self._entry: int | None = None
        self.thread = 0
        super().__init__(sharing.raw, sharing.head, sharing.count, sharing.runs)

    def begin(self, *words: str) -> None:
        if self._began:
            self.abandon("exception")
        text, sharing = " ".join(words).encode("latin-1", "replace"), self._sharing
        with sharing.held():
            self._cells[layout.R_BUSY] += 1
            self.base, began = 0, monotonic_ns()
            self._entry, self._began = sharing.take(text, began, self._thread), began
            self._cells[layout.R_STARTED] += 1
            sharing.show(self._entry, began)

    @property
    def _thread(self) -> int:
        return self.thread or (id(self) if self._sharing.by_entry else get_ident())

    def respond(self, labels: tuple[str, ...], error: int, /) -> None:
        with self._sharing.held():
            super().respond(labels, error)

    def finish(self) -> None:
        base = self.base
        if not self._began:
            return
        if not base:
            self.abandon("no_response")
            return
        with self._sharing.held():
            ns = monotonic_ns() - self._began
            self._cells[base + 1] += ns
            self._cells[base + 2 + bisect_left(BOUNDS, ns)] += 1
            self._end(layout.R_FINISHED)

    def abandon(self, cause: str) -> None:
        """The request in progress, if any, will not be finished."""
        if self._began:
            cell = self._sharing.aborted[cause,]
            with self._sharing.held():
                self._end(layout.R_ABORTED, cell)
        self.interrupted = None

    def _end(self, ended: int, cause: int = 0) -> None:
        self._sharing.end(self._entry, self._began, ended, cause)
        self._entry, self._began = None, 0

    def record(self, runs: Mapping[tuple[str, ...], int], labels: tuple[str, ...], ns: int, /) -> None:
        self._sharing.do(partial(super().record, runs, labels, ns))

    def measure(self, runs: Mapping[tuple[str, ...], int], labels: tuple[str, ...], /, *amounts: int) -> None:
        self._sharing.do(partial(super().measure, runs, labels, *amounts))

    @property
    def is_busy(self) -> bool:
        """True between begin and finish."""
        return self._began != 0

    def add(self, offset: int, by: int) -> None:
        """Add to a one-cell counter."""
        self._sharing.do(partial(self._add, offset, by))

    def _add(self, offset: int, by: int) -> None:
        self._cells[offset] += by

    def release(self) -> None:
        """Abort a request in progress: nobody will call this object again."""
        sharing = self._sharing
        if self._began and sharing.pid == os.getpid() and not sys.is_finalizing():
            end = partial(sharing.end, self._entry, self._began, layout.R_ABORTED, sharing.exception)
            self._entry, self._began = None, 0
            sharing.waiting.append(end)
            sharing.do_waiting()

    def __del__(self) -> None:
        self.release()
