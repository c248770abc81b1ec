"""The text of own metrics: the same bytes as the official library's."""

import json
import math
from collections.abc import Iterator

import prometheus_client
import pytest
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hvd.core.block import Block
from hvd.core.own import logarithmic
from hvd.core.own.definition import Definition
from hvd.core.own.figures import Amounts, FamilyFigures, OwnReader, Sample
from hvd.core.own.notes import Exemplar, Notes
from hvd.export.own import PLAIN, OwnExposition, Style
from hvd.read.own import build_own
from tests.support.prometheus import check_metrics
from tests.unit.core.own.support import store_in
from tests.unit.own_figures import CREATED, Both, make_family, random_metrics

OPENMETRICS = Style(openmetrics=True)


@pytest.fixture(autouse=True)
def _without_created() -> Iterator[None]:
    prometheus_client.disable_created_metrics()
    yield
    prometheus_client.enable_created_metrics()


def render(*families: FamilyFigures, style: Style = PLAIN, names: set[str] | None = None) -> str:
    return "".join(OwnExposition().render(families, style, names))


@pytest.mark.parametrize("seed", range(20))
def test_all_kinds_are_the_same_bytes_as_the_official_librarys(seed: int) -> None:
    """Names, order of labels, numbers, escaping, in both formats."""
    both = random_metrics(seed)
    assert render(*both.families) == exposition.generate_latest(both.registry).decode()
    official = openmetrics_exposition.generate_latest(both.registry).decode()
    assert render(*both.families, style=OPENMETRICS) + "# EOF\n" == official


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "dots", "values"])
def test_utf_8_names_are_escaped_as_the_official_library_does(escaping: str) -> None:
    """Of metrics and of labels, in each scheme."""
    both = Both()
    both.counter("http.server.requests", {("a", "b"): 2.0}, ("http.route", "zone"))
    both.counter("größe", {(): 1.0})
    both.gauge("a_b.c", {("x",): 2.0}, ("ü",))
    both.histogram("dauer.s", {("x",): [1.0]}, ("k.ü",), buckets=(1.0, 2.0))
    both.enum("zu.stand", {("x",): 1}, ("an", "aus"), ("m_1",))
    assert (
        render(*both.families, style=Style(escaping=escaping))
        == exposition.generate_latest(both.registry, escaping=escaping).decode()
    )
    if escaping in ("allow-utf-8", "underscores"):
        # of `dots` and `values`, the library's OpenMetrics escapes plain names of samples in another way than those of
        # families, so its own parser does not find them again
        official = openmetrics_exposition.generate_latest(both.registry, escaping=escaping).decode()
        assert render(*both.families, style=Style(openmetrics=True, escaping=escaping)) + "# EOF\n" == official


def test_an_integer_keeps_its_digits() -> None:
    """Above 2^53 too, where a float has no room for them."""
    family = make_family(Definition("n", "counter", "N."), {(): 2**60 + 1})
    assert "n_total 1152921504606846977\n" in render(family)


def test_a_histogram_of_negative_amounts_has_no_sum() -> None:
    """It could fall, so the library leaves it out."""
    both = Both()
    both.histogram("degrees", {(): [-7.5, 3.0]}, buckets=(-10.0, 0.0, 10.0))
    assert render(*both.families) == exposition.generate_latest(both.registry).decode()
    assert "degrees_sum" not in render(*both.families)


def test_exemplars_are_shown_in_openmetrics() -> None:
    """Of counters and of buckets: the official parser reads back what was kept; it can't read quotation marks there."""
    example = Exemplar({"trace_id": "a\\c\nd"}, 0.25, 1_769_200_100.125)
    counter = Sample((), 3, CREATED, {0: example})
    histogram = Sample((), Amounts((0, 1, 0), 0.25), CREATED, {2: example})
    text = render(
        FamilyFigures(Definition("c", "counter", "C."), (), (counter,)),
        FamilyFigures(Definition("h", "histogram", "H.", buckets=(0.1, 0.5)), (), (histogram,)),
        style=OPENMETRICS,
    )
    found = [sample for family in parse_openmetrics(f"{text}# EOF\n") for sample in family.samples if sample.exemplar]
    assert [(sample.name, sample.labels) for sample in found] == [("c_total", {}), ("h_bucket", {"le": "0.5"})]
    for sample in found:
        assert sample.exemplar
        assert sample.exemplar.labels == example.labels
        assert (sample.exemplar.value, float(sample.exemplar.timestamp or 0)) == (0.25, 1_769_200_100.125)


