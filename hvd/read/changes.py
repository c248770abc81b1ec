"""What changed: one span against the one before it, for all requests together and for each route. Pure.

A change is reported only where chance does not explain it: shares are compared by a two-proportion z test, rates as
counts of a Poisson process, and a 99th percentile by how many responses exceed the other span's. And only where it is
large enough to matter.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypedDict

from hvd.core.durations import BOUNDS
from hvd.metrics.spans import SpanRecord, Sums
from hvd.read.requests import P99
from hvd.read.spans import RouteSums, percentiles_ms, routes_of

MOST = 10
Z = 3.5
"""Standard deviations from what is expected: chance exceeds it once in two thousand comparisons."""

ERRORS = 5  # more or fewer than expected, at least
REQUESTS = 10  # of each span, at least, for a share to be one
RATE_FACTOR, RATE_REQUESTS = 1.5, 20  # by how much a rate changes at least, and by how many requests
P99_FACTOR, P99_MS, P99_RESPONSES = 1.5, 5.0, 5  # and how many responses exceed the other span's percentile at least
BUSY = 0.2  # of all threads

What = Literal["server_error_rate", "client_error_rate", "p99_ms", "requests_per_second", "busy_ratio"]
_ORDER: tuple[What, ...] = ("server_error_rate", "busy_ratio", "p99_ms", "client_error_rate", "requests_per_second")
"""What means most to an operator comes first."""


class Change(TypedDict):
    """A figure then and now, null where there was nothing; of a route, or of all together where that is "". `weight` is
    how many requests, or seconds of their time, it is about.
    """

    what: What
    route: str
    before: float | None
    now: float | None
    weight: float
    is_bad: bool
    text: str


class _Side(NamedTuple):
    """A route, or all, in one of the spans."""

    seconds: float
    sums: Sums
    client_errors: int
    server_errors: int

    @property
    def rate(self) -> float:
        return self.sums.responses / self.seconds if self.seconds > 0 else 0.0


def find_changes(last: SpanRecord, before: SpanRecord | None) -> list[Change]:
    """The changes, those that mean most first: what got worse, then what got better."""
    if before is None or last.seconds <= 0 or before.seconds <= 0:
        return []
    changes = [*_of(_all(before), _all(last), ""), *_busy(before, last)]
    then, now = routes_of(before.series), routes_of(last.series)
    for route in {**now, **then}:
        if (route not in then and before.left_out) or (route not in now and last.left_out):
            continue  # it may have been left out
        changes += _of(_side(then, route, before.seconds), _side(now, route, last.seconds), route)
    changes.sort(key=lambda change: (not change["is_bad"], _ORDER.index(change["what"]), -change["weight"]))
    return changes[:MOST]


def _all(record: SpanRecord) -> _Side:
    return _Side(record.seconds, record.total, record.client_errors, record.server_errors)


def _side(routes: Mapping[str, RouteSums], route: str, seconds: float) -> _Side:
    known = routes.get(route)
    return (
        _Side(seconds, known.sums, known.client_errors, known.server_errors) if known else _Side(seconds, Sums(), 0, 0)
    )


def _of(before: _Side, now: _Side, route: str) -> Iterator[Change]:
    counts = before.sums.responses, now.sums.responses
    yield from _share("server_error_rate", "5xx", route, (before.server_errors, now.server_errors), counts)
    yield from _share("client_error_rate", "4xx", route, (before.client_errors, now.client_errors), counts)
    yield from _p99(before.sums, now.sums, route)
    yield from _rate(before, now, route)


def _share(what: What, word: str, route: str, errors: tuple[int, int], counts: tuple[int, int]) -> Iterator[Change]:
    (failed_before, failed), (all_before, all_now) = errors, counts
    if all_now < REQUESTS or 0 < all_before < REQUESTS:
        return
    share_before = failed_before / all_before if all_before else 0.0
    more = failed - share_before * all_now
    if abs(more) < ERRORS or (all_before and abs(proportions_z(errors, counts)) < Z):
        return
    share = failed / all_now
    then = share_text(share_before) if all_before else "none"
    yield {
        "what": what,
        "route": route,
        "before": round(share_before, 6) if all_before else None,
        "now": round(share, 6),
        "weight": round(abs(more), 1),
        "is_bad": more > 0,
        "text": f"{_name(route)}: {word} {then} → {share_text(share)} ({failed:,} of {all_now:,})",
    }


def _p99(before: Sums, now: Sums, route: str) -> Iterator[Change]:
    if min(before.responses, now.responses) < REQUESTS:
        return
    (then_ms,), (now_ms,) = percentiles_ms(before, P99), percentiles_ms(now, P99)
    if then_ms is None or now_ms is None:
        return
    low, high = min(then_ms, now_ms), max(then_ms, now_ms)
    if high < P99_FACTOR * low or high - low < P99_MS or not _exceeds(before, now, low):
        return
    completed, completed_before = sum(now.buckets.values()), sum(before.buckets.values())
    lost = now.duration_ns - before.duration_ns * completed / completed_before
    yield {
        "what": "p99_ms",
        "route": route,
        "before": then_ms,
        "now": now_ms,
        "weight": round(max(0.0, (lost if now_ms > then_ms else -lost) / 1e9), 3),
        "is_bad": now_ms > then_ms,
        "text": f"{_name(route)}: p99 {time_text(then_ms)} → {time_text(now_ms)} (of {completed:,})",
    }


def _exceeds(before: Sums, now: Sums, limit_ms: float) -> bool:
    """Whether more of one span's responses than of the other's take longer, by more than chance gives."""
    slow = tuple(
        sum(number for bucket, number in sums.buckets.items() if bucket and BOUNDS[bucket - 1] > limit_ms * 1e6)
        for sums in (before, now)
    )
    counts = sum(before.buckets.values()), sum(now.buckets.values())
    if min(counts) < REQUESTS or max(slow) < P99_RESPONSES:
        return False
    return abs(proportions_z((slow[0], slow[1]), counts)) >= Z


def _rate(before: _Side, now: _Side, route: str) -> Iterator[Change]:
    expected = before.rate * now.seconds
    difference = now.sums.responses - expected
    low, high = sorted((before.rate, now.rate))
    if high < RATE_FACTOR * low or max(abs(difference), abs(difference) * before.seconds / now.seconds) < RATE_REQUESTS:
        return
    if abs(poisson_z((before.sums.responses, now.sums.responses), (before.seconds, now.seconds))) < Z:
        return
    if not now.sums.responses:
        text = f"{_name(route)}: no requests any more ({rate_text(before.rate)} before)"
    elif not before.sums.responses:
        text = f"{_name(route)}: {rate_text(now.rate)} (none before)"
    else:
        text = f"{_name(route)}: {rate_text(before.rate)} → {rate_text(now.rate)}"
    yield {
        "what": "requests_per_second",
        "route": route,
        "before": round(before.rate, 3) if before.sums.responses else None,
        "now": round(now.rate, 3) if now.sums.responses else None,
        "weight": round(abs(difference), 1),
        "is_bad": now.rate < before.rate / 2,
        "text": text,
    }


def _busy(before: SpanRecord, last: SpanRecord) -> Iterator[Change]:
    then, now = before.busy_ratio, last.busy_ratio
    if then is None or now is None or abs(now - then) < BUSY:
        return
    yield {
        "what": "busy_ratio",
        "route": "",
        "before": then,
        "now": now,
        "weight": round(abs(now - then) * last.seconds, 3),
        "is_bad": now > then,
        "text": f"busy threads: {share_text(then)} → {share_text(now)}",
    }


def proportions_z(parts: tuple[int, int], wholes: tuple[int, int]) -> float:
    """How many standard deviations two shares differ, if they were the same in truth; 0.0 where nothing differs."""
    pooled = sum(parts) / sum(wholes)
    variance = pooled * (1 - pooled) * (1 / wholes[0] + 1 / wholes[1])
    return (parts[1] / wholes[1] - parts[0] / wholes[0]) / math.sqrt(variance) if variance > 0 else 0.0


def poisson_z(counts: tuple[int, int], seconds: tuple[float, float]) -> float:
    """As `proportions_z`, for two rates: by chance, each span has a share of all events like its share of the time."""
    total, share = sum(counts), seconds[1] / sum(seconds)
    return (counts[1] - total * share) / math.sqrt(total * share * (1 - share)) if total else 0.0


def _name(route: str) -> str:
    return route or "all routes"


def share_text(share: float) -> str:
    """`12 %`, `1.2 %`, `0.05 %`."""
    value = 100 * share
    return f"{value:.{0 if value >= 10 or not value else 1 if value >= 1 else 2}f} %"


def time_text(ms: float) -> str:
    """`45 ms`, `1.45 s` from 1,000 ms on."""
    if ms >= 1000:
        return f"{ms / 1000:,.2f} s"
    return f"{ms:.{0 if ms >= 10 else 1}f} ms"


def rate_text(rate: float) -> str:
    """`12 requests/s`, with a decimal where it tells something."""
    return f"{rate:,.{0 if rate >= 100 else 1 if rate >= 1 else 2}f} requests/s"
