"""The families of prometheus_client's metrics: what each is for the block, and whether it counts there.

A metric counts for itself until it is registered: so one that a registry refuses is never declared. A metric of no
registry is its process's own; so is one of a registry that isn't the default one and is made while requests are served,
as code does that pushes to a gateway: each time anew, of the same name.

Read in prometheus_client 0.26.0, metrics.py: `_type`, `_name`, `_documentation`, `_unit`, `_labelnames`,
`_labelvalues`, a gauge's `_multiprocess_mode`, a histogram's `_upper_bounds`, an enum's `_states`.
"""

import contextlib
import os
import weakref
from collections.abc import Callable
from typing import Any

from prometheus_client.registry import REGISTRY

import hvd.metrics.parent  # noqa: F401  # has an executed child of a worker look for the worker's block
from hvd.core.own.definition import GAUGE, HISTOGRAM, INFO, STATESET, Definition
from hvd.core.own.hot import Place
from hvd.core.own.notes import Exemplar
from hvd.core.own.store import PLACES, ProcessFamily, own_store
from hvd.errors import BlockError
from hvd.metrics.instruments import exemplars
from hvd.metrics.instruments.keys import Keys
from hvd.metrics.instruments.states import TEXT
from hvd.metrics.prometheus.values import Series

FAMILY = "_hvd_family"
"""The attribute of a metric that has its family."""


class Registries(Keys):
    """Which registries count in the block, and under which key. Thread-safe."""

    def __init__(self) -> None:
        super().__init__("c")
        self.default_gauge_mode = "all"
        """How gauges combine that say no multiprocess_mode."""
        self._collected: weakref.WeakSet[Any] = weakref.WeakSet()

    def collects_all(self, registry: Any) -> bool:
        """Whether a MultiProcessCollector of hvd's is registered there."""
        return registry in self._collected

    def note_collector(self, registry: Any) -> None:
        """Note that a MultiProcessCollector of hvd's is registered there, which makes it like the default one."""
        self._collected.add(registry)

    def key_of(self, registry: Any) -> str | None:
        """As Definition.registry has it; None where its metrics are this process's own."""
        return "" if registry is REGISTRY or registry in self._collected else super().key_of(registry)


registries = Registries()
os.register_at_fork(after_in_child=registries.after_fork)


def definition_of(metric: Any) -> Definition:
    """That of a metric, or of one of its children."""
    kind, labels = metric._type, tuple(metric._labelnames)
    return Definition(
        metric._name,
        kind,
        metric._documentation,
        metric._unit,
        (*labels, TEXT) if kind == INFO else labels,
        buckets=tuple(metric._upper_bounds[:-1]) if kind == HISTOGRAM else (),
        mode=_mode(metric, kind),
        states=tuple(map(str, metric._states)) if kind == STATESET else (),
    )


def _mode(metric: Any, kind: str) -> str:
    if kind == GAUGE:
        mode = str(metric._multiprocess_mode)
        return registries.default_gauge_mode if mode == "all" else mode
    return "mostrecent" if kind in (INFO, STATESET) else ""


class Family:
    """The family of a metric in this process. Thread-safe.

    Until `adopt` its places are in memory of the process; then the store has them, and the block, where there is one.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.in_store: ProcessFamily | None = None
        self._series: dict[tuple[str, ...], Series] = {}
        self._handed: Place | None = None  # which the store is to take as the next place

    def series(self, labels: tuple[str, ...]) -> Series:
        """The series of these label values."""
        with own_store.lock:
            series = self._series.get(labels)
            if series is None:
                series = self._series[labels] = Series(self, labels, self._place(labels, None))
            return series

    def _place(self, labels: tuple[str, ...], place: Place | None) -> Place:
        self._handed = place
        return self.in_store.place(labels) if self.in_store else self._make(self.definition)

    def _make(self, definition: Definition) -> Place:
        place, self._handed = self._handed, None
        return place or PLACES[definition.kind](definition)

    def adopt(self, key: str) -> None:
        """Count in the block from now on, as a metric of the registry of that key; what was counted comes along."""
        with own_store.lock:
            if self.in_store:
                own_store.set_present(self.in_store, is_present=True)
                return
            self.definition = self.definition._replace(registry=key)
            self.in_store = own_store.declare(self.definition, self._make)
            for labels, series in self._series.items():
                series.move(self._place(labels, series.place))

    def reset(self, series: Series) -> None:
        """Have the series count from 0 on, whichever process had counted."""
        with own_store.lock:
            if self.in_store:
                self.in_store.remove(series.labels)
            series.move(self._place(series.labels, None))

    def remove(self, wanted: Callable[[tuple[str, ...]], bool]) -> None:
        """Hide the series with `wanted` label values, whichever process counted them."""
        with own_store.lock:
            matching = list(filter(wanted, self._known()))
            for labels in matching:
                self._series.pop(labels, None)
            if self.in_store and matching:
                self.in_store.remove(*matching)

    def _known(self) -> list[tuple[str, ...]]:
        """The label values of all series, those of other processes too."""
        return list(dict.fromkeys((*self._series, *(self.in_store.known() if self.in_store else ()))))

    def clear(self) -> None:
        """Hide all series, whichever process counted them."""
        with own_store.lock:
            self._series.clear()
            if self.in_store:
                self.in_store.clear()

    def keep(self, labels: tuple[str, ...], index: int, exemplar: Exemplar) -> None:
        """Keep an exemplar of a cell in the block. Where the catalogue is damaged, it is lost."""
        with own_store.lock, contextlib.suppress(BlockError):
            catalogue, in_block = own_store.catalogue, self.in_store and self.in_store.in_block
            if catalogue and in_block and (series := catalogue.find(in_block, labels)):
                exemplars.write(series.offset + index, *exemplar)


def family_of(metric: Any) -> Family:
    """That of a metric with labels, or of one without; made where it has none yet."""
    with own_store.lock:
        family: Family | None = getattr(metric, FAMILY, None)
        if family is None:
            family = Family(definition_of(metric))
            setattr(metric, FAMILY, family)
            if registries.are_all_shown:  # those of none too
                family.adopt("")
        return family


def withdraw(metric: Any) -> None:
    """After a metric was unregistered: another one of its name may be shown, once no process has it any more."""
    family: Family | None = getattr(metric, FAMILY, None)
    if family and family.in_store:
        own_store.set_present(family.in_store, is_present=False)


def adopt(metric: Any, registry: Any) -> None:
    """After a metric was registered: from now on it counts in the block, if its registry's metrics do."""
    family, key = family_of(metric), registries.key_of(registry)
    if key is not None:
        family.adopt(key)
