"""Own metrics whose names are taken: a scrape in which two families have one name is not valid. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hvd.core.own.definition import Definition
from hvd.core.own.figures import FamilyFigures
from hvd.export.notation import ALLOW_UTF_8, metric_name
from hvd.metrics.instruments.registry import SUFFIXES
from hvd.metrics.sources import Figures
from hvd.metrics.table import Metric
from hvd.read.own import shown_families


def names_of(name: str, kind: str) -> set[str]:
    """The names that a family has, and those of its samples, as prometheus_client's registries keep them apart."""
    return {name, *(name + suffix for suffix in SUFFIXES.get(kind, ()))}


def names_of_all(metrics: Iterable[Metric]) -> frozenset[str]:
    """The names of hvd's metrics, which these have with the suffix of a counter or an info."""
    ends = {"counter": "_total", "info": "_info"}
    families = ((metric.name.removesuffix(ends.get(metric.kind, "")), metric.kind) for metric in metrics)
    return frozenset(name for family in families for name in names_of(*family))


class Clashes:
    """Finds own metrics whose names are taken. What it found is kept while the metrics stay the same. Thread-safe: a
    lost race only costs time.
    """

    def __init__(self, taken: Iterable[str], escaping: str = ALLOW_UTF_8) -> None:
        """`taken` are the names of other metrics. The scheme that escapes names (notation.py) can make two different
        names the same.
        """
        self._taken = frozenset(metric_name(name, escaping) for name in taken)
        self._escaping = escaping
        self._last: tuple[Sequence[Definition], frozenset[int]] = (), frozenset()

    def visible_families(self, figures: Figures) -> tuple[list[FamilyFigures], Figures]:
        """-> the own metrics that are shown: those of the default registry whose names are free; and the figures, with
        the names of the hidden ones.
        """
        families = shown_families(figures.own)
        definitions = [family.definition for family in families]
        known, hidden = self._last
        if known != definitions:
            hidden = frozenset(self._hidden(definitions))
            self._last = definitions, hidden
        if not hidden:
            return families, figures
        visible = [family for index, family in enumerate(families) if index not in hidden]
        return visible, replace(figures, hidden=tuple(definitions[index].name for index in sorted(hidden)))

    def _hidden(self, definitions: Iterable[Definition]) -> Iterable[int]:
        known = set(self._taken)
        for index, definition in enumerate(definitions):
            names = {metric_name(name, self._escaping) for name in names_of(definition.name, definition.kind)}
            if names & known:
                yield index
            else:
                known |= names
