"""The figures of this process's instruments: those of all processes of the daemon, or, without one, its own."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hvd.core.own.samples import FamilyFigures
from hvd.core.own.store import ProcessFamily, own_store
from hvd.errors import BlockError
from hvd.metrics.instruments import functions

if TYPE_CHECKING:
    from hvd.core.block import Block
    from hvd.core.own.figures import OwnFigures, OwnReader

Key = tuple[str, str]  # name of a family, and key of its registry


class _Readers:
    """The reader of the block in which the process counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._block: Block | None = None
        self._reader: OwnReader | None = None

    def of(self, block: "Block") -> "OwnReader":
        with self._lock:
            from hvd.core.own.figures import OwnReader  # not at the top: an app imports instruments in little time

            if self._reader is None or self._block is not block:
                self._block, self._reader = block, OwnReader(block)
            return self._reader


_readers = _Readers()


def _forget() -> None:
    """In a forked child: another thread may have been reading."""
    global _readers
    _readers = _Readers()


os.register_at_fork(after_in_child=_forget)


def read_figures() -> "OwnFigures | None":
    """The figures of all processes now, after the functions of this one's gauges were called; None where only this
    process counts, or nobody can read. Thread-safe.
    """
    functions.evaluate()
    block = own_store.block
    if block is None:
        return None
    try:
        return _readers.of(block).read()
    except BlockError as error:
        import logging  # for the same reason

        logging.getLogger("hvd").warning("hvd: only what this process counted itself can be read: %s", error)
        return None


class Reading:
    """The figures of all families at one moment, which is when they are first asked for. For one thread."""

    def __init__(self) -> None:
        self._families: Mapping[Key, FamilyFigures] | None = None
        self._has_read = False

    def of(self, family: ProcessFamily) -> FamilyFigures | None:
        """A family's as all processes counted; None where only this process counts it, or nobody can read it.

        Of two definitions of one name the block shows one; the other has no samples.
        """
        if not self._has_read:
            self._has_read = True
            self._families = self._read()
        if self._families is None or family.in_block is None:
            return None
        definition = family.definition
        figures = self._families.get((definition.name, definition.registry))
        if figures is None or not figures.definition.agrees(definition):
            return FamilyFigures(definition, definition.labels, ())
        return figures

    def _read(self) -> Mapping[Key, FamilyFigures] | None:
        figures = read_figures()
        if figures is None:
            return None
        return {(family.definition.name, family.definition.registry): family for family in figures.families}
