"""What a metric of the app is: its definition, and which cells a series of it has."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from hvd.core.own import logarithmic

COUNTER, GAUGE, SUMMARY, HISTOGRAM, INFO, STATESET = "counter", "gauge", "summary", "histogram", "info", "stateset"
KINDS = COUNTER, GAUGE, SUMMARY, HISTOGRAM, INFO, STATESET

MODES = frozenset(f"{live}{mode}" for live in ("", "live") for mode in ("all", "min", "max", "sum", "mostrecent"))
"""How the processes' values of a gauge combine; those that begin with `live` leave out what the dead had."""

HELP_CHARS = 1000

LABEL_CHARS = 1000
"""Longer label values are cut, and end with a checksum of the whole."""

INFO_CHARS = 8 * LABEL_CHARS
"""That the JSON of an info may have; what comes last is left out."""

DISAGREES, OVERFLOWED = 1, 2
"""What was logged of a family, bit by bit: another one of its name differs; it has too many series."""

INT, FLOAT, VALUE, STAMP, TIME = range(5)
"""What a cell is. INT and FLOAT (float64) only grow and are added up. VALUE (float64) is a gauge's, valid where its
STAMP is not 0: when its process took its slot (S_TAKEN_NS). TIME (float64) is when it was set, Unix time in s.
"""


class _Fields(NamedTuple):
    name: str
    kind: str
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    mode: str = ""
    states: tuple[str, ...] = ()
    registry: str = ""


class Definition(_Fields):
    """A metric. `name` is the family's, without `_total`; `buckets` are the upper bounds of a histogram without the
    last, unbounded one, and logarithmic.BUCKETS where it is hvd's; `mode` is a gauge's, `states` a stateset's.
    `registry` tells metrics of one name apart, and whether they are shown: "" is the default registry, "-" none.
    """

    @cached_property
    def is_logarithmic(self) -> bool:
        """Whether the buckets are hvd's own."""
        return self.kind == HISTOGRAM and self.buckets == logarithmic.BUCKETS

    @cached_property
    def keeps(self) -> bool:
        """Whether what a dead process had set still counts."""
        return not self.mode.startswith("live") and self.mode != "all"

    @cached_property
    def cells(self) -> tuple[int, ...]:
        """What each cell of a series is."""
        if self.kind in (COUNTER, SUMMARY):  # a summary: how many, and their sum
            return INT, FLOAT
        if self.kind == HISTOGRAM:
            buckets = logarithmic.CELLS if self.is_logarithmic else len(self.buckets) + 1
            return (FLOAT, *(INT,) * buckets)
        return (VALUE, STAMP, TIME) if self.mode.endswith("mostrecent") else (VALUE, STAMP)

    def agrees(self, other: "Definition") -> bool:
        """Whether both may count in the same cells. The help may differ: the first one's is shown."""
        return self._form() == other._form()

    def _form(self) -> tuple[Any, ...]:
        return self.name, self.kind, self.unit, self.labels, self.buckets, self.mode, self.states, self.registry

    def differences(self, other: "Definition") -> str:
        """In what the two differ, as a clause: `labels ('a',) and ('b',)`."""
        names = "kind", "unit", "labels", "buckets", "mode", "states"
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in names)
        return ", ".join(f"{name} {mine!r} and {theirs!r}" for name, mine, theirs in pairs if mine != theirs)

    def as_record(self) -> dict[str, Any]:
        """As the catalogue has it; what is empty is left out."""
        record = {name: value for name, value in self._asdict().items() if value and name != "buckets"}
        record["help"] = self.help[:HELP_CHARS].encode("utf-8", "backslashreplace").decode()
        if self.buckets:
            record["buckets"] = "log" if self.is_logarithmic else self.buckets
        return record

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> "Definition":
        """The definition that a catalogue's record of any version has. Raises KeyError, TypeError, ValueError."""
        buckets = record.get("buckets", ())
        return cls(
            str(record["name"]),
            str(record["kind"]),
            str(record.get("help", "")),
            str(record.get("unit", "")),
            _texts(record.get("labels", ())),
            logarithmic.BUCKETS if buckets == "log" else tuple(map(float, buckets)),
            str(record.get("mode", "")),
            _texts(record.get("states", ())),
            str(record.get("registry", "")),
        )


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(map(str, values))
