"""The app's own metrics as JSON, and percentiles of histograms."""

import json
import math
import random
from collections.abc import Callable, Iterable
from statistics import fmean

import pytest

from hvd.core.own import logarithmic
from hvd.core.own.definition import Definition
from hvd.core.own.figures import Amounts, FamilyFigures, Sample
from hvd.core.own.hot import HistogramPlace
from hvd.core.own.notes import Exemplar
from hvd.read.own import build_own, percentiles, shown_families
from tests.unit.own_figures import CREATED, make_family, make_own

LOGARITHMIC = Definition("t", "histogram", "T.", buckets=logarithmic.BUCKETS)
GIVEN = Definition("h", "histogram", "H.", unit="s", labels=("a",), buckets=(0.1, 0.5, 1.0))


def counts_of(amounts: Iterable[float]) -> tuple[int, ...]:
    """How many a process counts in each logarithmic bucket."""
    place = HistogramPlace(LOGARITHMIC)
    for amount in amounts:
        place.observe(amount)
    return tuple(map(int, place.counted()[1:]))


DISTRIBUTIONS: dict[str, Callable[[random.Random], float]] = {
    "uniform": lambda chance: chance.uniform(0.001, 20),
    "log-normal": lambda chance: chance.lognormvariate(-3, 2),
    "bimodal": lambda chance: chance.gauss(*chance.choice([(0.02, 0.001), (3.0, 0.2)])),
    "constant": lambda chance: 1.091,  # just above a bound
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_percentiles_are_within_five_percent(name: str) -> None:
    """Of each distribution; tests/live/test_own_exposition.py has a million."""
    chance = random.Random(11)
    amounts = sorted(DISTRIBUTIONS[name](chance) for _ in range(20_000))
    counts = counts_of(amounts)
    for share in (0.01, 0.25, 0.4, 0.5, 0.9, 0.99, 0.999):
        exact = amounts[math.ceil(share * len(amounts)) - 1]
        (estimate,) = percentiles(LOGARITHMIC, counts, [share])
        assert estimate == pytest.approx(exact, rel=0.05)


def test_amounts_beyond_the_buckets_have_the_nearest_bound() -> None:
    """What is not above 0 is 0; above 17 billion, that."""
    assert percentiles(LOGARITHMIC, counts_of([-1.0, 0.0, 5e30]), [0.5, 0.99]) == [0.0, 2.0**34]
    assert percentiles(LOGARITHMIC, counts_of([]), [0.5, 0.99]) == [None, None]
    assert percentiles(LOGARITHMIC, counts_of([1e-300]), [1.0])[0] == pytest.approx(2.0**-30, rel=0.1)


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((10, 0, 0, 0), 0.5, 0.05),
        ((0, 10, 0, 0), 0.5, 0.3),
        ((5, 5, 0, 0), 0.5, 0.1),
        ((5, 0, 5, 0), 0.75, 0.75),
        ((0, 0, 0, 10), 0.5, 1.0),
        ((0, 0, 0, 0), 0.5, None),
    ],
)
def test_percentiles_of_given_buckets_are_prometheuss(counts: tuple[int, ...], share: float, expected: float) -> None:
    """Amounts are taken as spread evenly, as histogram_quantile has it."""
    (estimate,) = percentiles(GIVEN, counts, [share])
    assert estimate == (None if expected is None else pytest.approx(expected))


def test_a_histogram_whose_bounds_are_negative() -> None:
    """As histogram_quantile: the first bucket's own bound, where that is not above 0."""
    definition = Definition("h", "histogram", "H.", buckets=(-1.0, 2.0))
    assert percentiles(definition, (4, 4, 0), [0.5, 0.75]) == [-1.0, 0.5]
    assert percentiles(Definition("h", "histogram", "H."), (3,), [0.5]) == [None]


def series_of(family: FamilyFigures) -> list[dict[str, object]]:
    """Through JSON and back."""
    (metric,) = json.loads(json.dumps(build_own([family]), allow_nan=False))
    series: list[dict[str, object]] = metric["series"]
    return series


