"""Spans of time: which of them are the last minute, what they have of the service, its routes and its workers. Pure."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import sub
from typing import NamedTuple, TypedDict

from hvd.core.totals import Totals
from hvd.metrics.companion_pages import Span
from hvd.metrics.spans import SECONDS, Labels, SpanRecord, Sums, add_sums
from hvd.metrics.table import HTTP
from hvd.read.requests import P50, P90, P99, RequestSums, duration_in

MINUTE = 60.0  # s
OTHERS = "(others)"
"""The route of what others_of gives."""

# Of a span: what is shorter or longer is nothing to compare it with. The last minute's length goes up and down between
# 56 and 64 s, so three records of ten seconds are enough for all of these, or for none.
_LEAST, _MOST = 0.42, 2.0


class RouteSpan(TypedDict):
    """A route's responses in a span of time, as `Span` has those of all."""

    route: str
    methods: list[str]
    requests: int
    requests_per_second: float
    client_errors: int
    server_errors: int
    client_error_rate: float
    server_error_rate: float
    statuses: dict[str, int]
    seconds_spent: float
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None


class RouteSums(NamedTuple):
    """What is known of a route in a span."""

    methods: frozenset[str]
    statuses: Mapping[str, int]
    sums: Sums

    @property
    def client_errors(self) -> int:
        return sum(number for status, number in self.statuses.items() if status.startswith("4"))

    @property
    def server_errors(self) -> int:
        return sum(number for status, number in self.statuses.items() if status.startswith("5"))


def percentiles_ms(sums: Sums, *shares: float) -> list[float | None]:
    """As requests.percentile has them, in ms, of shares in falling order; None where nothing was completed."""
    completed = sum(sums.buckets.values())
    if not completed:
        return [None] * len(shares)
    above, durations = completed, list[float | None]()
    longest_first = iter(sorted(sums.buckets.items(), reverse=True))  # so a 99th percentile comes soon
    for share in shares:
        rank = max(1, math.ceil(completed * share))
        while above >= rank:
            bucket, number = next(longest_first)
            above -= number
        durations.append(round(duration_in(bucket) / 1e6, 4))
    return durations


def mean_ms(sums: Sums) -> float | None:
    """Of the durations; None where nothing was completed."""
    completed = sum(sums.buckets.values())
    return sums.duration_ns / completed / 1e6 if completed else None


def sums_of(run: Sequence[int], before: Sequence[int] | None) -> Sums:
    """What a timed series' cells have more than they had before."""
    responses, duration_ns, *buckets = run if before is None else map(sub, run, before)
    return Sums(responses, duration_ns, _sparse(buckets))


def _sparse(buckets: Sequence[int]) -> dict[int, int]:
    return {bucket: number for bucket, number in enumerate(buckets) if number}


def series_since(totals: Totals, before: memoryview) -> dict[Labels, Sums]:
    """What each series of requests has counted since those cells; those that have not changed are left out."""
    grown: dict[Labels, Sums] = {}
    cells, known = totals.cells, len(before)
    for series in totals.of(HTTP.key):
        start, end = series.offset, series.offset + series.cells
        past = None
        if end <= known:
            if cells[start] == before[start] and cells[start + 1] == before[start + 1]:
                continue
            past = before[start:end].tolist()
        elif not cells[start]:
            continue
        grown[series.labels] = sums_of(cells[start:end].tolist(), past)
    return grown


def total_of(requests: RequestSums) -> Sums:
    """The sums of a span, as records have them."""
    return Sums(requests.responses, requests.duration_ns, _sparse(requests.buckets))


def merge_spans(records: Sequence[SpanRecord]) -> SpanRecord:
    """Spans one after the other, the oldest first, as one: at least one. It begins as long before its end as they
    last together: a clock that was set meanwhile changes none of it.
    """
    if len(records) == 1:
        return records[0]
    series: dict[Labels, list[Sums]] = {}
    for record in records:
        for labels, sums in record.series.items():
            series.setdefault(labels, []).append(sums)
    last = records[-1]
    known = [record for record in records if record.busy_ratio is not None and record.to_ns > record.from_ns]
    busy = [((record.busy_ratio or 0.0) * record.seconds, record.seconds) for record in known]
    return SpanRecord(
        last.to_ns - sum(record.to_ns - record.from_ns for record in records),
        last.to_ns,
        add_sums(record.total for record in records),
        sum(record.client_errors for record in records),
        sum(record.server_errors for record in records),
        {labels: several[0] if len(several) == 1 else add_sums(several) for labels, several in series.items()},
        last.workers,
        round(sum(share for share, _ in busy) / sum(seconds for _, seconds in busy), 4) if busy else None,
        sum(record.left_out for record in records),
    )


def count_last(lengths: Sequence[float], wanted: float) -> int:
    """How many of these spans in s, the newest first, come next to `wanted` s together; at least one of them."""
    sums = list(accumulate(lengths))
    return min(range(len(sums)), key=lambda index: abs(sums[index] - wanted), default=-1) + 1


