"""Places: where a process counts one series of the app's own metrics. The hot path: no system call.

All of a process's threads count in one row, its slot's: compiled (_own.c), each change is made under the interpreter's
lock, or by an atomic instruction where there is none; in this form, under a lock of the process. Until the process has
a slot, and in a child that it has just forked, a place has cells of its own; `move` takes what was counted along.

A store into a cell is one of a whole cell. After it, the mark of the cell's page gets the epoch, so that readers know
which pages to read again (sums.py). Where a value is stored with a stamp, the value comes first.
"""

import math
import os
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from operator import index as as_index
from typing import Any

from hvd.core import layout
from hvd.core.own import logarithmic
from hvd.core.own.definition import INT, Definition

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


class _Turn:
    """Lets one thread at a time change cells. A signal handler or a destructor may run at any point, even in a thread
    that is just changing some: what it counts waits until that is done.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._is_held = False  # read under the lock: true while this very thread changes cells
        self._waiting: deque[Callable[[], bool | None]] = deque()

    def do(self, work: Callable[[], bool | None]) -> bool:
        """Do the work now, or, where this very thread is at another, right after that. -> what it gives, True where it
        waits.
        """
        with self.lock:
            if self._is_held:
                self._waiting.append(work)
                return True
            try:
                return self._alone(work)
            finally:
                while self._waiting:
                    self._alone(self._waiting.popleft())

    def _alone(self, work: Callable[[], bool | None]) -> bool:
        self._is_held = True
        try:
            return work() is not False
        finally:
            self._is_held = False


_turn = _Turn()


def _new_turn() -> None:
    """In a forked child: a lock that no thread of the parent holds."""
    global _turn
    _turn = _Turn()


os.register_at_fork(after_in_child=_new_turn)


class Target:
    """Where places move to: a row of own metrics, for the process which took its slot at `tenancy` (S_TAKEN_NS)."""

    def __init__(self, raw: memoryview, head: int, count: int, tenancy: int) -> None:
        """`head` and `count`: the row's first cell in the block, and how many it has."""
        cells = raw.cast("q")
        self.cells = cells[head : head + count]
        self.floats = raw.cast("d")[head : head + count]
        self.epoch = cells[layout.H_EPOCH : layout.H_EPOCH + 1]
        self.tenancy = tenancy


class Place:
    """One series in this process. Thread-safe; not to be used by two processes: see `forget`.

    `is_ready` is false for the parent of a family with labels, which counts nothing. `children` are, of such a parent,
    the places by label values: `labels` looks there first, then calls `find_child`. `before_count`, where it is set, is
    called whenever something is to be counted: the process may have to take a slot first. `move` takes it away.
    """

    before_count: Callable[[], None] | None = None

    def __init__(self, definition: Definition, *, is_ready: bool = True) -> None:
        self.kinds = definition.cells
        self.is_ready = is_ready
        self.children: dict[tuple[str, ...], Any] = {}
        self._kind = definition.kind
        self.forget()

    def forget(self) -> None:
        """In a forked child: what was counted is the parent's, and so are its cells."""
        self._target: Target | None = None
        self._offset = 0
        own = memoryview(bytearray(len(self.kinds) * layout.CELL))
        self._cells, self._floats = own.cast("q"), own.cast("d")
        self._start_values: list[float] = [0] * len(self.kinds)
        self._start()

    def move(self, target: Target, offset: int) -> None:
        """Count there from now on, in the cells from `offset` on of the row, and take along what was counted."""
        _turn.do(partial(self._move, target, offset))

    def _move(self, target: Target, offset: int) -> None:
        counted = self.counted()
        self._target, self._offset, self.before_count = target, offset, None
        end = offset + len(self.kinds)
        self._cells, self._floats = target.cells[offset:end], target.floats[offset:end]
        self._start_values = self._read()
        self._carry(counted)

    def counted(self) -> list[float]:
        """What this process has counted: for each cell, by how much it has grown."""
        with _turn.lock:
            return [now - start for now, start in zip(self._read(), self._start_values, strict=True)]

    def _read(self) -> list[float]:
        return [self._cells[index] if kind == INT else self._floats[index] for index, kind in enumerate(self.kinds)]

    def _carry(self, counted: Sequence[float]) -> None:
        for index, amount in enumerate(counted):
            if amount:
                self._add(index, amount)

    def _start(self) -> None:
        """Store what a new series begins with."""

    def cell(self, index: int) -> "Cell":
        """One of its cells, for a caller that counts in each by itself. Raises IndexError."""
        return Cell(self, index)

    def add(self, index: int, amount: float) -> bool:
        """Add to a cell. -> False, with nothing changed, where that would be no number any more, or more than an
        integer cell holds.
        """
        return _turn.do(partial(self._add, index, amount))

    def _add(self, index: int, amount: float) -> bool:
        if self.kinds[index] == INT:
            if amount != amount or not _SMALLEST <= (total := self._cells[index] + amount) <= _LARGEST:
                return False
            self._cells[index] = int(total)
        else:
            sum = self._floats[index] + float(amount)
            if math.isnan(sum):
                return False
            self._floats[index] = sum
        self._mark(index)
        return True

    def _mark(self, index: int) -> None:
        if self._target:
            page, epoch = (self._offset + index) // layout.PAGE_CELLS, self._target.epoch[0]
            if self._target.cells[page] != epoch:
                self._target.cells[page] = epoch

    def _check_ready(self) -> None:
        if not self.is_ready:
            raise ValueError(f"{self._kind} metric is missing label values")
        if self.before_count is not None:
            self.before_count()

    def labels(self, *values: object, **named: object) -> Any:
        """The child of these label values."""
        # Only what is just a text: a value that is equal to one may have another text, and need not have a hash.
        if not named and all(type(value) is str for value in values):
            child = self.children.get(values)  # type: ignore[arg-type]
            if child is not None:
                return child
        return self.find_child(*values, **named)

    def find_child(self, *values: object, **named: object) -> Any:
        """The child that `children` doesn't have, or not by these values."""
        raise NotImplementedError

    def keep_exemplar(self, index: int, amount: float, exemplar: dict[str, str]) -> None:
        """Keep an example of what was counted in a cell."""
        raise NotImplementedError


