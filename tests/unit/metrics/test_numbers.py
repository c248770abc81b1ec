"""Numbers, beside those of the official library."""

import random
import struct

from prometheus_client.utils import floatToGoString

from hvd.metrics.numbers import number


def test_numbers_are_written_as_the_official_library_does() -> None:
    """Any float, and integers as far as a float has them."""
    chance = random.Random(5)
    any_float = (struct.unpack("d", chance.randbytes(8))[0] for _ in range(3000))
    usual = (round(chance.random() * 10 ** chance.randrange(12), chance.randrange(5)) for _ in range(3000))
    integers = (chance.randrange(2 ** chance.randrange(1, 54)) for _ in range(3000))
    for value in (*any_float, *usual, *integers, 0, 0.0, -0.0, 999_999, 1_000_000, 10**15, 1e16, 2**53):
        assert number(value) == floatToGoString(value), value


def test_large_integers_keep_their_digits() -> None:
    """What they are written as is that very number."""
    for value in (2**53 + 1, 2**60, 2**62 + 12345, 2**63 - 1):
        assert number(value) == str(value)
