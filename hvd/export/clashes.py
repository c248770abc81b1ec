"""Which own metrics have names that are taken: a scrape in which two families have one name is not valid. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from hvd.core.own.figures import FamilyFigures
from hvd.metrics.sources import Figures
from hvd.read.own import shown_families

_SUFFIXES = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "info": ("_info",),
}


def names_of(name: str, kind: str) -> set[str]:
    """The names that a family has, and those of its samples, as prometheus_client's registries keep them apart."""
    name = name.removesuffix("_total") if kind == "counter" else name
    name = name.removesuffix("_info") if kind == "info" else name
    return {name, *(name + suffix for suffix in _SUFFIXES.get(kind, ()))}


def without_clashes(
    families: Iterable[FamilyFigures], taken: Iterable[str]
) -> tuple[list[FamilyFigures], list[FamilyFigures]]:
    """-> families whose names nobody before them has, and the others. `taken` are the names that others have."""
    free, hidden, known = list[FamilyFigures](), list[FamilyFigures](), set(taken)
    for family in families:
        names = names_of(family.definition.name, family.definition.kind)
        if names & known:
            hidden.append(family)
        else:
            free.append(family)
            known |= names
    return free, hidden


def shown_of(figures: Figures, taken: Iterable[str]) -> tuple[list[FamilyFigures], Figures]:
    """-> the own metrics that are shown: of the default registry, with free names; and the figures, which tell now the
    names of the others.
    """
    families, hidden = without_clashes(shown_families(figures.own), taken)
    return families, replace(figures, hidden=tuple(family.definition.name for family in hidden))
