"""Families of prometheus_client's metrics, and which of them count in the block."""

import gc

import pytest
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary

from hvd.core.block import Block
from hvd.core.own.definition import Definition
from hvd.core.own.figures import OwnReader
from hvd.core.own.store import OwnStore
from hvd.metrics.instruments.states import TEXT
from hvd.metrics.prometheus import families
from hvd.metrics.prometheus.families import definition_of, registries

pytestmark = pytest.mark.usefixtures("store")


def declared(block: Block) -> dict[str, str]:
    """The names of the block's families, each with the key of its registry."""
    return {family.definition.name: family.definition.registry for family in OwnReader(block).read().families}


def test_definitions_are_those_of_the_metrics() -> None:
    """With everything that says how processes combine."""
    assert definition_of(Counter("a_total", "A.", ["x"], unit="b", registry=None)) == Definition(
        "a_b", "counter", "A.", "b", ("x",)
    )
    assert definition_of(Gauge("a", "A.", multiprocess_mode="livesum", registry=None)).mode == "livesum"
    assert definition_of(Gauge("a", "A.", registry=None)).mode == "all"
    assert definition_of(Histogram("a", "A.", buckets=[1, 2], registry=None)).buckets == (1.0, 2.0)
    assert definition_of(Summary("a", "A.", registry=None)).kind == "summary"
    assert definition_of(Info("a", "A.", ["x"], registry=None)).labels == ("x", TEXT)
    assert definition_of(Enum("a", "A.", states=["x", "y"], registry=None)).states == ("x", "y")


def test_registries_are_respected(block: Block, attached: OwnStore, registry: CollectorRegistry) -> None:
    """A metric of no registry is its process's own until it has one; a refused one is never declared."""
    other, third = CollectorRegistry(), CollectorRegistry()
    made = [Counter("a", "A.", registry=registry), Counter("b", "B.", registry=other)]
    made += [Counter("c", "C.", registry=third), Counter("d", "D.", registry=None)]
    with pytest.raises(ValueError, match="Duplicated"):
        Gauge("a", "A.", registry=registry)
    assert declared(block) == {"a": "", "b": "c1", "c": "c2"}
    made[3].inc(3)
    registry.register(made[3])
    assert declared(block)["d"] == ""
    assert registry.get_sample_value("d_total") == 3


def test_two_registries_don_t_mix(attached: OwnStore, registry: CollectorRegistry) -> None:
    """Though a metric has the same name in both."""
    other = CollectorRegistry()
    made = [Counter("a", "A.", registry=registry), Counter("a", "A.", registry=other)]
    made[0].inc()
    made[1].inc(5)
    assert [one.get_sample_value("a_total") for one in (registry, other)] == [1, 5]


def test_all_registries_are_shown_where_that_is_wanted(
    block: Block, attached: OwnStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in prometheus_client's files."""
    monkeypatch.setattr(families.registries, "are_all_shown", True)
    made = [Counter("a", "A.", registry=CollectorRegistry()), Counter("b", "B.", registry=None)]
    made[1].inc()
    assert declared(block) == {"a": "", "b": ""}


def test_registries_that_requests_make_are_the_processs_own(
    block: Block, attached: OwnStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each push to a gateway would begin with what others had counted."""
    early = CollectorRegistry()
    made = [Counter("a", "A.", registry=early)]
    monkeypatch.setattr(families.registries, "is_serving", True)
    for _ in range(3):
        own = CollectorRegistry()
        counter = Counter("job", "Job.", registry=own)
        counter.inc()
        assert own.get_sample_value("job_total") == 1
        del own, counter
        gc.collect()
    made.append(Counter("later", "A.", registry=early))
    assert declared(block) == {"a": "c1", "later": "c1"}


def test_the_registries_of_this_test_are_its_own() -> None:
    """The fixture has replaced them."""
    assert families.registries is not registries
