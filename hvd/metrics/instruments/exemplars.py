"""Exemplars of this process's instruments: they are notes in the block that the process counts in."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hvd.core.own.samples import Exemplar
from hvd.core.own.store import own_store

if TYPE_CHECKING:
    from hvd.core.block import Block
    from hvd.core.own.notes import Notes


class _Writer:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._block: Block | None = None
        self._notes: Notes | None = None

    def write(self, cell: int, exemplar: Exemplar) -> None:
        with self._lock:
            block = own_store.block
            if block is None:
                return
            if self._notes is None or self._block is not block:
                from hvd.core.own.notes import Notes  # not at the top: an app imports instruments in little time

                self._block, self._notes = block, Notes(block)
            self._notes.write(cell, exemplar)


_writer = _Writer()


def write(cell: int, labels: Mapping[str, str], amount: float, when: float) -> None:
    """Note an example of what a cell of a row counts; nothing where the process counts in no block. Thread-safe."""
    _writer.write(cell, Exemplar(labels, amount, when))


def _forget() -> None:
    """In a forked child: another thread may have been writing."""
    global _writer
    _writer = _Writer()


os.register_at_fork(after_in_child=_forget)
