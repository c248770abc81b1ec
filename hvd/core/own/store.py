"""What this process counts of the app's own metrics: its families, each with its places, and where these count.

Before it has a slot, a process counts in memory of its own. `attach` gives it one: each family is declared in the
block, each place gets its series there, and takes along what it has counted. In a forked child everything begins
anew, and waits for a slot of the child's own.
"""

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.catalogue import DISAGREES, OVERFLOWED, OwnCatalogue, OwnFamily
from hvd.core.own.definition import COUNTER, GAUGE, HISTOGRAM, INFO, STATESET, SUMMARY, Definition
from hvd.core.own.hot import CounterPlace, GaugePlace, HistogramPlace, Place, SummaryPlace, Target
from hvd.errors import BlockError

PLACES: dict[str, type[Place]] = {
    COUNTER: CounterPlace,
    SUMMARY: SummaryPlace,
    HISTOGRAM: HistogramPlace,
    GAUGE: GaugePlace,
    INFO: GaugePlace,
    STATESET: GaugePlace,
}

log = logging.getLogger("hvd")


class ProcessFamily:
    """A family as this process has it. Thread-safe."""

    def __init__(self, store: "OwnStore", definition: Definition, make: Callable[[Definition], Place]) -> None:
        self.definition = definition
        self.in_block: OwnFamily | None = None
        self.places: dict[tuple[str, ...], Place] = {}
        self._store, self._make = store, make
        self._rest: Place | None = None

    def place(self, labels: tuple[str, ...] = ()) -> Place:
        """Where this process counts the series of these label values; that of the overflow series where there may be
        none of its own: then it is not kept here.
        """
        with self._store.lock:
            place = self.places.get(labels)
            if place is None:
                place = self._store.place_of(self, labels, self._make(self.definition))
            return place

    def rest(self) -> Place:
        """The place of the overflow series."""
        if self._rest is None:
            self._rest = self._make(self.definition)
            self._store.locate(self, None, self._rest)
        return self._rest

    def all(self) -> list[tuple[tuple[str, ...] | None, Place]]:
        """All its places, by label values; None: of the overflow series."""
        rest = [(None, self._rest)] if self._rest else []
        return [*self.places.items(), *rest]

    def remove(self, labels: tuple[str, ...]) -> None:
        """The series is shown no more, whichever process counted it, until one counts it again: then from 0 on."""
        with self._store.lock:
            self.places.pop(labels, None)
            self._store.remove(self, [labels])

    def clear(self) -> None:
        """The same of all series."""
        with self._store.lock:
            self.places.clear()
            self._store.remove(self, None)


class OwnStore:
    """A process's families. Thread-safe; `lock` is the process's own. A forked child calls `after_fork`."""

    def __init__(self) -> None:
        self._families: weakref.WeakValueDictionary[int, ProcessFamily] = weakref.WeakValueDictionary()
        self._complained: set[str] = set()
        self.first: Callable[[], None] = lambda: None
        """Called when the process makes its first family: where nobody gives it a slot, it may look for one."""
        self._forget()

    def _forget(self) -> None:
        self.lock = threading.RLock()
        self.block: Block | None = None
        self.slot = -1
        self.catalogue: OwnCatalogue | None = None
        self._target: Target | None = None

    def after_fork(self) -> None:
        """In a forked child: counts and slot are the parent's."""
        self._forget()
        for family in self.families():
            family.in_block = None
            for _, place in family.all():
                place.forget()

    def families(self) -> list[ProcessFamily]:
        """In order of their declaration."""
        return list(self._families.values())

    def declare(self, definition: Definition, make: Callable[[Definition], Place] | None = None) -> ProcessFamily:
        """A family of this process; `make` makes its places, else they are hvd's. Lasts as long as it is referred to.

        Whether the process may have two of one name is decided by who declares them. Where the block has one of that
        name that disagrees, the log says so once; figures.py says which of them is shown.
        """
        with self.lock:
            family = ProcessFamily(self, definition, make or PLACES[definition.kind])
            is_first = not self._families
            self._families[id(family)] = family
            if is_first:
                self.first()
            self._declare(family)
        return family

    def attach(self, block: Block, slot: int) -> None:
        """Count in this slot from now on. Raises BlockError where the block has no room for own metrics at all."""
        shape = block.layout
        if not shape.own_series:
            return
        with self.lock:
            tenancy = block.cells[shape.slot_cell(slot) + layout.S_TAKEN_NS]
            self.block, self.slot, self.catalogue = block, slot, OwnCatalogue(block)
            self._target = Target(block.raw, shape.own_row_cell(slot), shape.own_row_cells, tenancy)
            for family in self.families():
                family.in_block = None
                self._declare(family)

    def _declare(self, family: ProcessFamily) -> None:
        """Have the family in the block, and its places count there."""
        if self.catalogue is None or self._target is None:
            return
        with self._quiet(family):
            family.in_block = self.catalogue.declare(family.definition)
            if family.in_block is None:
                self._complain(
                    family, f"there is no room for {family.definition.name}: it counts nowhere; set own_series higher"
                )
                return
            self._target.cells[family.in_block.present] = self._target.tenancy
            for rival in self.catalogue.rivals(family.in_block)[:1]:
                self._complain(
                    family,
                    f"{family.definition.name} is declared in two ways: "
                    f"{rival.definition.differences(family.definition)}; "
                    "while processes of the first declaration live, only theirs is shown",
                    DISAGREES,
                )
            for labels, place in family.all():
                self.locate(family, labels, place)

    def place_of(self, family: ProcessFamily, labels: tuple[str, ...], place: Place) -> Place:
        """The place for a new series, kept with the family; that of the overflow series where there is no room."""
        if not self.locate(family, labels, place):
            self._complain(
                family,
                f"{family.definition.name} has too many series: the rest share one; set own_series higher",
                OVERFLOWED,
            )
            return family.rest()
        family.places[labels] = place
        return place

    def locate(self, family: ProcessFamily, labels: tuple[str, ...] | None, place: Place) -> bool:
        """Have a place count in its series of the block, where there is one. False: it is the overflow series."""
        if self.catalogue is None or self._target is None or family.in_block is None:
            return self.block is not None or len(family.places) < layout.PLAIN_SERIES * 10
        with self._quiet(family):
            series = (
                self.catalogue.rest(family.in_block)
                if labels is None
                else self.catalogue.get_or_add(family.in_block, labels)
            )
            if series is None:
                return labels is None
            if series.is_overflow and labels is not None:
                return False
            place.move(self._target, series.offset)
        return True

    def remove(self, family: ProcessFamily, wanted: list[tuple[str, ...]] | None) -> None:
        """Show these series of the family no more; None: all."""
        if self.catalogue is not None and family.in_block is not None and self.block is not None:
            with self._quiet(family):
                self.catalogue.remove(family.in_block, wanted)

    def _complain(self, family: ProcessFamily, text: str, bit: int = 0) -> None:
        """Once for each family and text; what has a bit, once for all processes."""
        if text in self._complained:
            return
        self._complained.add(text)
        if bit and self.catalogue and family.in_block and not self.catalogue.is_first_to_log(family.in_block, bit):
            return
        log.error("hvd: the metric %s", text)

    @contextlib.contextmanager
    def _quiet(self, family: ProcessFamily) -> Iterator[None]:
        """To count never fails: what the block can't do is said, once."""
        try:
            yield
        except BlockError as error:
            self._complain(family, f"{family.definition.name} counts nowhere: {error}")


own_store = OwnStore()
"""That of this process."""

os.register_at_fork(after_in_child=own_store.after_fork)
