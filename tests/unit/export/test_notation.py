"""Numbers and names, beside those of the official library."""

import random
import struct

import pytest
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name
from prometheus_client.utils import floatToGoString

from hvd.export import notation


def test_numbers_are_written_as_the_official_library_does() -> None:
    """Any float, and integers as far as a float has them."""
    chance = random.Random(5)
    any_float = (struct.unpack("d", chance.randbytes(8))[0] for _ in range(3000))
    usual = (round(chance.random() * 10 ** chance.randrange(12), chance.randrange(5)) for _ in range(3000))
    integers = (chance.randrange(2 ** chance.randrange(1, 54)) for _ in range(3000))
    for value in (*any_float, *usual, *integers, 0, 0.0, -0.0, 999_999, 1_000_000, 10**15, 10**16, 2**53):
        assert notation.number(value) == floatToGoString(value), value


def test_large_integers_keep_their_digits() -> None:
    """What they are written as is that very number."""
    for value in (2**53 + 1, 2**62 + 12345, 2**63 - 1):
        mantissa, _, exponent = notation.number(value).partition("e+")
        whole, _, rest = mantissa.partition(".")
        assert int((whole + rest).ljust(int(exponent) + 1, "0")) == value


@pytest.mark.parametrize("escaping", notation.ESCAPINGS)
def test_names_are_escaped_as_the_official_library_does(escaping: str) -> None:
    """Of any characters, lone surrogates too; but for a line feed at the end, which the library takes for plain."""
    chance = random.Random(7)
    for _ in range(3000):
        name = "".join(chance.choice('ab_:.9"\\ ü你\ud800é-') for _ in range(chance.randrange(1, 6)))
        assert notation.metric_name(name, escaping) == escape_metric_name(name, escaping)
        assert notation.label_name(name, escaping) == escape_label_name(name, escaping)
    assert "\n" not in notation.metric_name("a\n", escaping)


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
