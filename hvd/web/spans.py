"""`/api/v1/routes` and `/api/v1/workers`: what they did in a span of time of the last quarter of an hour."""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import falcon

from hvd.metrics.companion_pages import Span
from hvd.metrics.spans import SpanRecord
from hvd.read.changes import Change, find_changes
from hvd.read.recorded import read_spans, read_until_now, span_of_all
from hvd.read.spans import (
    MINUTE,
    OTHERS,
    RouteSpan,
    count_before,
    last_and_before,
    merge_spans,
    others_of,
    route_span,
    routes_of,
    select_spans,
    span_of,
)
from hvd.read.worker_spans import COLUMNS, WorkerPoints, worker_points
from hvd.texts import quoted
from hvd.web.resources import JsonResource

LATEST = 1e11  # s, some three thousand years: what is later is in other units


RoutesAnswer = TypedDict(
    "RoutesAnswer",
    {
        "from": float,
        "to": float,
        "seconds": float,
        "service": Span,
        "before": Span | None,
        "routes": list[RouteSpan],
        "left_out": int,
        "changes": list[Change],
    },
)
RoutesAnswer.__doc__ = """What was answered between `from` and `to` (Unix time in s), which is what could be covered of
what was wanted: all together, as `before`, a span of the same length before it, and by route, those with the most
requests first. Of past spans the least busy series may have had no room: `left_out` is how many, summed over records,
and all of them together are the route "(others)", so that the routes add up to all. Spans begin and end where records
of ten seconds do; `seconds` is the time covered."""

WorkersAnswer = TypedDict(
    "WorkersAnswer", {"from": float, "to": float, "columns": Sequence[str], "workers": list[WorkerPoints]}
)
WorkersAnswer.__doc__ = """The workers between `from` and `to` (Unix time in s), a point every ten seconds: a value for
each of `columns`, null where one is not known."""


class Bounds(NamedTuple):
    """What a request wants, in Unix s; None where it does not say."""

    start: float | None
    end: float | None

    def both(self, now_ns: int) -> tuple[int, int]:
        """In ns: what is left open is until now, and the last minute. Of times to come nothing is known yet."""
        end = now_ns if self.end is None else round(self.end * 1e9)
        start = max(0, end - round(MINUTE * 1e9)) if self.start is None else round(self.start * 1e9)
        return start, max(start, end)


def bounds_of(req: falcon.Request) -> Bounds:
    """`from` and `to`. Raises falcon.HTTPBadRequest naming the one that is wrong."""
    start, end = _time(req, "from"), _time(req, "to")
    if start is not None and end is not None and start >= end:
        raise falcon.HTTPBadRequest(
            description=f"from is {start:.3f}, which is not before to, {end:.3f}: give an earlier time."
        )
    return Bounds(start, end)


def _time(req: falcon.Request, name: str) -> float | None:
    text = req.get_param(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LATEST:
        remedy = "give a Unix time in seconds, as date +%s prints it"
        raise falcon.HTTPBadRequest(description=f"{name} is {quoted(text)}, which is no time: {remedy}.")
    return value


def is_for_all(req: falcon.Request) -> bool:
    """Whether it wants all since the totals began. Raises falcon.HTTPBadRequest for what is neither yes nor no."""
    text = req.get_param("all", default="0")
    if text not in ("0", "1"):
        raise falcon.HTTPBadRequest(description=f"all is {quoted(text)}: give 1, or leave it out.")
    if text == "1" and (req.has_param("from") or req.has_param("to")):
        raise falcon.HTTPBadRequest(description="all is 1, and there is from or to: give one or the other.")
    return text == "1"


class Routes(JsonResource):
    """`/api/v1/routes`: the last minute, the span between `?from=` and `to=`, or with `?all=1` all there was."""

    def answer_to(self, req: falcon.Request) -> RoutesAnswer:
        bounds, parts = bounds_of(req), self._here.parts
        if is_for_all(req):
            totals = parts.reader.totals()
            return {**routes_answer(span_of_all(totals), None), "from": round(totals.since_ns / 1e9, 3)}
        spans, totals = read_until_now(parts.block, parts.reader.totals)
        start, end = bounds.both(totals.time_ns)
        if bounds == (None, None):
            last, before = last_and_before(spans)
            chosen = range(len(spans) - last, len(spans))
        else:
            chosen = select_spans(spans, start, end)
            before = count_before(spans[: chosen.start], sum(spans[n].seconds for n in chosen)) if chosen else 0
        if not chosen:
            return {**routes_answer(SpanRecord(end, end), None), "from": round(start / 1e9, 3)}
        past = spans[chosen.start - before : chosen.start]
        return routes_answer(merge_spans([spans[n] for n in chosen]), merge_spans(past) if past else None)


def routes_answer(last: SpanRecord, before: SpanRecord | None) -> RoutesAnswer:
    """What the routes did in a span, against the one before it."""
    sums = routes_of(last.series)
    if others := others_of(last):
        sums[OTHERS] = others
    routes = [route_span(route, known, last.seconds) for route, known in sums.items()]
    return {
        "from": round(last.from_ns / 1e9, 3),
        "to": round(last.to_ns / 1e9, 3),
        "seconds": round(last.seconds, 3),
        "service": span_of(last),
        "before": span_of(before) if before else None,
        "routes": sorted(routes, key=lambda route: -route["requests"]),
        "left_out": last.left_out,
        "changes": find_changes(last, before),
    }


class Workers(JsonResource):
    """`/api/v1/workers`: what each worker did in the last minute, or between `?from=` and `to=`."""

    def answer_to(self, req: falcon.Request) -> WorkersAnswer:
        bounds = bounds_of(req)
        pid = req.get_param_as_int("pid", min_value=1, max_value=2**31 - 1)
        spans = [record for _, record in read_spans(self._here.parts.block)]
        start, end = bounds.both(time.time_ns())
        wall_ns = time.time_ns() - time.monotonic_ns()
        return {
            "from": round(start / 1e9, 3),
            "to": round(end / 1e9, 3),
            "columns": COLUMNS,
            "workers": worker_points(spans, wall_ns, start, end, pid),
        }