def test_created_is_shown_where_it_is_asked_for() -> None:
    """Beside the other samples of its series, where the library has it."""
    family = make_family(Definition("orders", "counter", "O.", labels=("shop",)), {("a",): 1, ("b",): 2})
    text = render(family, style=Style(openmetrics=True, created=True))
    assert text.endswith(
        'orders_total{shop="a"} 1.0\norders_created{shop="a"} 1.76920010025e+09\n'
        'orders_total{shop="b"} 2.0\norders_created{shop="b"} 1.76920010025e+09\n'
    )
    assert "_created" not in render(family, style=OPENMETRICS)


def logarithmic_family(*amounts: float) -> FamilyFigures:
    counts = [0] * logarithmic.CELLS
    for amount in amounts:
        counts[logarithmic.bucket_of(amount)] += 1
    definition = Definition("t", "histogram", "T.", buckets=logarithmic.BUCKETS)
    return make_family(definition, {(): Amounts(tuple(counts), math.fsum(amounts))})


@pytest.mark.parametrize(
    ("amounts", "buckets"),
    [
        ((), {"+Inf": 0}),
        ((1.5,), {"1.0": 0, "2.0": 1, "+Inf": 1}),
        ((2.0, 2.1), {"1.0": 0, "2.0": 1, "4.0": 2, "+Inf": 2}),
        ((0.3, 3.0), {"0.25": 0, "0.5": 1, "1.0": 1, "2.0": 1, "4.0": 2, "+Inf": 2}),
        ((-1.0, 0.0), {"0.0": 2, "+Inf": 2}),
        ((0.0, 3.0), {"0.0": 1, "2.0": 1, "4.0": 2, "+Inf": 2}),
        ((1e-12,), {"1.862645149230957e-09": 1, "+Inf": 1}),
        ((1e12, 2.0**34), {"8.589934592e+09": 0, "1.7179869184e+10": 1, "+Inf": 2}),
        ((1e12,), {"+Inf": 1}),
    ],
)
def test_logarithmic_buckets_are_shown_by_octaves(amounts: tuple[float, ...], buckets: dict[str, int]) -> None:
    """From the power of two below what was observed to the one above."""
    (parsed,) = parse_text(render(logarithmic_family(*amounts)))
    shown = {sample.labels["le"]: sample.value for sample in parsed.samples if sample.name == "t_bucket"}
    assert shown == buckets
    assert {sample.name: sample.value for sample in parsed.samples if sample.name == "t_count"} == {
        "t_count": len(amounts)
    }


def test_an_octave_shows_its_latest_example() -> None:
    """It has eight buckets, each with an example of its own."""
    family = logarithmic_family(1.1, 1.9)
    notes = {
        1 + logarithmic.bucket_of(amount): Exemplar({"of": str(amount)}, amount, time)
        for amount, time in ((1.1, 5.0), (1.9, 4.0))
    }
    family = family._replace(samples=(family.samples[0]._replace(exemplars=notes),))
    text = render(family, style=OPENMETRICS)
    assert 't_bucket{le="2.0"} 2.0 # {of="1.1"} 1.1 5.0\n' in text


def blocks(text: str) -> list[str]:
    """The families' texts in any order: that of a restricted registry is a set's."""
    return sorted(text.split("# HELP "))


def test_names_select_samples_as_the_librarys_restricted_registry_does() -> None:
    """Those of a sample, not of a family; a family of which nothing is left has no head."""
    both = random_metrics(1)
    for names in ({"counter1_total"}, {"histogram1_count", "gauge2", "info1_info"}, {"counter1"}, {"nothing"}):
        restricted = both.registry.restricted_registry(names)
        assert blocks(render(*both.families, names=names)) == blocks(exposition.generate_latest(restricted).decode())


