"""How late an event loop is with what is due in it: what runs in it runs for that long without a break."""

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from hvd.core import layout
from hvd.instrument.counting import counting
from hvd.read.stacks import LOOP_PERIOD

REMEMBERED = 4  # turns, the latest of which is published


class Handle(Protocol):
    """What is due in a loop."""

    def cancel(self) -> None: ...


class Loop(Protocol):
    """What is needed of asyncio's loop, and of any other."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Handle: ...


class LoopWatch:
    """Notes, in the slot of this process, that a loop turns, and how late it was. In that loop's thread.

    A loop that stands still notes nothing: readers see that from the time of its last turn.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._late_ns: deque[int] = deque([0], REMEMBERED)
        self._begin()

    def _begin(self) -> None:
        self._turned_ns = time.monotonic_ns()
        self._note()
        self._handle = self._loop.call_later(LOOP_PERIOD, self._turn)

    def _turn(self) -> None:
        self._late_ns.append(max(0, time.monotonic_ns() - self._turned_ns - int(LOOP_PERIOD * 1e9)))
        self._begin()

    def _note(self) -> None:
        rows = counting.rows
        cells, cell = rows.block.cells, rows.block.layout.slot_cell(rows.slot)
        cells[cell + layout.S_LOOP_LAG_NS] = max(self._late_ns)
        cells[cell + layout.S_LOOP_NS] = self._turned_ns

    def stop(self) -> None:
        """End the watch: the loop is about to end, and standing still means nothing from now on."""
        self._handle.cancel()
        rows = counting.rows
        rows.block.cells[rows.block.layout.slot_cell(rows.slot) + layout.S_LOOP_NS] = 0
