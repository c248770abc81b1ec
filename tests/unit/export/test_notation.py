"""Names, beside those of the official library."""

import random

import pytest
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name

from hvd.export import notation


@pytest.mark.parametrize("escaping", notation.ESCAPINGS)
def test_names_are_escaped_as_the_official_library_does(escaping: str) -> None:
    """Of any characters, lone surrogates too; but for a line feed at the end, which the library takes for plain."""
    chance = random.Random(7)
    for _ in range(3000):
        name = "".join(chance.choice('ab_:.9"\\ ü你\ud800é-') for _ in range(chance.randrange(1, 6)))
        assert notation.metric_name(name, escaping) == escape_metric_name(name, escaping)
        assert notation.label_name(name, escaping) == escape_label_name(name, escaping)
    assert "\n" not in notation.metric_name("a\n", escaping)


def test_no_label_of_a_series_is_empty_or_comes_twice() -> None:
    """Whatever the scheme makes of their names."""
    assert notation.label_names(["", "a.b", "a_b", "a_b"], notation.UNDERSCORES) == ["_", "a_b", "a_b_", "a_b__"]
    assert notation.label_names(["", "a.b", "a_b", "a.b"], notation.ALLOW_UTF_8) == ["_", '"a.b"', "a_b", '"a.b_"']
    assert notation.label_names(["a_b"], notation.UNDERSCORES, taken=["a_b"]) == ["a_b_"]


TEXT = """# HELP a_b Help_1 {x_y="1"}.
# TYPE a_b counter
a_b_total{c_d="e_f=\\"{,g_h=\\"",le="1"} 1
a_b_sum 2
"""


def test_plain_names_have_their_underscores_doubled_in_dots() -> None:
    """Not what stands in values and in the help."""
    assert (
        notation.in_dots(TEXT)
        == """# HELP a__b Help_1 {x_y="1"}.
# TYPE a__b counter
a__b__total{c__d="e_f=\\"{,g_h=\\"",le="1"} 1
a__b__sum 2
"""
    )


def test_samples_of_other_names_are_left_out() -> None:
    """With the family's head, where none is left."""
    assert notation.only_named(TEXT, {"a_b_sum", "b"}).endswith("counter\na_b_sum 2\n")
    assert notation.only_named(TEXT, {"a_b_total"}) == TEXT.replace("a_b_sum 2\n", "")
    assert notation.only_named(TEXT, {"a_b"}) == ""
