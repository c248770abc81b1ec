"""Info and Enum: what something is. Of several processes the latest value holds, even once its process has ended."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hvd.core.own.definition import INFO, STATESET, Definition
from hvd.core.own.hot import Place
from hvd.metrics.instruments.base import Instrument
from hvd.metrics.instruments.registry import REGISTRY

if TYPE_CHECKING:
    from hvd.core.own.samples import Sample

TEXT = ""
"""The name of an info's last label in the block, whose value is what it says, as JSON."""


class _State(Instrument):
    """An instrument that is no place: what it says is in gauges of its family."""

    def _begin(self, definition: Definition, *, is_ready: bool) -> None:
        self._definition, self._created, self.is_ready = definition, time.time(), is_ready
        self.children: dict[tuple[str, ...], Any] = {}

    def _family_of(self, definition: Definition) -> tuple[Definition, Callable[[Definition], Place] | None]:
        return definition, None

    def labels(self, *values: object, **named: object) -> Any:
        """The child of these label values."""
        return self.find_child(*values, **named)

    def _child_of(self, texts: tuple[str, ...]) -> Any:
        child = self.children[texts] = self._make_child()
        child._labelvalues = texts
        child._start_series()
        return child

    def _check_ready(self) -> None:
        if not self.is_ready:
            raise ValueError(f"{self._type} metric is missing label values")

    def own_samples(self) -> "Iterator[Sample]":
        from hvd.core.own.samples import Sample  # not at the top: only readers need it

        for one in list(self.children.values()) if self._labelnames and not self._labelvalues else [self]:
            yield Sample(one._labelvalues, one._state(), one._created)

    def _state(self) -> Any:
        raise NotImplementedError


class Info(_State):
    """Facts about the process or its target, as a version: `info({"version": "1.2"})`."""

    __module__ = "hvd"
    _type = INFO
    _form = {"mode": "mostrecent"}

    def _family_of(self, definition: Definition) -> tuple[Definition, Callable[[Definition], Place] | None]:
        return definition._replace(labels=(*definition.labels, TEXT)), None

    def _start_series(self) -> None:
        self._facts: dict[str, str] = {}
        self._say(0.0)  # whatever a process says is more recent

    def info(self, val: Mapping[str, str]) -> None:
        """Say what it is. Raises ValueError where a name is one of the labels', or a value is None."""
        self._check_ready()
        if not set(self._labelnames).isdisjoint(val):
            raise ValueError(f"Overlapping labels for Info metric, metric: {self._labelnames} child: {val}")
        if any(value is None for value in val.values()):
            raise ValueError("Label value cannot be None")
        self._facts = dict(val)
        self._say(time.time())

    def _say(self, now: float) -> None:
        assert self._family
        place: Any = self._family.place((*self._labelvalues, text_of(self._facts)))
        place.set(now, now)  # so a reader of this process's places alone sees which is the latest

    def _state(self) -> dict[str, str]:
        return self._facts

    def _remove(self, wanted: Iterable[tuple[str, ...]]) -> None:
        assert self._family
        labels = set(wanted)
        for texts in labels:
            self.children.pop(texts, None)
        self._family.remove(*[texts for texts in self._family.known() if texts[:-1] in labels])

    def _known_labels(self) -> Iterable[tuple[str, ...]]:
        return {texts[:-1] for texts in super()._known_labels()}


class Enum(_State):
    """Which one of some states something is in: `state("running")`; the first one at the start."""

    __module__ = "hvd"
    _type = STATESET

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: Any = REGISTRY,
        states: Sequence[str] | None = None,
    ) -> None:
        """Raises ValueError where a name can't be used, or there are no states; DuplicateTimeseries where the registry
        has it.
        """
        if name in labelnames:
            raise ValueError(f"Overlapping labels for Enum metric: {name}")
        if not states:
            raise ValueError(f"No states provided for Enum metric: {name}")
        self._states = tuple(states)
        name_parts = name, namespace, subsystem, unit
        self._declare(registry, documentation, labelnames, name_parts, mode="mostrecent", states=self._states)

    def _start_series(self) -> None:
        assert self._family
        self._place: Any = self._family.place(self._labelvalues)

    def state(self, state: str) -> None:
        """Say which one. Raises ValueError where it is none of them."""
        self._check_ready()
        self._place.set(self._definition.states.index(state), time.time())

    def _state(self) -> float:
        value: float = self._place.value
        return value


def text_of(facts: Mapping[str, str]) -> str:
    """What an info says as one text; the catalogue has bounds for it."""
    import json  # not at the top: an app imports instruments in little time

    return json.dumps({str(name): str(value) for name, value in facts.items()}, sort_keys=True)
