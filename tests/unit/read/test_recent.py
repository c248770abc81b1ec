"""What own metrics did lately: by kind, by series and together, and where there is nothing to compare with."""

import math

import pytest

from hvd.core.own.definition import Definition
from hvd.core.own.figures import Amounts, FamilyFigures, Sample
from hvd.read.recent import Look, Recently, key_of, labels_of, name_of, recent_of

ORDERS = Definition("orders", "counter", "Orders.", labels=("shop",))
LEVEL = Definition("level", "gauge", "Level.", mode="liveall")
SIZES = Definition("sizes", "histogram", "Sizes.", buckets=(1.0, 10.0))
PARTS = Definition("parts", "summary", "Parts.")
BUILD = Definition("build", "info", "Build.")
NOTHING = pytest.approx(math.nan, nan_ok=True)


def figures(definition: Definition, *values: tuple[tuple[str, ...], object]) -> FamilyFigures:
    samples = tuple(Sample(labels, value, 0.0) for labels, value in values)  # type: ignore[arg-type]
    by_process = ("pid",) if definition is LEVEL else ()
    return FamilyFigures(definition, (*definition.labels, *by_process), samples)


def look(second: int, *families: FamilyFigures) -> Look:
    return Look(second * 10**9, families)


def test_a_key_is_what_metrics_shows() -> None:
    """A counter's name has _total; values are escaped."""
    assert name_of(SIZES) == key_of(SIZES, {}) == "sizes"
    assert key_of(ORDERS, {"shop": 'a"b\\c\nd', "x": ""}) == 'orders_total{shop="a\\"b\\\\c\\nd",x=""}'


@pytest.mark.parametrize(
    "labels", [{}, {"a": ""}, {"a": 'x"y\\z\n', "b": 'c="d",e="'}, {"a": "\\n", "b": "}{ü"}, {"a.b": "\\\\"}]
)
def test_a_key_tells_its_labels(labels: dict[str, str]) -> None:
    """Whatever they are."""
    assert labels_of(key_of(ORDERS, labels)) == labels


def test_each_kind_has_its_figures() -> None:
    """Of what came in between."""
    assert recent_of(ORDERS, 10, 30, 4.0) == {"rate": 5.0}
    assert recent_of(ORDERS, 10, 30, 0.0) == {"rate": NOTHING}
    assert recent_of(LEVEL, 10.0, -2.5, 4.0) == {"value": -2.5}
    assert recent_of(PARTS, Amounts((2,), 10.0), Amounts((6,), 16.0), 4.0) == {"mean": 1.5}
    assert recent_of(PARTS, Amounts((2,), 10.0), Amounts((2,), 10.0), 4.0) == {"mean": NOTHING}
    now = recent_of(SIZES, Amounts((50, 0, 0), 1.0), Amounts((50, 90, 10), 1000.0), 4.0)
    assert now == {"p50": pytest.approx(6.0), "p99": 10.0}
    assert recent_of(BUILD, None, None, 4.0) == {}


def test_what_is_new_or_was_removed_counts_from_0() -> None:
    """Nothing goes backwards."""
    assert recent_of(ORDERS, None, 8, 4.0) == recent_of(ORDERS, 100, 8, 4.0) == {"rate": 2.0}
    for before in (None, Amounts((9, 0, 0), 9.0)):
        assert recent_of(SIZES, before, Amounts((0, 4, 0), 8.0), 4.0)["p50"] == pytest.approx(5.5)


def test_series_and_all_together() -> None:
    """By key; the family's is its name. A gauge's are added up too."""
    before = [
        figures(ORDERS, (("a",), 4)),
        figures(LEVEL, (("7",), 1.0)),
        figures(SIZES, ((), Amounts((1, 0, 0), 1.0))),
    ]
    now = [
        figures(ORDERS, (("a",), 8), (("b",), 2)),
        figures(LEVEL, (("7",), 2.0), (("8",), 3.0)),
        figures(SIZES, ((), Amounts((1, 1, 0), 6.0))),
    ]
    recently = Recently(look(0, *before), look(2, *now))
    assert recently.of(now[0]) == [('orders_total{shop="a"}', {"rate": 2.0}), ('orders_total{shop="b"}', {"rate": 1.0})]
    assert [recently.together(family) for family in now[:2]] == [{"rate": 3.0}, {"value": 5.0}]
    keys = ["orders_total", 'orders_total{shop="b"}', 'level{pid="8"}', "sizes", "order", 'orders_total{shop="z"}']
    assert recently.of_keys(keys) == {
        "orders_total": {"rate": 3.0},
        'orders_total{shop="b"}': {"rate": 1.0},
        'level{pid="8"}': {"value": 3.0},
        "sizes": {"p50": pytest.approx(5.5), "p99": pytest.approx(9.91)},
    }


def test_what_has_not_changed_has_done_nothing() -> None:
    """The same object is the same figures."""
    family = figures(ORDERS, (("a",), 4))
    assert Recently(look(0, family), look(2, family)).together(family) == {"rate": 0.0}


def test_without_a_look_before_only_values_are_known() -> None:
    """Else what was counted since the start would be a rate. Of another declaration of the name nothing is known."""
    counter, gauge = figures(ORDERS, (("a",), 4)), figures(LEVEL, (("7",), 1.0))
    first = Recently(None, look(0, counter, gauge))
    assert first.of(counter) == [('orders_total{shop="a"}', {"rate": NOTHING})]
    assert first.together(gauge) == {"value": 1.0}
    other = figures(Definition("sizes", "histogram", "", buckets=(5.0,)), ((), Amounts((9, 9), 99.0)))
    now = figures(SIZES, ((), Amounts((2, 0, 0), 2.0)))
    assert Recently(look(0, other), look(2, now)).together(now)["p50"] == 0.5


def test_the_first_series_may_do() -> None:
    """What each was is found too where others before it are gone."""
    before = figures(ORDERS, *(((name,), 2) for name in "abcd"))
    now = figures(ORDERS, *(((name,), 6) for name in "bcde"))
    shown = Recently(look(0, before), look(2, now)).of(now, 3)
    assert [key[-3:-1] for key, _ in shown] == ['b"', 'c"', 'd"']
    assert [recent for _, recent in shown] == [{"rate": 2.0}] * 3
