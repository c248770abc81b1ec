"""What this process counts of the app's own metrics: its families, each with its places, and where these count.

Before it has a slot, a process counts in memory of its own. `attach` gives it one: each family is declared in the
block, each place gets its series there, and takes along what it has counted. In a forked child everything begins
anew; when it first counts, it may take a slot of its own (`OwnStore.first`).

A place that has no cells in the block yet, and may get some, has `before_count` set: so each count is a look for them,
at most one in RETRY s, and what was counted until then comes along. It needs no thread, and waits for nothing for long.
No thread counts while it holds `OwnStore.lock`: the look for a slot may take locks of the code that hands out slots.
"""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hvd.core import layout
from hvd.core.limits import RETRY
from hvd.core.own.definition import (
    COUNTER,
    DISAGREES,
    GAUGE,
    HISTOGRAM,
    INFO,
    OVERFLOWED,
    STATESET,
    SUMMARY,
    Definition,
)
from hvd.core.own.family import ProcessFamily as ProcessFamily
from hvd.core.own.hot import CounterPlace, GaugePlace, HistogramPlace, Place, SummaryPlace, Target
from hvd.errors import BlockError, BlockForeign, BlockLocked

if TYPE_CHECKING:
    from hvd.core.block import Block
    from hvd.core.own.catalogue import OwnCatalogue, OwnFamily

PLACES: dict[str, type[Place]] = {
    COUNTER: CounterPlace,
    SUMMARY: SummaryPlace,
    HISTOGRAM: HistogramPlace,
    GAUGE: GaugePlace,
    INFO: GaugePlace,
    STATESET: GaugePlace,
}

PRIVATE_SERIES = 10 * layout.PLAIN_SERIES
"""Of a family, where the process has no slot: the rest share one."""


