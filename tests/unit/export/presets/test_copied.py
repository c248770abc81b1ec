"""Series of the block under other labels."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, Histogram, Summary, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse

from hvd.core.amounts import bucket_of, measured_cells
from hvd.export.exposition import Exposition
from hvd.export.presets.copied import METHOD, ROUTE, Labels, durations, in_progress, is_matched, responses, sizes, view
from hvd.metrics.sources import ServiceFigures
from hvd.metrics.table import Metric
from tests.unit.figures import make_figures, make_totals, timed

MS = 10**6


def sized(*amounts: tuple[int, int]) -> list[int]:
    """The cells of these sizes of requests and responses; -1 is not known."""
    cells = [0] * measured_cells(2)
    for pair in amounts:
        cells[0] += 1
        for start, amount in zip((1, 44), pair, strict=True):
            if amount >= 0:
                cells[start] += amount
                cells[start + 1 + bucket_of(amount)] += 1
    return cells


TOTALS = make_totals(
    {
        ("http", "GET", "/a", "200"): timed(3 * MS, 70 * MS),
        ("http", "GET", "/a", "404"): timed(20 * 10**9),
        ("http", "PUT", "(unmatched)", "404"): timed(5 * MS),
        ("http_sizes", "GET", "/a"): sized((-1, 1000), (5, -1), (-1, -1)),
        ("http_views", "/a", "polls:a"): [3],
    }
)


def text_of(metric: Metric) -> str:
    """What is exposed of it."""
    text = Exposition([metric]).render(make_figures(TOTALS))
    return "".join(line for line in text.splitlines(keepends=True) if metric.name in line)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, {(): 4}),
        ({"path": ROUTE}, {("/a",): 3, ("(unmatched)",): 1}),
        ({"view": view, "verb": METHOD}, {("polls:a", "GET"): 3, ("<unnamed view>", "PUT"): 1}),
    ],
    ids=["none", "route", "view"],
)
def test_series_are_added_up_by_their_labels_there(labels: Labels, expected: dict[tuple[str, ...], int]) -> None:
    """A route may have a name of the app's own."""
    (family,) = parse(text_of(responses("x_total", "Help.", labels)))
    assert {tuple(sample.labels.values()): sample.value for sample in family.samples} == expected


def test_what_no_route_has_matched_can_be_left_out() -> None:
    """As some exporters do."""
    assert text_of(responses("x_total", "Help.", {}, is_matched)).endswith("\nx_total 3\n")


def lines(text: str) -> list[str]:
    """In order, and with whole numbers as whole numbers."""
    return sorted(line.removesuffix(".0") for line in text.splitlines())


def exact(metric: Histogram | Summary, values: list[float]) -> str:
    """What prometheus_client itself exposes of the values."""
    registry = CollectorRegistry()
    registry.register(metric)
    for value in values:
        metric.observe(value)
    text = generate_latest(registry).decode()
    return "".join(line for line in text.splitlines(keepends=True) if "_created" not in line)


def test_a_histogram_is_as_prometheus_client_would_have_it() -> None:
    """To the letter, names and bounds included, but for the order of its lines, where no value is near a bound."""
    theirs = exact(Histogram("x_seconds", "Help.", registry=None), [0.003, 0.07, 20.0, 0.005])
    assert lines(text_of(durations("x_seconds", "Help.", {}))) == lines(theirs)


def test_sizes_that_are_not_known_count_as_nothing() -> None:
    """As where exporters read a Content-Length that is not there."""
    bounds = (0, *(2**power for power in range(30)))
    theirs = exact(Histogram("x_bytes", "Help.", registry=None, buckets=bounds), [0, 5, 0, 0])
    assert lines(text_of(sizes("x_bytes", "Help.", 0, {}, bounds))) == lines(theirs)
    theirs = exact(Summary("x_bytes", "Help.", registry=None), [1000, 0, 0, 0])
    assert lines(text_of(sizes("x_bytes", "Help.", 1, {}))) == lines(theirs)


def test_requests_in_progress_are_0_for_methods_that_have_been_seen() -> None:
    """A gauge does not vanish."""
    service = ServiceFigures(open_by_method={"GET": 2, "POST": 1})
    figures = replace(make_figures(TOTALS), service=service)
    text = Exposition([in_progress("x", "Help.", {"method": METHOD})]).render(figures)
    (family,) = (family for family in parse(text) if family.name == "x")
    assert {sample.labels["method"]: sample.value for sample in family.samples} == {"GET": 2, "POST": 1, "PUT": 0}