class CounterPlace(Place):
    """A counter: what is an integer counts in the one cell, without bound of a float; other amounts in the other."""

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        """Add an amount. Raises ValueError where it is negative. NaN counts nothing."""
        self._check_ready()
        number = _number(amount)
        if number < 0:
            raise ValueError("Counters can only be incremented by non-negative amounts.")
        _turn.do(partial(self._count, number))
        if exemplar:
            self.keep_exemplar(0, amount, exemplar)

    def _count(self, number: float) -> bool:
        return (isinstance(number, int) and self._add(0, number)) or self._add(1, number)


class SummaryPlace(Place):
    """How many amounts were observed, and their sum. NaN is not counted."""

    def observe(self, amount: float) -> None:
        """Count an amount."""
        self._check_ready()
        _turn.do(partial(self._observe, _number(amount)))

    def _observe(self, amount: float) -> bool:
        return self._add(1, amount) and self._add(0, 1)


class HistogramPlace(Place):
    """The sum of the amounts observed, and how many fell into each bucket. NaN is not counted."""

    def __init__(self, definition: Definition, *, is_ready: bool = True) -> None:
        self._bounds = None if definition.is_logarithmic else definition.buckets
        super().__init__(definition, is_ready=is_ready)

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Count an amount. A bucket has what its upper bound is."""
        self._check_ready()
        number = float(_number(amount))
        bucket = logarithmic.bucket_of(number) if self._bounds is None else bisect_left(self._bounds, number)
        if _turn.do(partial(self._observe, number, 1 + bucket)) and exemplar:
            self.keep_exemplar(1 + bucket, amount, exemplar)

    def _observe(self, amount: float, bucket: int) -> bool:
        return self._add(0, amount) and self._add(bucket, 1)


class GaugePlace(Place):
    """A gauge's value in this process; how those of several combine is its mode, see definition.py.

    In a mode that keeps the values of the dead, the cell combines what earlier processes left in the slot, which this
    one remembers from its first store on, with its own value.
    """

    def __init__(self, definition: Definition, *, is_ready: bool = True) -> None:
        self._mode, self._keeps = definition.mode.removeprefix("live"), definition.keeps
        super().__init__(definition, is_ready=is_ready)

    def _start(self) -> None:
        self._value, self._time = 0.0, 0.0
        self._before: float | None = None

    def set(self, value: float, time: float = 0.0) -> None:
        """Set the value; `time` is when, in s since 1970, for the modes that show the most recent one."""
        self._check_ready()
        _turn.do(partial(self._set, float(value), float(time)))

    def _set(self, value: float, time: float) -> None:
        self._value, self._time = value, time
        self._store()

    def inc(self, amount: float = 1) -> None:
        """Add to the value."""
        self._check_ready()
        _turn.do(partial(self._change, _number(amount)))

    def dec(self, amount: float = 1) -> None:
        """Take from the value."""
        self._check_ready()
        _turn.do(partial(self._change, -_number(amount)))

    def _change(self, amount: float) -> None:
        self._value += amount
        self._store()

    @property
    def value(self) -> float:
        """This process's own."""
        return self._value

    def _store(self) -> None:
        tenancy = self._target.tenancy if self._target else 1
        if self._cells[1] != tenancy:  # the first store of this process, or of what was removed
            self._before = self._floats[0] if self._keeps and self._cells[1] else None
        if self._mode == "mostrecent":
            if self._before is None or self._time >= self._floats[2]:
                self._floats[0], self._floats[2] = self._value, self._time
                self._mark(2)  # which may be on the next page
        else:
            self._floats[0] = self._merged()
        self._cells[1] = tenancy
        self._mark(0)

    def _merged(self) -> float:
        """Combine as gauges.py does: a NaN is left out."""
        if self._before is None or math.isnan(self._before):
            return self._value
        if math.isnan(self._value):
            return self._before
        if self._mode == "sum":
            return self._before + self._value
        pair = self._before, self._value
        return min(pair) if self._mode == "min" else max(pair)

    def counted(self) -> list[float]:
        return []

    def _carry(self, counted: Sequence[float]) -> None:
        if self.is_ready:
            self._before = None
            self._store()


class Cell:
    """A cell of a place that is counted in by itself, as a bucket."""

    def __init__(self, place: Place, index: int) -> None:
        if not 0 <= index < len(place.kinds):
            raise IndexError(f"cell {index} is not among the {len(place.kinds)} of the series")
        self._place, self._index = place, index

    def inc(self, amount: float) -> None:
        """Add to it, as Place.add."""
        if self._place.before_count is not None:
            self._place.before_count()
        self._place.add(self._index, amount)

    def get_own(self) -> float:
        """By how much this process has made it grow."""
        return self._place.counted()[self._index]


def _number(amount: float) -> float:
    """An amount as int or float, of whatever type it is. Raises TypeError, also of a text, and OverflowError."""
    if isinstance(amount, (int, float)):
        return amount
    if hasattr(amount, "__index__"):
        return as_index(amount)
    return math.ldexp(amount, 0)  # float() would take a text
