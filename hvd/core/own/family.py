"""A metric of the app as one process has it: its places, by label values."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hvd.core.own.definition import Definition
from hvd.core.own.hot import Place

if TYPE_CHECKING:
    from hvd.core.own.catalogue import OwnFamily
    from hvd.core.own.store import OwnStore


class ProcessFamily:
    """A family as this process has it. Thread-safe."""

    def __init__(self, store: "OwnStore", definition: Definition, make: Callable[[Definition], Place]) -> None:
        self.definition = definition
        self.in_block: OwnFamily | None = None
        self.is_present = True
        """Whether the process has the metric still."""
        self.is_late = False
        """Whether it is not in the block since that was locked, or full."""
        self.overflowed: set[tuple[str, ...]] = set()
        """Those of its places that count in the cells of the overflow series."""
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

    def known(self) -> list[tuple[str, ...]]:
        """The label values of all its series, those of other processes too."""
        with self._store.lock:
            labels = dict.fromkeys(self.places)
            labels.update(dict.fromkeys(self._store.known_labels(self)))
            return list(labels)

    def reset(self, labels: tuple[str, ...]) -> None:
        """Have the series begin at 0 again, whichever process counted it."""
        with self._store.lock:
            place = self.places.get(labels)
            if place:
                self._store.remove(self, [labels])
                place.forget()
                self._store.settle(self, labels, place)

    def remove(self, *wanted: tuple[str, ...]) -> None:
        """Hide the series of these label values, whichever process counted them, until one counts them again: then from
        0 on.
        """
        with self._store.lock:
            if wanted:
                self._store.remove(self, list(wanted))
            for labels in wanted:
                self._let_go(labels)

    def clear(self) -> None:
        """Hide all series, as `remove` does."""
        with self._store.lock:
            self._store.remove(self, None)
            for labels in list(self.places):
                self._let_go(labels)

    def _let_go(self, labels: tuple[str, ...]) -> None:
        """Detach a removed place, which a caller may still hold: it counts in none of this process's cells."""
        place = self.places.pop(labels, None)
        if place is not None:
            place.forget()
            place.before_count = partial(self._take_back, labels, place)

    def _take_back(self, labels: tuple[str, ...], place: Place) -> None:
        """Have a removed place count again: in its series, or nowhere where another place has that by now."""
        with self._store.lock:
            place.before_count = None
            if self.places.setdefault(labels, place) is place:
                self._store.settle(self, labels, place)
