"""Own metrics whose names are taken."""

from prometheus_client import CollectorRegistry

from hvd.core.own.definition import Definition
from hvd.export.clashes import names_of, without_clashes
from tests.unit.own_figures import make_family, random_metrics


def test_names_are_those_of_the_official_librarys_registries() -> None:
    """So what one registry refuses is not shown when two processes have it."""
    both = random_metrics(3)
    for family, collector in zip(both.families, both.registry._collector_to_names, strict=True):
        assert names_of(family.definition.name, family.definition.kind) == set(
            CollectorRegistry()._get_names(collector)
        )


def test_the_first_has_the_name() -> None:
    """A gauge named as a counter's sample is hidden; what has other names is not."""
    families = [
        make_family(Definition(name, kind, "H."), {(): 1})
        for name, kind in (("a", "counter"), ("a_total", "gauge"), ("hvd_workers", "gauge"), ("b", "gauge"))
    ]
    shown, hidden = without_clashes(families, {"hvd_workers"})
    assert [family.definition.name for family in shown] == ["a", "b"]
    assert [family.definition.name for family in hidden] == ["a_total", "hvd_workers"]