def last_and_before(records: Sequence[SpanRecord], wanted: float = MINUTE) -> tuple[int, int]:
    """How many of these records, the oldest first, are the last `wanted` s; and how many before them are as long. 0
    where there are none, or for less than 0.42 of that time, or for more than twice: nobody ticked for so long, as
    while the machine slept.
    """
    lengths = [record.seconds for record in reversed(records)]
    last = count_last(lengths, wanted)
    if sum(lengths[:last]) > _MOST * wanted:
        return 0, 0
    return last, count_before(records[: len(records) - last], sum(lengths[:last]))


def span_of(record: SpanRecord) -> Span:
    """The figures of all responses."""
    total, seconds = record.total, record.seconds
    p99, p90, p50 = percentiles_ms(total, P99, P90, P50)
    return {
        "seconds": round(seconds, 3),
        "requests": total.responses,
        "requests_per_second": rate_of(total.responses, seconds),
        "server_errors": record.server_errors,
        "client_errors": record.client_errors,
        "server_error_rate": share_of(record.server_errors, total.responses),
        "client_error_rate": share_of(record.client_errors, total.responses),
        "seconds_spent": round(total.duration_ns / 1e9, 6),
        "mean_ms": mean_ms(total),
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "busy_ratio": record.busy_ratio,
    }


def routes_of(series: Mapping[Labels, Sums]) -> dict[str, RouteSums]:
    """By route, with all its methods and statuses."""
    by_route: dict[str, list[tuple[Labels, Sums]]] = {}
    for labels, sums in series.items():
        by_route.setdefault(labels[1], []).append((labels, sums))
    return {route: _route(several) for route, several in sorted(by_route.items())}


def others_of(record: SpanRecord) -> RouteSums | None:
    """What the span has beside its series: those for which its records had no room, together; None where there are
    none. Their statuses are known by class only, and their methods not at all.
    """
    if not record.left_out:
        return None
    known, total = add_sums(record.series.values()), record.total
    buckets = {bucket: number - known.buckets.get(bucket, 0) for bucket, number in total.buckets.items()}
    routes = routes_of(record.series).values()
    errors = {
        "4xx": record.client_errors - sum(route.client_errors for route in routes),
        "5xx": record.server_errors - sum(route.server_errors for route in routes),
    }
    responses = total.responses - known.responses
    statuses = {"2xx, 3xx": responses - sum(errors.values()), **errors}
    return RouteSums(
        frozenset(),
        {status: number for status, number in statuses.items() if number > 0},
        Sums(
            responses,
            total.duration_ns - known.duration_ns,
            {bucket: number for bucket, number in buckets.items() if number > 0},
        ),
    )


def _route(several: Sequence[tuple[Labels, Sums]]) -> RouteSums:
    statuses: dict[str, int] = {}
    for (_, _, status), sums in several:
        if sums.responses:  # a response may be counted in one span and completed in the next
            statuses[status] = statuses.get(status, 0) + sums.responses
    methods = frozenset(labels[0] for labels, _ in several)
    return RouteSums(methods, statuses, several[0][1] if len(several) == 1 else add_sums(sums for _, sums in several))


def route_span(route: str, known: RouteSums, seconds: float) -> RouteSpan:
    """The figures of a route in a span of that length."""
    sums = known.sums
    p99, p90, p50 = percentiles_ms(sums, P99, P90, P50)
    return {
        "route": route,
        "methods": sorted(known.methods),
        "requests": sums.responses,
        "requests_per_second": rate_of(sums.responses, seconds),
        "client_errors": known.client_errors,
        "server_errors": known.server_errors,
        "client_error_rate": share_of(known.client_errors, sums.responses),
        "server_error_rate": share_of(known.server_errors, sums.responses),
        "statuses": dict(sorted(known.statuses.items())),
        "seconds_spent": round(sums.duration_ns / 1e9, 6),
        "mean_ms": mean_ms(sums),
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
    }


def share_of(part: int, whole: int) -> float:
    """0 to 1; 0.0 of nothing."""
    return round(part / whole, 6) if whole else 0.0


def rate_of(count: int, seconds: float) -> float:
    return round(count / seconds, 3) if seconds > 0 else 0.0


def select_spans(records: Sequence[SpanRecord], from_ns: int, to_ns: int) -> range:
    """Which of these records, the oldest first, lie for their greater part in that time; where none does, the one that
    has its middle. An empty range lies where they would be.
    """
    middles = [(record.from_ns + record.to_ns) // 2 for record in records]
    first = sum(middle < from_ns for middle in middles)
    end = max(first, sum(middle <= to_ns for middle in middles))
    middle = (from_ns + to_ns) // 2
    if first == end:
        within = [n for n, record in enumerate(records) if record.from_ns <= middle <= record.to_ns]
        return range(within[0], within[0] + 1) if within else range(first, first)
    return range(first, end)


def count_before(records: Sequence[SpanRecord], seconds: float) -> int:
    """How many of these records, the last ones, are a span of that length; 0 where they are less than 0.42 of it, or
    more than twice.
    """
    lengths = [record.seconds for record in reversed(records)]
    number = count_last(lengths, seconds)
    return number if _LEAST * seconds <= sum(lengths[:number]) <= _MOST * max(seconds, SECONDS) else 0
