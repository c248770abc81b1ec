"""Shared by tests of spans of time: what was answered in one, from plain durations or at random."""

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from hvd.core.durations import BOUNDS, BUCKETS
from hvd.metrics.spans import SpanRecord, Sums, add_sums

MS, SECOND = 10**6, 10**9


def answered(durations_ns: Iterable[int], responses: int | None = None) -> Sums:
    """Responses with these durations."""
    durations = list(durations_ns)
    buckets = Counter(bisect_left(BOUNDS, ns) for ns in durations)
    return Sums(len(durations) if responses is None else responses, sum(durations), dict(buckets))


def random_sums(order: random.Random, most: int) -> Sums:
    """Of up to so many responses, not all of them complete."""
    completed = order.randint(0, most)
    buckets = Counter(order.randrange(BUCKETS) for _ in range(completed))
    return Sums(completed + order.randint(0, 3), order.randrange(10**10) if completed else 0, dict(buckets))


def span(seconds: float, *series: tuple[str, str, Sums], end: float = 1000, busy: float | None = None) -> SpanRecord:
    """A span that ends then (Unix s), in which routes answered with these statuses."""
    by_labels = {("GET", route, status): one for route, status, one in series}
    errors = [sum(one.responses for _, status, one in series if status.startswith(word)) for word in "45"]
    to_ns = round(end * SECOND)
    return SpanRecord(
        to_ns - round(seconds * SECOND), to_ns, add_sums(by_labels.values()), *errors, by_labels, busy_ratio=busy
    )
