"""What is seen only from tick to tick: the points of the history, and the details that some clients ask for."""

from collections.abc import Mapping
from typing import Any

from hvd.core import layout as at
from hvd.core.history import POINT_SECONDS, VALUE_NAMES, History, Point, coarse
from hvd.core.totals import Totals
from hvd.metrics import EXITS
from hvd.snapshot import Json, build_routes, build_workers, history_row, http_sums, rates, rfc3339

ROUTES, WORKERS, PROCESSES = 200, 200, 200  # that a detail message shows at most


class Trend:
    """Fed with every tick; writes a point of the history when it is time for one. One process uses it."""

    def __init__(self, history: History, totals: Totals) -> None:
        self._history = history
        self._at_ns, self._sums, self._errors = totals.monotonic_ns, http_sums(totals), totals.heads.errors
        self._cpu = 0.0  # percent times seconds since the last point
        self._ticked_ns = totals.monotonic_ns
        self.point: Point | None = None  # the one that the last tick made

    def tick(self, totals: Totals, raw: Json) -> None:
        """Take the figures of a tick."""
        self._cpu += raw["cpu_usage"] * (totals.monotonic_ns - self._ticked_ns) / 1e9
        self._ticked_ns = totals.monotonic_ns
        seconds = (totals.monotonic_ns - self._at_ns) / 1e9
        self.point = None
        if seconds < POINT_SECONDS * 0.95:  # a tick may come a little early
            return
        sums, errors = http_sums(totals), totals.heads.errors
        point = self._make(totals, raw, sums, errors, seconds)
        self._at_ns, self._sums, self._errors, self._cpu = totals.monotonic_ns, sums, errors, 0.0
        if self._history.add(point, apart_ns=int(POINT_SECONDS * 0.5e9)):
            self.point = point

    def _make(self, totals: Totals, raw: Json, sums: Json, errors: int, seconds: float) -> Point:
        found = {
            **rates(sums, self._sums, seconds, errors - self._errors),
            **{name: raw[name] for name in ("memory_usage", "websocket_clients", "jobs_active", "jobs_pending")},
            "cpu_usage": round(self._cpu / seconds, 2),
            "in_flight": totals.heads.in_flight,
        }
        old = self._sums["buckets"]
        new = [count - (old[i] if i < len(old) else 0) for i, count in enumerate(sums["buckets"])]
        return Point(totals.time_ns, tuple(float(found[name]) for name in VALUE_NAMES), coarse(new))


class Details:
    """Makes `detail` messages: workers and routes, each with its rate since the last one."""

    def __init__(self) -> None:
        self._before: tuple[int, dict[object, int]] = (0, {})

    def make(self, totals: Totals, observed: Mapping[str, Any], point: Point | None) -> Json:
        """The data of one message; call it at each tick while somebody listens."""
        workers = build_workers(totals, observed)[:WORKERS]
        routes = sorted(build_routes(totals), key=lambda route: int(route["count"]), reverse=True)[:ROUTES]
        counts: dict[object, int] = {(worker["pid"], worker["slot"]): worker["requests"] for worker in workers}
        counts |= {route["route"]: route["count"] for route in routes}
        at_ns, before = self._before
        seconds = (totals.monotonic_ns - at_ns) / 1e9
        self._before = totals.monotonic_ns, counts

        def rate(key: object) -> float | None:
            return round((counts[key] - before[key]) / seconds, 3) if key in before and seconds > 0 else None

        return {
            "workers": [
                {
                    **worker,
                    "requests_per_second": rate((worker["pid"], worker["slot"])),
                    "started_at": rfc3339(totals.time_ns - int(worker["age_seconds"] * 1e9)),
                }
                for worker in workers
            ],
            "restarts": _worker_exits(totals),
            "routes": [{**route, "requests_per_second": rate(route["route"])} for route in routes],
            "processes": list(observed.get("processes", ()))[:PROCESSES],
            "point": history_row(point) if point else None,
            "latency": list(point.counts) if point else None,
        }


def _worker_exits(totals: Totals) -> int:
    return sum(
        totals.cells[series.offset]
        for series in totals.of(EXITS.key)
        if series.labels[0] == at.KIND_NAMES[at.KIND_WORKER]
    )