def test_each_kind_has_its_values() -> None:
    """And JSON has no NaN."""
    gauge = Definition("g", "gauge", "G.", labels=("a",), mode="liveall")
    assert series_of(make_family(gauge, {("x", "12"): math.nan, ("y", "13"): -math.inf}, "pid")) == [
        {"labels": {"a": "x", "pid": "12"}, "created": CREATED, "value": "NaN"},
        {"labels": {"a": "y", "pid": "13"}, "created": CREATED, "value": "-Inf"},
    ]
    plain = {"labels": {}, "created": CREATED}
    counter = make_family(Definition("c", "counter", "C."), {(): 2**60 + 1})
    assert series_of(counter) == [{**plain, "value": 2**60 + 1}]
    summary = make_family(Definition("s", "summary", "S."), {(): Amounts((3,), 1.5)})
    assert series_of(summary) == [{**plain, "count": 3, "sum": 1.5}]
    info = make_family(Definition("i", "info", "I."), {(): {"version": "2"}})
    assert series_of(info) == [{**plain, "info": {"version": "2"}}]
    states = Definition("e", "stateset", "E.", states=("on", "off"))
    assert series_of(make_family(states, {(): 1.0})) == [{**plain, "state": "off"}]
    for unknown in (7.0, -1.0, math.nan, math.inf):
        assert series_of(make_family(states, {(): unknown})) == [{**plain, "state": ""}]


def test_a_histogram_has_buckets_percentiles_and_exemplars() -> None:
    """Buckets that have counted, not cumulative; an exemplar says which is its own."""
    sample = Sample(("x",), Amounts((2, 0, 1, 1), 9.5), CREATED, {3: Exemplar({"trace": "1"}, 0.7, 5.0)})
    (metric,) = build_own([FamilyFigures(GIVEN, ("a",), (sample,))])
    assert {key: value for key, value in metric.items() if key != "series"} == {
        "name": "h",
        "kind": "histogram",
        "help": "H.",
        "unit": "s",
        "labels": ["a"],
        "mode": "",
        "bounds": [0.1, 0.5, 1.0],
        "logarithmic": False,
        "series_total": 1,
    }
    assert metric["series"] == [
        {
            "labels": {"a": "x"},
            "created": CREATED,
            "count": 4,
            "sum": 9.5,
            "buckets": [[0.1, 2], [1.0, 1], ["+Inf", 1]],
            "p50": 0.1,
            "p90": 1.0,
            "p99": 1.0,
            "exemplars": [{"labels": {"trace": "1"}, "value": 0.7, "time": 5.0, "le": 1.0}],
        }
    ]


def test_logarithmic_buckets_are_those_that_have_counted() -> None:
    """Of five hundred."""
    amounts = [0.5, 0.5, 3.0]
    family = make_family(LOGARITHMIC, {(): Amounts(counts_of(amounts), math.fsum(amounts))})
    (metric,) = build_own([family])
    assert (metric["logarithmic"], metric["bounds"]) == (True, [])
    (series,) = metric["series"]
    (low, two), (high, one) = series["buckets"]
    assert (low, two, one) == (0.5, 2, 1)
    assert isinstance(high, float)
    assert high / 2 ** (1 / 8) < 3 <= high
    assert series["p50"] == pytest.approx(0.5, rel=0.05)
    assert series["sum"] / series["count"] == pytest.approx(fmean(amounts))  # type: ignore[operator]


def test_series_are_bounded_where_that_is_asked() -> None:
    """Each metric is named, with how many there are; the first ones have series."""
    counter = Definition("c", "counter", "C.", labels=("n",))
    families = [
        make_family(counter, {(str(number),): number for number in range(10)})._replace(definition=counter)
        for _ in range(3)
    ]
    shown = build_own(families, each=4, most=6)
    assert [len(metric["series"]) for metric in shown] == [4, 2, 0]
    assert [metric["series_total"] for metric in shown] == [10, 10, 10]
    assert [len(metric["series"]) for metric in build_own(families)] == [10, 10, 10]


def test_other_registries_are_not_shown() -> None:
    """An app shows them by itself, or wants nobody to see them."""
    families = [
        make_family(Definition(name, "gauge", "G.", registry=registry), {(): 1.0})
        for name, registry in (("a", ""), ("b", "-"), ("c", "1"))
    ]
    assert [family.definition.name for family in shown_families(make_own(*families))] == ["a"]
