"""Reading the figures of all processes for a collection."""

from hvd.core.own.store import OwnStore
from hvd.metrics.prometheus.reading import Reading, during, reading_now
from tests.unit.core.own import support


def test_without_a_block_there_are_no_figures(store: OwnStore) -> None:
    """Then each metric gives its process's own."""
    assert Reading().figures is None
    assert Reading().of(support.TURNS) is None


def test_one_collection_has_figures_of_one_moment(attached: OwnStore) -> None:
    """However many metrics ask; the next one has those of another."""
    place = attached.declare(support.TURNS).place()
    with during(reading_now()):
        for _ in range(2):
            figures = reading_now().of(support.TURNS)
            assert figures is not None
            assert [sample.value for sample in figures.samples] == [0]
            place.inc()
    figures = reading_now().of(support.TURNS)
    assert figures is not None
    assert figures.samples[0].value == 2


def test_another_definition_of_the_name_has_no_samples(attached: OwnStore) -> None:
    """The block shows the first one, while a process of it lives."""
    kept = attached.declare(support.TURNS)
    kept.place().inc()
    other = support.gauge("sum", support.TURNS.name)
    also_kept = attached.declare(other)
    also_kept.place().set(3)  # type: ignore[attr-defined]
    figures = Reading().of(other)
    assert figures is not None
    assert figures.samples == ()
