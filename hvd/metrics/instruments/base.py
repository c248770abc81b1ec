"""What all instruments share: declaration, labels, removal, and how they are read.

An instrument with labels is a parent: it counts nothing itself, `labels` gives the child of some label values. A child,
and an instrument without labels, is a place (hvd/core/own/places.py), whose methods count: those are not wrapped here.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import hvd.metrics.parent  # noqa: F401  # has an executed child of a worker look for the worker's block
from hvd.core.limits import OVERFLOW
from hvd.core.own.definition import Definition
from hvd.core.own.hot import Place, Target
from hvd.core.own.store import OwnStore, ProcessFamily, own_store
from hvd.metrics.instruments import names
from hvd.metrics.instruments.keys import keys
from hvd.metrics.instruments.metric import make_metric
from hvd.metrics.instruments.registry import REGISTRY

if TYPE_CHECKING:
    from hvd.core.own.samples import Amounts, Sample
    from hvd.metrics.instruments.reading import Reading

    Value = float | Amounts | Mapping[str, str]
    Mixed = Place
else:
    Mixed = object  # a concrete instrument has its kind of place as its other base

private_store = OwnStore()
"""The metrics that only this process shows."""

os.register_at_fork(after_in_child=private_store.after_fork)


class Instrument(Mixed):
    """A metric of the app, or one of its children. Thread-safe; a forked child begins at 0.

    `_name`, `_labelnames`, `_labelvalues`, `_documentation`, `_unit` and `_type` are read by libraries on top of
    prometheus_client, and so have its names.
    """

    _type: ClassVar[str] = ""
    _form: ClassVar[Mapping[str, Any]] = {}
    """What else is in the Definition."""
    _reserved_labelnames: ClassVar[tuple[str, ...]] = ()
    _family: ProcessFamily | None = None
    _labelvalues: tuple[str, ...] = ()
    _at = -1  # the cell of a row where the place counts; -1: in memory of the process
    _exemplars: "dict[int, tuple[Mapping[str, str], float, float]] | None" = None
    """By cell: what an Exemplar has."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: Any = REGISTRY,
    ) -> None:
        """Raises ValueError where a name can't be used; DuplicateTimeseries where the registry has it."""
        self._declare(registry, documentation, labelnames, (name, namespace, subsystem, unit), **self._form)

    def _declare(
        self,
        registry: Any,
        documentation: str,
        labelnames: Iterable[str],
        name: tuple[str, str, str, str],
        **form: Any,
    ) -> None:
        """Make this a metric: `name` has its parts as names.full_name takes them, `form` what else is in a Definition.

        Raises ValueError, of which DuplicateTimeseries is one; then nothing is declared.
        """
        self._name = names.full_name(self._type, *name)
        self._labelnames = names.label_names(labelnames, self._reserved_labelnames)
        self._documentation, self._unit = documentation, name[-1]
        key = keys.key_of(registry)
        definition = Definition(
            self._name, self._type, documentation, self._unit, self._labelnames, registry=key or "", **form
        )
        self._begin(definition, is_ready=not self._labelnames)
        if registry:
            registry.register(self)
        self._counts_in = private_store if key is None else own_store
        self._family = self._counts_in.declare(*self._family_of(definition))
        if not self._labelnames:
            self._start_series()

    def _family_of(self, definition: Definition) -> tuple[Definition, Callable[[Definition], Place] | None]:
        """-> the definition of its cells, and what makes its places."""
        return definition, self._make

    def _begin(self, definition: Definition, *, is_ready: bool) -> None:
        self._definition, self._created = definition, time.time()
        super().__init__(definition, is_ready=is_ready)

    def _start_series(self) -> None:
        """Have cells for an instrument without labels, or for a child."""
        assert self._family
        self._family.place(self._labelvalues)

    def _make(self, definition: Definition) -> Place:
        """A place of the family: the instrument itself, or a new child."""
        return self if not self._labelnames else self._make_child()

    def _make_child(self) -> Self:
        child = type(self).__new__(type(self))
        for name in ("_name", "_labelnames", "_documentation", "_unit", "_family"):
            setattr(child, name, getattr(self, name))
        child._begin(self._definition, is_ready=True)
        return child

    def find_child(self, *values: object, **named: object) -> Any:
        """The child of these label values. Raises ValueError where they are not as many as the names, or others."""
        texts = self._texts(values, named) if named else self._texts_by_position(values)
        child: Any = self.children.get(texts)
        if child is None:
            with self._counts_in.lock:
                child = self._child_of(texts)
        return child

    def _child_of(self, texts: tuple[str, ...]) -> Any:
        assert self._family
        child: Any = self._family.place(texts)
        current: Any = self._family.places.get(texts)
        if child is current:
            child._labelvalues = texts
            self.children[texts] = child
        else:  # more series than there may be
            child._labelvalues = (OVERFLOW,) * len(texts)
        return child

    def _texts_by_position(self, values: tuple[object, ...]) -> tuple[str, ...]:
        if len(values) != len(self._labelnames) or self._labelvalues or not values:
            return self._texts(values, {})
        return tuple([value if type(value) is str else str(value) for value in values])

    def _texts(self, values: tuple[object, ...], named: Mapping[str, object]) -> tuple[str, ...]:
        self._check_labelled()
        if self._labelvalues:
            labels = dict(zip(self._labelnames, self._labelvalues, strict=True))
            raise ValueError(f"{self} already has labels set ({labels}); can not chain calls to .labels()")
        if values and named:
            raise ValueError("Can't pass both *args and **kwargs")
        if named:
            if sorted(named) != sorted(self._labelnames):
                raise ValueError("Incorrect label names")
            values = tuple(named[name] for name in self._labelnames)
        if len(values) != len(self._labelnames):
            raise ValueError(f"Incorrect label count (expected {len(self._labelnames)}, got {values})")
        return tuple(map(str, values))

    def _check_labelled(self) -> None:
        if not self._labelnames:
            raise ValueError(f"No label names were set when constructing {self}")

    def remove(self, *labelvalues: object) -> None:
        """Hide the series of these label values, whichever process counted it. It comes back, from 0 on, when a process
        counts it again. Raises ValueError where there are not as many values as label names.
        """
        self._check_labelled()
        if len(labelvalues) != len(self._labelnames):
            raise ValueError(f"Incorrect label count (expected {len(self._labelnames)}, got {labelvalues})")
        self._remove([tuple(map(str, labelvalues))])

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        """Hide all series that have these values of these labels. Without labels, nothing happens."""
        self._check_labelled()
        if not isinstance(labels, dict):
            raise TypeError("labels must be a dict of {label_name: label_value}")
        unknown = [name for name in labels if name not in self._labelnames]
        if unknown:
            raise ValueError(f"Unknown label names: {unknown}; expected {self._labelnames}")
        if not labels:
            return
        wanted = {self._labelnames.index(name): str(value) for name, value in labels.items()}
        known = self._known_labels()
        self._remove([texts for texts in known if all(texts[at] == text for at, text in wanted.items())])

    def _known_labels(self) -> Iterable[tuple[str, ...]]:
        """The label values of all series, those of other processes too."""
        assert self._family
        return self._family.known()

    def _remove(self, wanted: Iterable[tuple[str, ...]]) -> None:
        assert self._family
        removed = list(wanted)
        for texts in removed:
            self.children.pop(texts, None)
        self._family.remove(*removed)

    def clear(self) -> None:
        """Hide all series, as `remove` does. Nothing happens where the instrument has no labels."""
        if self._labelnames and self._family:
            self.children.clear()
            self._family.clear()

    # -- as a place ----------------------------------------------------------------------------------------------

    def move(self, target: Target, offset: int) -> None:
        """Count there from now on, and take along what was counted."""
        super().move(target, offset)
        self._at = offset
        if self._exemplars:
            from hvd.metrics.instruments import exemplars

            for index, exemplar in self._exemplars.items():
                exemplars.write(offset + index, *exemplar)

    def forget(self) -> None:
        """In a forked child: what was counted is the parent's."""
        super().forget()
        self._at, self._exemplars = -1, None

    def keep_exemplar(self, index: int, amount: float, exemplar: dict[str, str]) -> None:
        """Keep an example of what was counted in a cell. Raises ValueError where it can't be one."""
        names.check_exemplar(exemplar)
        if self._exemplars is None:
            self._exemplars = {}
        record = self._exemplars[index] = dict(exemplar), amount, time.time()
        if self._at >= 0:
            from hvd.metrics.instruments import exemplars  # not at the top: only few metrics have exemplars

            exemplars.write(self._at + index, *record)

    def withdraw(self) -> None:
        """Withdraw this process's definition: once no process has it, another one of the name is shown."""
        if self._family:
            self._counts_in.set_present(self._family, is_present=False)

    # -- as a collector ------------------------------------------------------------------------------------------

    def describe(self) -> list[Any]:
        """The metric without samples."""
        return [make_metric(self._name, self._documentation, self._type, self._unit)]

    def collect(self) -> list[Any]:
        """The metric with its samples: the sums of all processes of the daemon, else this process's."""
        return self.collect_from(None)

    def collect_from(self, reading: "Reading | None") -> list[Any]:
        """The same, as one reading has it. A child has its own samples only, without its labels."""
        from hvd.metrics.instruments.collecting import metric_of  # not at the top: only readers need it

        return [metric_of(self, reading)]

    def own_samples(self) -> "Iterable[Sample]":
        """What this process counted."""
        from hvd.metrics.instruments.collecting import samples_of_places

        return samples_of_places(self)

    def own_value(self) -> "Value":
        """What this process counted of one series."""
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{self._type}:{self._name}"

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self._name})"
