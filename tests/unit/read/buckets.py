"""Shared by tests of durations: values, and the buckets into which they fall."""

import math
import random
from bisect import bisect_left

from hvd.core.durations import BOUNDS, BUCKETS


def bucketed(values: list[int]) -> list[int]:
    """As rows.py sorts durations."""
    buckets = [0] * BUCKETS
    for value in values:
        buckets[bisect_left(BOUNDS, value)] += 1
    return buckets


def between(random_: random.Random, low: float, high: float) -> int:
    return round(math.exp(random_.uniform(math.log(low), math.log(high))))
