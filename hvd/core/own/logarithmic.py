"""hvd's logarithmic buckets of any amounts: eight an octave, from 2^-30 to 2^34, so a percentile is within 5 %.

They are those of scale 3 of the exponential histograms of OpenTelemetry (opentelemetry-proto, metrics.proto,
ExponentialHistogramDataPoint): bucket i is (base^i, base^(i+1)], base = 2^(1/8) = 1.0905.
"""

import math
from bisect import bisect_left

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
