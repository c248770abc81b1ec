"""The figures of own metrics, as readers get them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from hvd.core.own.definition import Definition


class Exemplar(NamedTuple):
    """An example of what was counted, as a trace's id: its labels, the amount, and when (Unix time in s)."""

    labels: Mapping[str, str]
    value: float
    time: float


NO_EXEMPLARS: Mapping[int, Exemplar] = MappingProxyType({})


class Amounts(NamedTuple):
    """Of a histogram: how many fell into each bucket, not cumulative; of a summary: how many there were; their sum."""

    counts: tuple[int, ...]
    sum: float

    @property
    def observed(self) -> int:
        """How many were observed."""
        return sum(self.counts)


class Sample(NamedTuple):
    """A series: label values, as `FamilyFigures.labels` names them, and its value: of an info what it says, of a
    stateset the number of the state. `created` is Unix time in s; `exemplars` are by bucket.
    """

    labels: tuple[str, ...]
    value: float | Amounts | Mapping[str, str]
    created: float
    exemplars: Mapping[int, Exemplar] = NO_EXEMPLARS


class FamilyFigures(NamedTuple):
    """A family and its series, in order of appearance."""

    definition: Definition
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
