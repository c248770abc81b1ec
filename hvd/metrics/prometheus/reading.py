"""The figures of all processes, as this one reads them for a registry's `collect`: once for all of its metrics."""

import contextlib
import threading
from collections.abc import Iterator, Mapping

from hvd.core.own.definition import Definition
from hvd.core.own.figures import FamilyFigures, OwnFigures
from hvd.metrics.instruments.reading import read_figures


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
            self._has_read, self._figures = True, read_figures()
            if self._figures:
                self._by_name = {(one.definition.name, one.definition.registry): one for one in self._figures.families}
        return self._figures

    def of(self, definition: Definition) -> FamilyFigures | None:
        """A family's; without samples where the block shows another definition of the name. None as `figures`."""
        if self.figures is None:
            return None
        family = self._by_name.get((definition.name, definition.registry))
        if family is None or not family.definition.agrees(definition):
            return FamilyFigures(definition, definition.labels, ())
        return family


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
