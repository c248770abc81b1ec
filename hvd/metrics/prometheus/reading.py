"""The figures of all processes, as this one reads them for a registry's `collect`: once for all of its metrics."""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping

from hvd.core.block import Block
from hvd.core.own.definition import Definition
from hvd.core.own.figures import FamilyFigures, OwnFigures, OwnReader
from hvd.core.own.store import own_store
from hvd.errors import BlockError

log = logging.getLogger("hvd")


class _Reader:
    """The reader of the block in which this process counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: tuple[Block, OwnReader] | None = None

    def read(self) -> OwnFigures | None:
        block = own_store.block
        if block is None:
            return None
        with self._lock:
            if self._reader is None or self._reader[0] is not block:
                self._reader = block, OwnReader(block)
            reader = self._reader[1]
        try:
            return reader.read()
        except BlockError as error:
            log.warning("hvd: only what this process has counted can be read: %s", error)
            return None


_reader = _Reader()


def _forget() -> None:
    """In a forked child: another thread may have been reading."""
    global _reader
    _reader = _Reader()


os.register_at_fork(after_in_child=_forget)


class Reading:
    """The figures at one moment, which is when they are first asked for; of the collection of one registry, which
    `is_covered` where a MultiProcessCollector in it gives what the block shows.
    """

    def __init__(self, *, is_covered: bool = False) -> None:
        self.is_covered = is_covered
        self._figures: OwnFigures | None = None
        self._by_name: Mapping[tuple[str, str], FamilyFigures] = {}
        self._has_read = False

    @property
    def figures(self) -> OwnFigures | None:
        """Those of all families; None where only this process counts, or nobody can read."""
        if not self._has_read:
            self._has_read, self._figures = True, _reader.read()
            if self._figures:
                self._by_name = {(one.definition.name, one.definition.registry): one for one in self._figures.families}
        return self._figures

    def of(self, definition: Definition) -> FamilyFigures | None:
        """A family's; without samples where the block shows another definition of the name. None as `figures`."""
        if self.figures is None:
            return None
        found = self._by_name.get((definition.name, definition.registry))
        if found is None or not found.definition.agrees(definition):
            return FamilyFigures(definition, definition.labels, ())
        return found


class _Current(threading.local):
    reading: Reading | None = None


_current = _Current()


def reading_now() -> Reading:
    """That of the collection which this thread is at; else a new one."""
    return _current.reading or Reading()


@contextlib.contextmanager
def during(reading: Reading) -> Iterator[None]:
    """This thread is at the collection of which this is the reading."""
    before, _current.reading = _current.reading, reading
    try:
        yield
    finally:
        _current.reading = before
