"""Places: where a process counts one series of the app's own metrics. The hot path: no system call.

All of a process's threads count in one row, its slot's: compiled (_own.c), each change is made under the interpreter's
lock, or by an atomic instruction where there is none; in this form, under a lock of the process. Until the process has
a slot, and in a child that it has just forked, a place has cells of its own; `move` takes what was counted along.

A store into a cell is one of a whole cell. After it, the mark of the cell's page gets the epoch, so that readers know
which pages to read again (reader.py). Where a value is stored with a stamp, the value comes first.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from hvd.core import layout
from hvd.core.own import logarithmic
from hvd.core.own.definition import INT, Definition

_lock = threading.RLock()  # re-entrant: a signal handler or a destructor may count
_LARGEST = 2**63 - 1


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
    the places by label values: `labels` looks there first, then calls `find_child`.
    """

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
        self._found: list[float] = [0] * len(self.kinds)
        self._start()

    def move(self, target: Target, offset: int) -> None:
        """Count there from now on, in the cells from `offset` on of the row, and take along what was counted."""
        with _lock:
            counted = self.counted()
            self._target, self._offset = target, offset
            end = offset + len(self.kinds)
            self._cells, self._floats = target.cells[offset:end], target.floats[offset:end]
            self._found = self._read()
            self._carry(counted)

    def counted(self) -> list[float]:
        """What this process has counted: for each cell, by how much it has grown."""
        with _lock:
            return [now - found for now, found in zip(self._read(), self._found, strict=True)]

    def _read(self) -> list[float]:
        return [self._cells[index] if kind == INT else self._floats[index] for index, kind in enumerate(self.kinds)]

    def _carry(self, counted: Sequence[float]) -> None:
        for index, amount in enumerate(counted):
            if amount:
                self.add(index, amount)

    def _start(self) -> None:
        """What a new series begins with."""

    def add(self, index: int, amount: float) -> None:
        """Add to a cell; nothing where that would be no number any more, or more than an integer cell holds."""
        with _lock:
            if self.kinds[index] == INT:
                total = self._cells[index] + int(amount)
                if total > _LARGEST:
                    return
                self._cells[index] = total
            else:
                sum = self._floats[index] + amount
                if math.isnan(sum):
                    return
                self._floats[index] = sum
            self._mark(index)

    def _mark(self, index: int) -> None:
        if self._target:
            page, epoch = (self._offset + index) // layout.PAGE_CELLS, self._target.epoch[0]
            if self._target.cells[page] != epoch:
                self._target.cells[page] = epoch

    def _check_ready(self) -> None:
        if not self.is_ready:
            raise ValueError(f"{self._kind} metric is missing label values")

    def labels(self, *values: object, **named: object) -> Any:
        """The child of these label values."""
        child = None if named else self.children.get(values)  # type: ignore[arg-type]
        return self.find_child(*values, **named) if child is None else child

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
        if amount < 0:
            raise ValueError("Counters can only be incremented by non-negative amounts.")
        is_int = isinstance(amount, int) and self._cells[0] + amount <= _LARGEST
        self.add(0 if is_int else 1, amount)
        if exemplar:
            self.keep_exemplar(0, amount, exemplar)


class SummaryPlace(Place):
    """How many amounts were observed, and their sum. NaN is not counted."""

    def observe(self, amount: float) -> None:
        """Count an amount."""
        self._check_ready()
        with _lock:
            if not math.isnan(self._floats[1] + amount):
                self.add(1, amount)
                self.add(0, 1)


class HistogramPlace(Place):
    """The sum of the amounts observed, and how many fell into each bucket. NaN is not counted."""

    def __init__(self, definition: Definition, *, is_ready: bool = True) -> None:
        self._bounds = None if definition.is_logarithmic else definition.buckets
        super().__init__(definition, is_ready=is_ready)

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Count an amount. A bucket has what its upper bound is."""
        self._check_ready()
        with _lock:
            if math.isnan(self._floats[0] + amount):
                return
            bucket = logarithmic.bucket_of(amount) if self._bounds is None else bisect_left(self._bounds, amount)
            self.add(0, amount)
            self.add(1 + bucket, 1)
        if exemplar:
            self.keep_exemplar(1 + bucket, amount, exemplar)


class GaugePlace(Place):
    """A gauge's value in this process; how those of several combine is its mode, see definition.py.

    Of a mode that keeps what the dead left, the cell has both: what processes before this one left in the slot, which
    this one remembers from its first store on, and its own value.
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
        with _lock:
            self._value, self._time = float(value), time
            self._store()

    def inc(self, amount: float = 1) -> None:
        """Add to the value."""
        self._check_ready()
        with _lock:
            self._value += amount
            self._store()

    def dec(self, amount: float = 1) -> None:
        """Take from the value."""
        self.inc(-amount)

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
        else:
            self._floats[0] = self._merged()
        self._cells[1] = tenancy
        self._mark(0)

    def _merged(self) -> float:
        if self._before is None:
            return self._value
        if self._mode == "sum":
            return self._before + self._value
        return (min if self._mode == "min" else max)(self._before, self._value)

    def counted(self) -> list[float]:
        return []

    def _carry(self, counted: Sequence[float]) -> None:
        if self.is_ready:
            self._before = None
            self._store()
