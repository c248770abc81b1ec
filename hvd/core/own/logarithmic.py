"""hvd's logarithmic buckets of any amounts: eight an octave, from 2^-30 to 2^34, so a percentile is within 5 %.

They are those of scale 3 of the exponential histograms of OpenTelemetry (opentelemetry-proto, metrics.proto,
ExponentialHistogramDataPoint): bucket i is (base^i, base^(i+1)], base = 2^(1/8) = 1.0905.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

SCALE = 3
PER_OCTAVE = 8
LOWEST, HIGHEST = -30, 34  # octaves: from a nanosecond, of seconds, to 17 billion

CELLS = 2 + (HIGHEST - LOWEST) * PER_OCTAVE
"""Buckets: of what is 0 or below, those between, where the first has what is lower too, and one of what is higher."""

THRESHOLDS = tuple(0.5 * 2 ** (step / PER_OCTAVE) for step in range(1, PER_OCTAVE + 1))
"""Upper bounds, inclusive, of an octave's buckets, for mantissas from 0.5 to 1."""

BUCKETS = (0.0, *(math.ldexp(THRESHOLDS[i % 8], LOWEST + i // 8 + 1) for i in range((HIGHEST - LOWEST) * PER_OCTAVE)))
"""Upper bounds, inclusive, of all but the last."""


def bucket_of(amount: float) -> int:
    """The number of an amount's bucket, from 0 on; of NaN the last one's."""
    if amount <= 0:
        return 0
    if not amount <= BUCKETS[-1]:
        return CELLS - 1
    mantissa, exponent = math.frexp(amount)
    if mantissa == 0.5:  # the upper end of the octave below
        mantissa, exponent = 1.0, exponent - 1
    return 1 + max(0, (exponent - 1 - LOWEST) * PER_OCTAVE + bisect_left(THRESHOLDS, mantissa))


def octave_ends(counts: Sequence[int]) -> Iterator[int]:
    """How many buckets are below each bound that is shown: 0 where something is not above it, and the
    powers of two around what was observed. They only become more.
    """
    if counts[0]:
        yield 1
    used = [index for index in range(1, len(counts) - 1) if counts[index]]
    if used:
        lowest, highest = ((index - 1) // PER_OCTAVE for index in (used[0], used[-1]))
        yield from (1 + octave * PER_OCTAVE for octave in range(max(1, lowest), highest + 2))
