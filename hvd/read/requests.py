"""Requests: their sums over all series, rates of a span of time, and routes. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import TypedDict

from hvd.core.catalogue import Series
from hvd.core.durations import BUCKETS
from hvd.core.totals import Totals
from hvd.metrics.companion_pages import Rates
from hvd.metrics.table import HTTP
from hvd.read.percentiles import percentile

P50, P90, P99 = 0.5, 0.9, 0.99


@dataclass(frozen=True)
class RequestSums:
    """Responses and errors, and of the completed responses the exact sum of durations in ns and their counts by bucket:
    of all until the monotonic time `at_ns`, or of a span that ends then.
    """

    at_ns: int
    responses: int
    errors: int
    duration_ns: int
    buckets: list[int]

    @property
    def mean_ms(self) -> float:
        """Of the durations; 0 where nothing is complete."""
        completed = sum(self.buckets)
        return self.duration_ns / completed / 1e6 if completed else 0.0

    def percentile_ms(self, share: float) -> float:
        """The duration that this share of the responses doesn't exceed, see percentiles.percentile."""
        return round(percentile(self.buckets, share) / 1e6, 4)

    def since(self, before: "RequestSums") -> "RequestSums":
        """What came between the two moments."""
        return RequestSums(
            self.at_ns,
            self.responses - before.responses,
            self.errors - before.errors,
            self.duration_ns - before.duration_ns,
            [new - old for new, old in zip(self.buckets, before.buckets, strict=True)],
        )

    def rates(self, seconds: float) -> Rates:
        """Of a span of that length."""
        return {
            "requests_per_second": round(self.responses / seconds, 3) if seconds > 0 else 0.0,
            "error_rate": round(self.errors / self.responses, 6) if self.responses else 0.0,
            "p50": self.percentile_ms(P50),
            "p90": self.percentile_ms(P90),
            "p99": self.percentile_ms(P99),
        }


def sum_requests(totals: Totals) -> RequestSums:
    """All requests so far."""
    return _sum(totals, totals.of(HTTP.key), totals.heads.errors)


def _sum(totals: Totals, series: Iterable[Series], errors: int) -> RequestSums:
    runs = [totals.run(one) for one in series]
    buckets = [sum(column) for column in zip(*(run[2:].tolist() for run in runs), strict=True)] or [0] * BUCKETS
    return RequestSums(totals.monotonic_ns, sum(run[0] for run in runs), errors, sum(run[1] for run in runs), buckets)


class Route(TypedDict):
    """A route's responses by status, and mean and percentiles in ms of the completed ones."""

    route: str
    methods: list[str]
    count: int
    errors: int
    statuses: dict[str, int]
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


def build_routes(totals: Totals, most: int | None = None) -> list[Route]:
    """All routes by name, or so many that have the most responses, these first."""
    routes: dict[str, list[Series]] = {}
    for series in totals.of(HTTP.key):
        if totals.cells[series.offset]:
            routes.setdefault(series.labels[1], []).append(series)
    by_name = sorted(routes.items())
    if most is not None:
        by_name = nlargest(most, by_name, key=lambda item: sum(totals.cells[one.offset] for one in item[1]))
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
        "statuses": dict(sorted(statuses.items())),
        "mean_ms": sums.mean_ms,
        "p50_ms": sums.percentile_ms(P50),
        "p90_ms": sums.percentile_ms(P90),
        "p99_ms": sums.percentile_ms(P99),
    }