def test_texts_of_what_is_the_same_are_kept() -> None:
    """A series that changed is shown as it is; one that is gone leaves nothing behind."""
    shown = OwnExposition()
    orders = Definition("orders", "counter", "O.", labels=("shop",))
    one = make_family(orders, {("a",): 1, ("b",): 2})
    (first,) = shown.render([one], PLAIN)
    (again,) = shown.render([one], PLAIN)
    assert again is first
    (changed,) = shown.render([one._replace(samples=(one.samples[0], Sample(("b",), 3, CREATED)))], PLAIN)
    assert changed == first.replace('{shop="b"} 2.0', '{shop="b"} 3.0')
    (gone,) = shown.render([one._replace(samples=one.samples[:1])], PLAIN)
    assert gone == first.replace('orders_total{shop="b"} 2.0\n', "")
    (back,) = shown.render([one], PLAIN)
    assert back == first


def test_another_definition_of_a_name_is_shown_as_its_own() -> None:
    """When the processes of the first one are gone."""
    shown = OwnExposition()
    (first,) = shown.render([make_family(Definition("x", "counter", "X."), {(): 1})], PLAIN)
    (second,) = shown.render([make_family(Definition("x", "gauge", "X."), {(): 1})], PLAIN)
    assert ("x_total 1.0\n" in first, "x 1.0\n" in second) == (True, True)


ODD = (
    *("\0", "\n", '"', "\\", "\ud800", "\udfff x", "\r", "\x85", "\u2028", "\x1b[0m", "{}", 'le="1"', "# EOF", ""),
    *("(other)", "x" * 2**20, "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 2**20, "\ufffe", "\U0010ffff"),
)
"""Label values: a megabyte, lone surrogates, line ends. The official parser takes no quotation mark of an exemplar."""


def test_no_label_value_spoils_a_scrape(own_block: Block) -> None:
    """Through the block: bounded, escaped, and valid for the official parsers and promtool; each is a series."""
    store = store_in(own_block)
    counter = store.declare(Definition("odd", "counter", "A lone \ud800 and a \0.", labels=("value",)))
    gauge = store.declare(Definition("level", "gauge", "Level.", labels=("value",), mode="all"))
    info = store.declare(Definition("app", "info", "App.", labels=("said",), mode="mostrecent"))
    for value in ODD:
        counter.place((value,)).add(0, 1)
        if place := store.catalogue.find(counter.in_block, (value,)):  # type: ignore[union-attr,arg-type]
            Notes(own_block).write(
                place.offset, Exemplar({"a.b": value[:9].replace('"', ""), "": "", "a_b": ""}, 1.0, 1.0)
            )
        gauge.place((value,)).set(1)  # type: ignore[attr-defined]
    said = {"quote": '"', "lone": "\ud800", "long": "x" * 5000, "": "empty", "a.b": "dot", "a_b": "underscore"}
    info.place((json.dumps(said),)).set(1, 5.0)  # type: ignore[attr-defined]
    families = OwnReader(own_block).read().families
    text = render(*families)
    assert len(text) < 20_000
    assert check_metrics(text.encode()).stderr == ""
    for parsed in (parse_text(text), parse_openmetrics(render(*families, style=OPENMETRICS) + "# EOF\n")):
        odd, level, app = parsed
        assert {sample.labels["value"] for sample in odd.samples} >= set(ODD[:4])
        assert (len(odd.samples), {sample.value for sample in odd.samples}) == (len(ODD), {1.0})
        assert len(level.samples) == len(ODD)
        assert (app.samples[0].labels["quote"], len(app.samples[0].labels["long"])) == ('"', 1009)
    json.dumps(build_own(families), allow_nan=False).encode()


def test_an_info_that_says_something_new_too_often_is_still_valid(own_block: Block) -> None:
    """It shows the last that had room."""
    info = store_in(own_block).declare(Definition("app", "info", "App.", labels=("said",), mode="mostrecent"))
    for number in range(own_block.layout.own_series):
        info.place((json.dumps({"n": str(number)}),)).set(1, float(number))  # type: ignore[attr-defined]
    assert 'app_info{n="31"} 1.0\n' in render(*OwnReader(own_block).read().families)