class OwnStore:
    """A process's families. Thread-safe; `lock` is the process's own. A forked child calls `after_fork`."""

    def __init__(self) -> None:
        self._families: weakref.WeakValueDictionary[int, ProcessFamily] = weakref.WeakValueDictionary()
        self._complained: set[str] = set()
        self.first: Callable[[], bool] = lambda: False
        """Called where the process has no slot, when it first counts, and first after a fork: it may take one.
        -> whether that may go better later. The store's lock is not held then.
        """
        self.attached: Callable[[], None] = lambda: None
        """Called when the process has got a slot."""
        self._forget()

    def _forget(self) -> None:
        self.lock = threading.RLock()
        self._looking = threading.Lock()
        self.block: Block | None = None
        self._file = (0, 0)
        self.slot = -1
        self.catalogue: OwnCatalogue | None = None
        self._target: Target | None = None
        self._look_at: float | None = 0.0  # monotonic; None: never again

    def after_fork(self) -> None:
        """In a forked child: counts and slot are the parent's."""
        self._forget()
        for family in self.families():
            family.in_block, family.is_late = None, False
            for _, place in family.all():
                place.forget()
                place.before_count = self.look
            family.overflowed.clear()

    def look(self) -> None:
        """Before something is counted by a place that has no cells in the block yet: it may get some now."""
        if self._look_at is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + RETRY
        if self.block is None:
            if self._looking.acquire(blocking=False):  # else another thread looks, and two would take two slots
                try:
                    self._look_for_slot()
                finally:
                    self._looking.release()
            return
        with self.lock:
            for family in self.families():
                if family.is_late:
                    self._declare(family)
                for labels, place in family.all():
                    if place.before_count is not None:
                        self.settle(family, labels, place)

    def _look_for_slot(self) -> None:
        """Called without the lock, as the code that hands out slots has locks of its own."""
        may_come = self.block is not None or self._ask_first()
        with self.lock:
            if self.block is None and not may_come:
                self._stop_looking()

    def _ask_first(self) -> bool:
        """Call `first`; a failure is logged, and does not reach the caller that counts."""
        try:
            return self.first()
        except Exception as error:
            if repr(error) not in self._complained:
                self._complained.add(repr(error))
                _log().exception("hvd: this process has got no slot, and counts by itself")
            return True

    def _stop_looking(self) -> None:
        self._look_at = None
        for family in self.families():
            for _, place in family.all():
                place.before_count = None

    def families(self) -> list[ProcessFamily]:
        """In order of their declaration."""
        return list(self._families.values())

    def declare(self, definition: Definition, make: Callable[[Definition], Place] | None = None) -> ProcessFamily:
        """A family of this process; `make` makes its places, else they are hvd's. Lasts as long as it is referred to.

        Whether a process may have two families of one name is for the caller to decide. Where the block has one of that
        name that disagrees, the log says so once; figures.py says which of them is shown.
        """
        with self.lock:
            family = ProcessFamily(self, definition, make or PLACES[definition.kind])
            self._families[id(family)] = family
            self._declare(family)
        return family

    def attach(self, block: "Block", slot: int) -> None:
        """Count in this slot from now on. Nothing happens where the process counts in that block already."""
        from hvd.core.own.catalogue import OwnCatalogue  # not at the top: an app imports instruments in little time

        shape = block.layout
        if not shape.own_series:
            return
        with self.lock:
            if self.is_in(block):
                return
            tenancy = block.cells[shape.slot_cell(slot) + layout.S_TAKEN_NS]
            self.block, self.slot, self.catalogue = block, slot, OwnCatalogue(block)
            self._file = _identity(block)
            self._target = Target(block.raw, shape.own_row_cell(slot), shape.own_row_cells, tenancy)
            self._look_at = 0.0
            for family in self.families():
                family.in_block = None
                self._declare(family)
        self.attached()

    def is_in(self, block: "Block") -> bool:
        """Whether the process counts in the segment that this is, maybe by another object."""
        return self.block is not None and (self.block is block or self._file == _identity(block))

    def _declare(self, family: ProcessFamily) -> None:
        """Have the family in the block, and its places count there."""
        if self.catalogue is None or self._target is None:
            return
        family.is_late = False
        try:
            family.in_block = self.catalogue.declare(family.definition)
        except BlockError as error:
            family.is_late = not isinstance(error, BlockForeign)
            if not isinstance(error, BlockLocked):
                self._complain(f"{family.definition.name} counts nowhere: {error}")
            for _, place in family.all():
                place.before_count = self.look if family.is_late else None
            return
        self._store_presence(family)
        self._complain_of_rivals(family, self.catalogue.rivals(family.in_block))
        self._move_all(family)

    def set_present(self, family: ProcessFamily, *, is_present: bool) -> None:
        """Whether the process has the metric still: where none has it, another definition of its name is shown."""
        with self.lock:
            family.is_present = is_present
            self._store_presence(family)

    def _store_presence(self, family: ProcessFamily) -> None:
        if self._target and family.in_block:
            self._target.cells[family.in_block.present] = self._target.tenancy if family.is_present else 0

    def _move_all(self, family: ProcessFamily) -> None:
        for labels, place in family.all():
            if labels in family.overflowed:
                place.forget()  # the overflow series' place has counted what it did
            self.settle(family, labels, place)

    def settle(self, family: ProcessFamily, labels: tuple[str, ...] | None, place: Place) -> None:
        """Have a place that somebody has count in its series of the block; without one, in the overflow series."""
        family.overflowed.discard(labels)
        if self.locate(family, labels, place) or labels is None:
            return
        family.rest()
        if self.catalogue is not None and self._target is not None and family.in_block is not None:
            series = self.catalogue.rest(family.in_block)
            if series is not None:
                family.overflowed.add(labels)
                place.move(self._target, series.offset)

    def _complain_of_rivals(self, family: ProcessFamily, rivals: "list[OwnFamily]") -> None:
        for rival in rivals[:1]:
            self._complain(
                f"{family.definition.name} is declared in two ways: "
                f"{rival.definition.differences(family.definition)}; "
                "while processes of the first declaration live, only theirs is shown",
                family,
                DISAGREES,
            )

    def place_of(self, family: ProcessFamily, labels: tuple[str, ...], place: Place) -> Place:
        """The place for a new series, kept with the family; that of the overflow series where there is no room."""
        if not self.locate(family, labels, place):
            name, trouble = family.definition.name, self.catalogue.trouble if self.catalogue else ""
            self._complain(
                f"{name} has too many series: the rest share one; set own_series higher"
                if self._is_full(family) or not trouble
                else f"{name} can't have another series, so some share one: {trouble}",
                family,
                OVERFLOWED,
            )
            return family.rest()
        family.places[labels] = place
        return place

    def locate(self, family: ProcessFamily, labels: tuple[str, ...] | None, place: Place) -> bool:
        """Have a place count in its series of the block, where there is one. False: it is the overflow series."""
        place.before_count = None
        if self.catalogue is None or self._target is None or family.in_block is None:
            if family.is_late or (self.block is None and self._look_at is not None):
                place.before_count = self.look
            return self.block is not None or len(family.places) < PRIVATE_SERIES
        try:
            series = (
                self.catalogue.rest(family.in_block)
                if labels is None
                else self.catalogue.get_or_add(family.in_block, labels)
            )
            if series is None:  # without labels, so it has no overflow series
                self._complain(f"{family.definition.name} counts nowhere: {self.catalogue.trouble}")
                place.before_count = self.look
            elif series.is_overflow and labels is not None:
                return False
            else:
                place.move(self._target, series.offset)
        except BlockLocked:
            place.before_count = self.look
        except BlockError as error:
            self._complain(f"{family.definition.name} counts nowhere: {error}")
        return True

    def _is_full(self, family: ProcessFamily) -> bool:
        if self.catalogue is None:
            return len(family.places) >= PRIVATE_SERIES
        return family.in_block is not None and self.catalogue.is_full(family.in_block)

    def remove(self, family: ProcessFamily, wanted: list[tuple[str, ...]] | None) -> None:
        """Show these series of the family no more; None: all."""
        if self.catalogue is not None and family.in_block is not None and self.block is not None:
            try:
                self.catalogue.remove(family.in_block, wanted)
            except BlockError as error:
                self._complain(f"{family.definition.name}: its series stay: {error}")

    def known_labels(self, family: ProcessFamily) -> list[tuple[str, ...]]:
        """The label values of the family's series in the block."""
        if self.catalogue is not None and family.in_block is not None:
            with contextlib.suppress(BlockError):
                return [series.labels for series in self.catalogue.of(family.in_block) if not series.is_overflow]
        return []

    def _complain(self, text: str, family: ProcessFamily | None = None, bit: int = 0) -> None:
        """Once for each text; what has a bit of the family's, once for all processes."""
        if text in self._complained:
            return
        self._complained.add(text)
        own = family.in_block if family else None
        if bit and self.catalogue and own and not self.catalogue.is_first_to_log(own, bit):
            return
        _log().error("hvd: the metric %s", text)


def _log() -> Any:
    import logging  # not at the top, for the same reason

    return logging.getLogger("hvd")


def _identity(block: "Block") -> tuple[int, int]:
    """Of the segment; it is no other's as long as a process has it mapped."""
    return block.file.st_dev, block.file.st_ino


own_store = OwnStore()
"""That of this process."""

os.register_at_fork(after_in_child=own_store.after_fork)
