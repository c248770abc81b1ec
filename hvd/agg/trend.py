"""What is seen only from tick to tick: the points of the history, and the details that some clients ask for."""

from collections import Counter
from collections.abc import Callable, Sequence

from hvd.agg.news import NO_NEWS, News
from hvd.agg.own_trend import OwnDetail
from hvd.agg.spans import Lately
from hvd.core import layout
from hvd.core.history import POINT_SECONDS, History, Point, spacing
from hvd.core.totals import SlotTotals, Totals
from hvd.metrics.bounds import coarse
from hvd.metrics.columns import VALUES
from hvd.metrics.companion_pages import ProcessSample, Rates
from hvd.metrics.table import EXITS, HTTP
from hvd.read.changes import Change, find_changes
from hvd.read.history import point_by_column
from hvd.read.reading import Reading
from hvd.read.requests import RequestSums, Route, build_routes
from hvd.read.skew import Skew, find_skew
from hvd.read.snapshot import Raw, Worker, build_workers
from hvd.read.spans import RouteSpan, route_span
from hvd.read.worker_spans import WorkerSpan
from hvd.texts import rfc3339

LAST_SECONDS = 0.5  # a point made at the stop spans at least this long: rates over less are noise
ROUTES, WORKERS, PROCESSES = 200, 200, 200  # that a detail message shows at most


class Trend:
    """Fed with every tick; makes a point of the history when it is time for one. One process uses it.

    `interval` is from tick to tick, in s; `is_writer` says whether points are for this process to write.
    """

    def __init__(self, history: History, requests: RequestSums, interval: float, is_writer: Callable[[], bool]) -> None:
        self._history = history
        self._is_writer = is_writer
        self.set_interval(interval)
        self._begin(requests)
        self._ticked_ns = requests.at_ns
        self.point: Point | None = None  # the one that the last tick made

    def set_interval(self, interval: float) -> None:
        """Ticks come that many seconds apart from now on."""
        # a tick that comes a little early, after one that was late, keeps the rhythm
        self._enough = spacing(interval) - min(interval / 2, POINT_SECONDS / 4)

    def _begin(self, requests: RequestSums) -> None:
        self._requests = requests
        self._cpu = self._busy = 0.0  # percent, and share of the threads, times seconds since then

    def tick(self, time_ns: int, requests: RequestSums, raw: Raw, *, is_last: bool = False) -> None:
        """Take the figures of a tick at that Unix time in ns. The last one makes a point of a shorter time too:
        where the history is kept (hvd/daemon/kept), the next daemon goes on from there.
        """
        span = (requests.at_ns - self._ticked_ns) / 1e9
        self._cpu += raw["cpu_usage"] * span
        self._busy += raw["busy_ratio"] * span
        self._ticked_ns = requests.at_ns
        seconds = (requests.at_ns - self._requests.at_ns) / 1e9
        self.point = None
        if seconds < (LAST_SECONDS if is_last else self._enough):
            return
        since = requests.since(self._requests)
        rates = since.rates(seconds)
        values = _values(rates, raw, round(self._cpu / seconds, 2), round(self._busy / seconds, 4))
        point = Point(time_ns, tuple(values[column.name] for column in VALUES), coarse(since.buckets))
        if self._is_writer() and not self._history.add(point):
            return  # the next tick's point is of this time too
        self.point = point
        self._begin(requests)


def _values(rates: Rates, raw: Raw, cpu_usage: float, busy_ratio: float) -> dict[str, float]:
    """A point's values by column."""
    return {
        "requests_per_second": rates["requests_per_second"],
        "error_rate": rates["error_rate"],
        "p50": rates["p50"],
        "p90": rates["p90"],
        "p99": rates["p99"],
        "cpu_usage": cpu_usage,
        "memory_usage": float(raw["memory_usage"]),
        "websocket_clients": float(raw["websocket_clients"]),
        "jobs_active": float(raw["jobs_active"]),
        "jobs_pending": float(raw["jobs_pending"]),
        "in_flight": float(raw["requests"]["in_flight"]),
        "busy_ratio": busy_ratio,
        "server_error_rate": rates["server_error_rate"],
        "client_error_rate": rates["client_error_rate"],
    }


