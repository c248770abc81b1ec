"""Masters' signs of life, in the block's header: each says when its loop last turned, and since when it is ready.

A record names its master by its pid, as a master of an older hvd has none, and leaves that of another one where it is.
"""

import time
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.proc import is_alive


class Beat(NamedTuple):
    """Of a master: when its loop last turned (monotonic ns; 0: it isn't known), and since when it has been ready: its
    companions have begun and its workers serve. 0: not yet. `is_ending`: it has been told to end, and does.
    """

    pid: int
    turned_ns: int = 0
    ready_ns: int = 0
    is_ending: bool = False


class OwnBeat:
    """A master's own record. Its main thread uses it."""

    def __init__(self, block: Block, pid: int) -> None:
        self._block, self._pid = block, pid
        self._ready_ns = 0

    def turn(self) -> None:
        """Note that the loop turns now."""
        self._write(time.monotonic_ns())

    def say_ready(self) -> None:
        """Note that the master can go on alone from now on."""
        self._ready_ns = time.monotonic_ns()
        self.turn()

    def end(self) -> None:
        """Note that the master is about to end: nobody waits for its loop any more, and another one leads."""
        self._ready_ns = 0
        self._write(0)

    def _write(self, turned_ns: int) -> None:
        block, cells = self._block, self._block.cells
        for index in range(layout.MASTERS):
            if cells[layout.H_MASTERS + index] == self._pid:
                cell = layout.H_BEATS + index * layout.BEAT_CELLS
                block.cells[cell + 1], block.cells[cell + 2] = turned_ns, self._ready_ns
                cells[cell] = self._pid


def beats(block: Block) -> list[Beat]:
    """Those of all masters that live."""
    return [_beat(block, index, pid) for index, pid in enumerate(_masters(block)) if pid > 0 and is_alive(pid)]


def has_been_overtaken(block: Block, pid: int) -> bool:
    """Whether a master became ready after this one; it may have ended since."""
    first = range(layout.H_BEATS, layout.H_BEATS + layout.MASTERS * layout.BEAT_CELLS, layout.BEAT_CELLS)
    ready = {block.cells[cell]: block.cells[cell + 2] for cell in first}
    own = ready.pop(pid, 0)
    return any(other > own for other in ready.values())


def _masters(block: Block) -> list[int]:
    masters: list[int] = block.cells[layout.H_MASTERS : layout.H_MASTERS + layout.MASTERS].tolist()
    return masters


def _beat(block: Block, index: int, pid: int) -> Beat:
    cell = layout.H_BEATS + index * layout.BEAT_CELLS
    owner, turned_ns, ready_ns = block.cells[cell : cell + layout.BEAT_CELLS].tolist()
    return Beat(pid, turned_ns, ready_ns, is_ending=not turned_ns) if owner == pid else Beat(pid)


def leads(block: Block, pid: int) -> bool:
    """Whether this master goes on where others end: it is alone, or was ready later than any other that lives."""
    records = {beat.pid: beat for beat in beats(block) if not beat.is_ending}
    own = records.pop(pid, Beat(pid))
    return all(own.ready_ns > other.ready_ns for other in records.values())
