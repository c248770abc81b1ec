"""Figures as samples of prometheus_client's."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, generate_latest, metrics
from prometheus_client.metrics_core import Metric

from hvd.core.own.definition import Definition
from hvd.core.own.figures import Amounts, FamilyFigures, Sample
from hvd.core.own.logarithmic import BUCKETS, CELLS, bucket_of
from hvd.core.own.store import OwnStore
from hvd.metrics.prometheus.samples import add_samples, as_files, own_families

pytestmark = pytest.mark.usefixtures("store")


def lines(definition: Definition, *samples: Sample, files: bool = False) -> list[tuple[str, dict[str, str], float]]:
    """The samples' names, labels and values."""
    metric = Metric(definition.name, definition.help, definition.kind)
    add_samples(metric, FamilyFigures(definition, definition.labels, samples), as_files=files)
    return [(sample.name, sample.labels, sample.value) for sample in metric.samples]


def test_histograms_are_cumulative() -> None:
    """In the order of a registry, or of the files."""
    definition = Definition("a", "histogram", "A.", labels=("x",), buckets=(1.0, 2.0))
    figure = Sample(("y",), Amounts((1, 0, 2), 7.5), 5.0)
    made = lines(definition, figure)
    assert [(name, labels.get("le"), value) for name, labels, value in made] == [
        ("a_bucket", "1.0", 1),
        ("a_bucket", "2.0", 1),
        ("a_bucket", "+Inf", 3),
        ("a_count", None, 3),
        ("a_sum", None, 7.5),
        ("a_created", None, 5),
    ]
    assert all(labels["x"] == "y" for _, labels, _ in made)
    assert [name for name, *_ in lines(definition, figure, files=True)] == ["a_sum", *["a_bucket"] * 3, "a_count"]


def test_a_sum_that_may_shrink_is_left_out() -> None:
    """As a registry of prometheus_client's does; the files have it."""
    definition = Definition("a", "histogram", "A.", buckets=(-1.0, 2.0))
    figure = Sample((), Amounts((1, 0, 2), 7.5), 5.0)
    assert "a_sum" not in {name for name, *_ in lines(definition, figure)}
    assert "a_sum" in {name for name, *_ in lines(definition, figure, files=True)}


def test_created_is_left_out_where_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """PROMETHEUS_DISABLE_CREATED_SERIES, disable_created_metrics()."""
    monkeypatch.setattr(metrics, "_use_created", False)
    assert lines(Definition("a", "counter", "A."), Sample((), 3, 5.0)) == [("a_total", {}, 3.0)]


def test_infos_and_statesets() -> None:
    """An info says what it was told last, a stateset has a sample for each state."""
    assert lines(Definition("a", "info", "A."), Sample((), {"b": "c"}, 5.0)) == [("a_info", {"b": "c"}, 1)]
    states = Definition("a", "stateset", "A.", states=("x", "y"))
    assert lines(states, Sample((), 1, 5.0)) == [("a", {"a": "x"}, 0), ("a", {"a": "y"}, 1)]


def test_logarithmic_buckets_are_given_by_octave() -> None:
    """Of hvd's own instruments, which a MultiProcessCollector gives too."""
    counts = [0] * CELLS
    counts[bucket_of(3.0)] = 4
    definition = Definition("a", "histogram", "A.", buckets=BUCKETS)
    made = lines(definition, Sample((), Amounts(tuple(counts), 12.0), 5.0), files=True)
    assert [(labels["le"], value) for name, labels, value in made if name == "a_bucket"] == [
        *(("2.0", 0), ("4.0", 4), ("+Inf", 4)),
    ]


def test_without_a_block_the_process_s_own_are_given(registry: CollectorRegistry) -> None:
    """By a MultiProcessCollector in a test of the app's, or a shell."""
    Counter("a", "A.", ["x"], registry=registry).labels("y").inc(2)
    Gauge("b", "B.", registry=registry).set(3)
    Histogram("c", "C.", registry=registry, buckets=[1]).observe(0.5)
    Summary("d", "D.", registry=registry).observe(0.5)
    hidden = Counter("e", "E.", registry=CollectorRegistry())
    info = Info("f", "F.", ["x"], registry=registry)
    for version in ("1", "2", "1"):
        info.labels("y").info({"version": version})
    made = {metric.name: metric.samples for metric in as_files(own_families())}
    assert set(made) == {"a", "b", "c", "d", "f"}
    assert hidden._value.get() == 0
    assert made["a"][0].value == 2
    assert set(made["b"][0].labels) == {"pid"}
    assert [sample.labels for sample in made["f"]] == [{"x": "y", "version": "1"}]
    assert [sample.value for sample in made["c"]] == [0.5, 1, 1, 1]


def test_a_long_help_is_the_metrics_own(attached: OwnStore, registry: CollectorRegistry) -> None:
    """The block's is cut."""
    Counter("a", "A" * 3000, registry=registry)
    assert f"# HELP a_total {'A' * 3000}\n".encode() in generate_latest(registry)