class WorkerDetail(Worker):
    """A worker with its rate, when it took its slot, and what it did in the last minute, if that is known."""

    requests_per_second: float
    started_at: str
    last_minute: WorkerSpan | None


class RouteDetail(Route):
    """A route with its rate, and what it did in the last minute, if anything."""

    requests_per_second: float
    last_minute: RouteSpan | None


class Detail(OwnDetail, News):
    """The data of a `detail` message: the newest point by column, and its counts by latency bucket, if there is one;
    the app's own metrics; what changed in the last minute, and which worker differs from the others.
    """

    workers: list[WorkerDetail]
    restarts: int
    routes: list[RouteDetail]
    processes: Sequence[ProcessSample]
    point: dict[str, float | None] | None
    latency: list[int] | None
    changes: list[Change]
    skew: list[Skew]


def build_detail(
    reading: Reading,
    before: Totals,
    point: Point | None,
    own: OwnDetail,
    news: News = NO_NEWS,
    lately: Lately | None = None,
) -> Detail:
    """Workers and routes have their rates since `before`; of own metrics `own`, of events `news`, of the last minute
    `lately`.
    """
    totals, observation = reading.totals, reading.observation
    seconds = (totals.monotonic_ns - before.monotonic_ns) / 1e9
    slots = {slot.slot.number: slot for slot in totals.slots}
    finished_before = {_tenure(slot): slot.heads.finished for slot in before.slots}
    responses_before = _responses_by_route(before)
    routes = lately.routes if lately else {}
    spans = lately.workers() if lately else {}

    def rate(count: int) -> float:
        return round(count / seconds, 3) if seconds > 0 else 0.0

    def with_rate(worker: Worker) -> WorkerDetail:
        slot = slots[worker["slot"]]
        return {
            **worker,
            "requests_per_second": rate(slot.heads.finished - finished_before.get(_tenure(slot), 0)),
            "started_at": rfc3339(totals.started_wall_ns + slot.slot.taken_ns - totals.started_monotonic_ns),
            "last_minute": spans.get(_tenure(slot)),
        }

    def with_span(route: Route) -> RouteDetail:
        known = routes.get(route["route"])
        return {
            **route,
            "requests_per_second": rate(route["count"] - responses_before[route["route"]]),
            "last_minute": route_span(route["route"], known, lately.last.seconds) if lately and known else None,
        }

    return {
        "workers": [with_rate(worker) for worker in build_workers(totals, observation)[:WORKERS]],
        "restarts": _worker_exits(totals),
        "routes": [with_span(route) for route in build_routes(totals, ROUTES, first=routes)],
        "processes": observation["processes"][:PROCESSES] if observation else [],
        "point": point_by_column(point) if point else None,
        "latency": list(point.counts) if point else None,
        "changes": find_changes(lately.last, lately.before) if lately else [],
        "skew": find_skew(lately.figures()) if lately else [],
        **own,
        **news,
    }


def _tenure(slot: SlotTotals) -> tuple[int, int]:
    """What names the process: slots and pids are used again."""
    return slot.slot.number, slot.slot.taken_ns


def _responses_by_route(totals: Totals) -> Counter[str]:
    responses: Counter[str] = Counter()
    for series in totals.of(HTTP.key):
        responses[series.labels[1]] += totals.cells[series.offset]
    return responses


def _worker_exits(totals: Totals) -> int:
    kind = layout.KIND_NAMES[layout.KIND_WORKER]
    return sum(totals.cells[series.offset] for series in totals.of(EXITS.key) if series.labels[0] == kind)
