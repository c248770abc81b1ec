"""Counts by hvd's buckets → buckets of an exponential histogram. Pure, and without OpenTelemetry's library.

A bucket of scale s and index i has what is in (base^i, base^(i+1)], base = 2^(2^-s): opentelemetry-proto,
metrics.proto, ExponentialHistogramDataPoint.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from hvd.core.durations import BOUNDS
from hvd.core.own import logarithmic

DURATIONS_SCALE = 8
"""The scale for durations: a bucket spans 0.27 %, the least that Prometheus keeps. hvd's own buckets span up to 10.4 %,
with other bounds. So the counts of each go into the one bucket that has its representative value, which is within
4.95 % of all its durations; together 5.3 %. Empty buckets take a byte each, which compresses to nearly nothing, and
none where only buckets with counts are kept.
"""

OWN_SCALE = logarithmic.SCALE


class Exponential(NamedTuple):
    """Counts of what is above 0, by buckets from the one with index `offset` on; and how many were 0 or below."""

    scale: int
    offset: int
    counts: tuple[int, ...]
    zeros: int = 0


def index_of(value: float, scale: int) -> int:
    """Of the bucket of a value above 0."""
    return math.ceil(math.ldexp(math.log2(value), scale)) - 1


def _typical(bucket: int) -> float:
    """The value in s that stands for a bucket of durations: as read/requests.py, percentile, has it."""
    if bucket in (0, len(BOUNDS)):
        return BOUNDS[max(0, bucket - 1)] / 1e9
    low, high = BOUNDS[bucket - 1], BOUNDS[bucket]
    return 2 * low * high / (low + high) / 1e9


_INDEXES = tuple(index_of(_typical(bucket), DURATIONS_SCALE) for bucket in range(len(BOUNDS) + 1))


def of_durations(buckets: Sequence[int]) -> Exponential:
    """Of counts by the buckets of core/durations.py; values are in s."""
    used = [bucket for bucket, count in enumerate(buckets) if count]
    if not used:
        return Exponential(DURATIONS_SCALE, 0, ())
    offset = _INDEXES[used[0]]
    counts = [0] * (_INDEXES[used[-1]] - offset + 1)
    for bucket in used:
        counts[_INDEXES[bucket] - offset] += buckets[bucket]
    return Exponential(DURATIONS_SCALE, offset, tuple(counts))


def of_own(buckets: Sequence[int]) -> Exponential:
    """Of counts by hvd's logarithmic buckets, which are those of its scale: nothing is lost."""
    used = [bucket for bucket, count in enumerate(buckets) if count and bucket]
    if not used:
        return Exponential(OWN_SCALE, 0, (), buckets[0])
    offset = logarithmic.LOWEST * logarithmic.PER_OCTAVE + used[0] - 1
    return Exponential(OWN_SCALE, offset, tuple(buckets[used[0] : used[-1] + 1]), buckets[0])
