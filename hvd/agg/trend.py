"""What is seen only from tick to tick: the points of the history, and the details that some clients ask for."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from hvd.core import layout
from hvd.core.history import POINT_SECONDS, History, Point, spacing
from hvd.core.totals import SlotTotals, Totals
from hvd.metrics.bounds import coarse
from hvd.metrics.columns import COLUMNS, VALUES
from hvd.metrics.table import EXITS, HTTP
from hvd.read.snapshot import Json, build_routes, build_workers, history_row, http_sums, rates
from hvd.texts import rfc3339

ROUTES, WORKERS, PROCESSES = 200, 200, 200  # that a detail message shows at most


class Trend:
    """Fed with every tick; makes a point of the history when it is time for one. One process uses it.

    `interval` is from tick to tick, in s; `is_writer` says whether points are for this process to write.
    """

    def __init__(self, history: History, totals: Totals, interval: float, is_writer: Callable[[], bool]) -> None:
        self._history = history
        self._is_writer = is_writer
        self.set_interval(interval)
        self._begin(totals, http_sums(totals))
        self._ticked_ns = totals.monotonic_ns
        self.point: Point | None = None  # the one that the last tick made

    def set_interval(self, interval: float) -> None:
        """Ticks come that many seconds apart from now on."""
        # a tick that comes a little early, after one that was late, keeps the rhythm
        self._enough = spacing(interval) - min(interval / 2, POINT_SECONDS / 4)

    def _begin(self, totals: Totals, sums: Json) -> None:
        self._at_ns, self._sums, self._errors = totals.monotonic_ns, sums, totals.heads.errors
        self._cpu = 0.0  # percent times seconds since then

    def tick(self, totals: Totals, sums: Json, raw: Json) -> None:
        """Take the figures of a tick; `sums` are its `http_sums`."""
        self._cpu += raw["cpu_usage"] * (totals.monotonic_ns - self._ticked_ns) / 1e9
        self._ticked_ns = totals.monotonic_ns
        seconds = (totals.monotonic_ns - self._at_ns) / 1e9
        self.point = None
        if seconds < self._enough:
            return
        point = self._make(totals, sums, raw, seconds)
        if self._is_writer() and not self._history.add(point):
            return  # the next tick's point is of this time too
        self.point = point
        self._begin(totals, sums)

    def _make(self, totals: Totals, sums: Json, raw: Json, seconds: float) -> Point:
        found = {
            **rates(sums, self._sums, seconds, totals.heads.errors - self._errors),
            **{name: raw[name] for name in ("memory_usage", "websocket_clients", "jobs_active", "jobs_pending")},
            "cpu_usage": round(self._cpu / seconds, 2),
            "in_flight": totals.heads.in_flight,
        }
        old = self._sums["buckets"]
        new = [count - (old[i] if i < len(old) else 0) for i, count in enumerate(sums["buckets"])]
        return Point(totals.time_ns, tuple(float(found[column.name]) for column in VALUES), coarse(new))


def build_detail(totals: Totals, before: Totals, observed: Mapping[str, Any], point: Point | None) -> Json:
    """The data of a `detail` message: workers and routes, with their rates since `before`, and the newest point."""
    seconds = (totals.monotonic_ns - before.monotonic_ns) / 1e9
    slots = {slot.slot.number: slot for slot in totals.slots}
    finished = {_tenure(slot): slot.heads.finished for slot in before.slots}
    counts = _route_counts(before)

    def rate(count: int) -> float:
        return round(count / seconds, 3) if seconds > 0 else 0.0

    def with_rate(worker: Json) -> Json:
        slot = slots[worker["slot"]]
        return {
            **worker,
            "requests_per_second": rate(slot.heads.finished - finished.get(_tenure(slot), 0)),
            "started_at": rfc3339(totals.started_wall_ns + slot.slot.taken_ns - totals.started_monotonic_ns),
        }

    return {
        "workers": [with_rate(worker) for worker in build_workers(totals, observed)[:WORKERS]],
        "restarts": _worker_exits(totals),
        "routes": [
            {**route, "requests_per_second": rate(route["count"] - counts[route["route"]])}
            for route in build_routes(totals, ROUTES)
        ],
        "processes": list(observed.get("processes", ()))[:PROCESSES],
        "point": dict(zip((column.name for column in COLUMNS), history_row(point), strict=True)) if point else None,
        "latency": list(point.counts) if point else None,
    }


def _tenure(slot: SlotTotals) -> tuple[int, int]:
    """Which process it is: a slot is taken again and again, and a pid may be another's one day."""
    return slot.slot.number, slot.slot.taken_ns


def _route_counts(totals: Totals) -> Counter[str]:
    counts: Counter[str] = Counter()
    for series in totals.of(HTTP.key):
        counts[series.labels[1]] += totals.cells[series.offset]
    return counts


def _worker_exits(totals: Totals) -> int:
    kind = layout.KIND_NAMES[layout.KIND_WORKER]
    return sum(totals.cells[series.offset] for series in totals.of(EXITS.key) if series.labels[0] == kind)
