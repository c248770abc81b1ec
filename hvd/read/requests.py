"""Requests: those in progress, their sums over all series, rates of a span of time, percentiles, and routes. Pure."""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import accumulate
from typing import TypedDict

from hvd.core.catalogue import Series
from hvd.core.durations import BOUNDS, BUCKETS
from hvd.core.totals import Totals
from hvd.metrics.companion_pages import OpenPercentiles, QueueTimes, Rates
from hvd.metrics.table import HTTP, QUEUE

P50, P90, P99 = 0.5, 0.9, 0.99


class Request(TypedDict):
    """A request in progress, as snapshot and post-mortems have it; the path as far as the row keeps it, no query."""

    method: str
    path: str
    age_seconds: float


def request_of(text: str, age: float) -> Request:
    """The request that a row describes, `age` s after it began: hvd/instrument writes method and path as the text."""
    method, _, path = text.partition(" ")
    return {"method": method, "path": path, "age_seconds": round(age, 3)}


def percentile(buckets: Sequence[int], share: float) -> float:
    """The duration in ns that `share` (0 to 1) of the counted ones don't exceed; 0.0 where nothing is counted.

    Within 5 % of the value of that rank, for values from 11 µs to 100 s; shorter ones give 11 µs, longer ones 100 s.
    The harmonic mean of a bucket's ends is at most (r - 1) / (r + 1) from any value in it, r being the factor that it
    spans: 4.95 % for the widest (DDSketch, Masson, Rim and Lee, VLDB 2019, section 2.2, has the proof).
    """
    total = sum(buckets)
    if not total:
        return 0.0
    rank = max(1, math.ceil(total * share))
    return duration_in(next(index for index, seen in enumerate(accumulate(buckets)) if seen >= rank))


def duration_in(index: int) -> float:
    """The duration in ns that stands for all of that bucket."""
    if index in (0, len(BOUNDS)):
        return float(BOUNDS[max(0, index - 1)])
    low, high = BOUNDS[index - 1], BOUNDS[index]
    return 2 * low * high / (low + high)


@dataclass(frozen=True)
class RequestSums:
    """Responses, errors and those of them that are the server's (5xx), and of the completed responses the exact sum of
    durations in ns and their counts by bucket: of all until the monotonic time `at_ns`, or of a span that ends then.
    """

    at_ns: int
    responses: int
    errors: int
    server_errors: int
    duration_ns: int
    buckets: list[int]

    @property
    def mean_ms(self) -> float:
        """Of the durations; 0 where nothing is complete."""
        completed = sum(self.buckets)
        return self.duration_ns / completed / 1e6 if completed else 0.0

    def percentile_ms(self, share: float) -> float:
        """The duration that this share of the responses doesn't exceed, see `percentile`."""
        return round(percentile(self.buckets, share) / 1e6, 4)

    def since(self, before: "RequestSums") -> "RequestSums":
        """What came between the two moments."""
        return RequestSums(
            self.at_ns,
            self.responses - before.responses,
            self.errors - before.errors,
            self.server_errors - before.server_errors,
            self.duration_ns - before.duration_ns,
            [new - old for new, old in zip(self.buckets, before.buckets, strict=True)],
        )

    def with_open(self, ages_ns: Iterable[int]) -> OpenPercentiles:
        """Percentiles of a span at whose end requests in progress had these ages."""
        buckets = self.buckets.copy()
        for age in ages_ns:
            buckets[bisect_left(BOUNDS, age)] += 1
        opened = replace(self, buckets=buckets)
        p50, p90, p99 = (max(self.percentile_ms(share), opened.percentile_ms(share)) for share in (P50, P90, P99))
        return {"p50_with_open": p50, "p90_with_open": p90, "p99_with_open": p99}

    def queue_times(self) -> QueueTimes:
        """Of a span, where the durations are those that requests waited before they came."""
        return {"queue_time_p50": self.percentile_ms(P50), "queue_time_p99": self.percentile_ms(P99)}

    @property
    def client_errors(self) -> int:
        """The other errors (4xx). A response counts in its series first, and as an error second: so a worker that is
        killed in between leaves fewer errors than there were.
        """
        return max(0, self.errors - self.server_errors)

    def _share(self, responses: int) -> float:
        return round(responses / self.responses, 6) if self.responses else 0.0

    def rates(self, seconds: float) -> Rates:
        """Of a span of that length."""
        return {
            "requests_per_second": round(self.responses / seconds, 3) if seconds > 0 else 0.0,
            "error_rate": self._share(self.errors),
            "server_error_rate": self._share(self.server_errors),
            "client_error_rate": self._share(self.client_errors),
            "p50": self.percentile_ms(P50),
            "p90": self.percentile_ms(P90),
            "p99": self.percentile_ms(P99),
        }


def sum_requests(totals: Totals) -> RequestSums:
    """All requests so far."""
    return _sum(totals, totals.of(HTTP.key), totals.heads.errors)


def sum_queue(totals: Totals) -> RequestSums:
    """The time that requests so far waited before they came, as their durations."""
    return _sum(totals, totals.of(QUEUE.key), 0)


def _sum(totals: Totals, series: Sequence[Series], errors: int) -> RequestSums:
    runs = [totals.run(one) for one in series]
    buckets = [sum(column) for column in zip(*(run[2:].tolist() for run in runs), strict=True)] or [0] * BUCKETS
    return RequestSums(
        totals.monotonic_ns,
        sum(run[0] for run in runs),
        errors,
        sum(run[0] for one, run in zip(series, runs, strict=True) if is_server_error(one)),
        sum(run[1] for run in runs),
        buckets,
    )


def is_server_error(series: Series) -> bool:
    """True of the responses of a status from 500 on; their series has it as its third label."""
    return len(series.labels) > 2 and series.labels[2].startswith("5")


class Route(TypedDict):
    """A route's responses by status, and mean and percentiles in ms of the completed ones."""

    route: str
    methods: list[str]
    count: int
    errors: int
    client_errors: int
    server_errors: int
    statuses: dict[str, int]
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


def build_routes(totals: Totals, most: int | None = None, first: Collection[str] = ()) -> list[Route]:
    """All routes by name, or so many that have the most responses, these first; before all others those of `first`."""
    routes: dict[str, list[Series]] = {}
    for series in totals.of(HTTP.key):
        if totals.cells[series.offset]:
            routes.setdefault(series.labels[1], []).append(series)
    by_name = sorted(routes.items())
    if most is not None:
        by_name = nlargest(
            most, by_name, key=lambda item: (item[0] in first, sum(totals.cells[one.offset] for one in item[1]))
        )
    return [_route(route, series, totals) for route, series in by_name]


def _route(route: str, series: Sequence[Series], totals: Totals) -> Route:
    statuses: dict[str, int] = {}
    for one in series:
        statuses[one.labels[2]] = statuses.get(one.labels[2], 0) + totals.cells[one.offset]
    sums = _sum(totals, series, sum(count for status, count in statuses.items() if "4" <= status < "9"))
    return {
        "route": route,
        "methods": sorted({one.labels[0] for one in series}),
        "count": sums.responses,
        "errors": sums.errors,
        "client_errors": sums.client_errors,
        "server_errors": sums.server_errors,
        "statuses": dict(sorted(statuses.items())),
        "mean_ms": sums.mean_ms,
        "p50_ms": sums.percentile_ms(P50),
        "p90_ms": sums.percentile_ms(P90),
        "p99_ms": sums.percentile_ms(P99),
    }
