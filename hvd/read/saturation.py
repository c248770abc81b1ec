"""Saturation: for how long all threads of the workers have been busy, or clients have waited for one; deaths in a row.

Regular looks measure it best: the admin server's, four times a second, which it publishes on its page. Without
such a page the requests in progress prove a part of it, see Service.all_busy_seconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hvd.core.backlog import Backlog
from hvd.metrics.companion_pages import ADMIN_PAGE, AdminPage, StuckWorker
from hvd.read.frames import app_frame, place
from hvd.read.service import Service, WorkerState
from hvd.texts import escaped

LOOK = 0.25  # s from look to look
FRESH = 1.5  # s that a look says something about now, and about the time until the next look
SATURATED = 2.0  # s, after which the service counts as saturated
RECENT, DEATHS = 10.0, 3  # s, and how many deaths in them are more than bad luck
SHORT = 0.5  # s: a request of that age is not what keeps a thread busy


class Saturation:
    """Fed with one look after the other. Pure; one thread uses it.

    What waits, counts from the look on since which it was never nothing, and never less than it was then: so a backlog
    that is being worked off begins anew with each look, and one that grows or stands does not. What has been accepted
    and waits for a thread is a part of it where it is as much as there are threads: less comes and goes in any service
    that has something to do.

    Threads that are busy at each look may have been free in between, as where one client after the other comes. That
    nobody waits, and a request has begun since the last look, shows it.

    A worker is stuck from the look on since which requests have waited for its threads, all of them busy, and it has
    begun none: other workers may be idle meanwhile, and can't take what it has accepted.
    """

    def __init__(self) -> None:
        self._stuck_since: dict[tuple[int, int], int] = {}
        self._deaths = RecentDeaths()
        self._at_ns = self._busy_since_ns = self._backlog_since_ns = self._backlog_before = self._served_ns = 0

    def observe(self, service: Service, backlog: Backlog | None, ended: int = 0) -> AdminPage:
        """A look -> what to publish; a time of 0 says "not now". `ended` counts processes that ended unplanned."""
        now_ns, queued = service.at_ns, service.queued
        newest_ns = service.requests[-1].begin_ns if service.requests else 0
        accepting = backlog.waiting if backlog else 0
        if now_ns - self._at_ns > FRESH * 1e9:  # nobody knows what was in between
            self._busy_since_ns = self._backlog_since_ns = 0
            self._stuck_since = {}
        elif newest_ns > self._at_ns and not accepting and not queued:
            self._busy_since_ns = newest_ns
        self._at_ns = now_ns
        self._served_ns = now_ns if service.workers else self._served_ns
        waiting = accepting + (queued if queued >= service.threads else 0)
        self._busy_since_ns = (self._busy_since_ns or now_ns) if service.is_all_busy else 0
        if not waiting:
            self._backlog_since_ns = 0
        elif not self._backlog_since_ns or waiting < self._backlog_before:
            self._backlog_since_ns, self._backlog_before = now_ns, waiting
        return {
            "page": ADMIN_PAGE,
            "monotonic_ns": now_ns,
            "busy_since_ns": self._busy_since_ns,
            "backlog_since_ns": self._backlog_since_ns,
            "backlog": waiting,
            "backlog_before": self._backlog_before if waiting else 0,
            "served_ns": self._served_ns,
            "stuck": self._observe_stuck(service),
            "deaths": self._deaths.observe(now_ns, ended),
        }

    def _observe_stuck(self, service: Service) -> list[StuckWorker]:
        before, self._stuck_since = self._stuck_since, {}
        workers = [worker for worker in service.workers if worker.queued and worker.busy >= worker.threads]
        for worker in workers:
            newest_ns = max((request.begin_ns for request in worker.requests), default=0)
            self._stuck_since[worker.tenure] = max(before.get(worker.tenure, service.at_ns), newest_ns)
        return [StuckWorker(worker.pid, self._stuck_since[worker.tenure], worker.queued) for worker in workers]


class RecentDeaths:
    """Fed with a count that grows -> by how much it has grown in the last RECENT s. Pure."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._at_ns: list[int] = []

    def observe(self, now_ns: int, count: int) -> int:
        """What was there at the first look is not new; a count that is lower is another daemon's."""
        self._at_ns += [now_ns] * (count - (count if self._count is None else self._count))
        self._count = count
        self._at_ns = [at for at in self._at_ns if now_ns - at < RECENT * 1e9]
        return len(self._at_ns)


class BacklogTrend(NamedTuple):
    """Clients that wait: how many, how many at the beginning of this time, and how long it is in s."""

    waiting: int = 0
    before: int = 0
    seconds: float = 0.0


NO_BACKLOG = BacklogTrend()


@dataclass(frozen=True)
class SaturationState:
    """For how many s all threads have been busy, the backlog has not become smaller, and the first of the `stuck`
    workers has begun nothing; 0.0 where that is not so. `deaths` is how many processes died lately.
    """

    busy_seconds: float = 0.0
    backlog: BacklogTrend = NO_BACKLOG
    stuck: Sequence[StuckWorker] = ()
    stuck_seconds: float = 0.0
    deaths: int = 0

    @property
    def is_stuck(self) -> bool:
        """Whether workers are stuck though others had a free thread: where all get busy at about the same time, in one
        worker a little earlier, that is one trouble, of all.
        """
        return self.stuck_seconds - self.busy_seconds >= SATURATED

    @property
    def seconds(self) -> float:
        """The longest of these."""
        return max(self.busy_seconds, self.backlog.seconds, self.stuck_seconds)

    def reasons(self, service: Service) -> list[str]:
        """What /health says of it; nothing before SATURATED s."""
        reasons = []
        if self.busy_seconds >= SATURATED:
            reasons.append(f"saturated: {_busy(service)} busy for {self.busy_seconds:.1f} s{_with_what(service)}")
        if self.backlog.seconds >= SATURATED:
            grows = self.backlog.waiting > self.backlog.before
            more = "more each second" if grows else f"not fewer for {self.backlog.seconds:.1f} s"
            reasons.append(f"saturated: {_waiting(service, self.backlog.waiting)}, and {more}")
        if (lag := service.event_loop_lag_seconds or 0.0) >= SATURATED and service.latest_loop:
            reasons.append(f"saturated: the event loop of {_late(service.latest_loop, service.at_ns, lag)}")
        if not reasons and self.is_stuck:
            reasons.append(_stuck(service, self.stuck))
        if self.deaths >= DEATHS:
            reasons.append(f"dying: {self.deaths} processes ended unplanned within {RECENT:.0f} s: the log says why")
        return reasons


def _stuck(service: Service, workers: Sequence[StuckWorker]) -> str:
    """Of the worker that has been stuck for the longest time, and how many more are."""
    first = workers[0]
    requests = "1 request waits" if first.queued == 1 else f"{first.queued} requests wait"
    others = f"; {len(workers) - 1} more stuck" if len(workers) > 1 else ""
    of_worker = replace(service, workers=[worker for worker in service.workers if worker.pid == first.pid])
    seconds = (service.at_ns - first.since_ns) / 1e9
    return (
        f"stuck: worker {first.pid} has begun no request for {seconds:.1f} s, and {requests} for its threads"
        f"{_with_what(of_worker)}{others}"
    )


def _late(worker: WorkerState, now_ns: int, lag: float) -> str:
    if (seconds := worker.loop_stands(now_ns)) < SATURATED:
        return f"worker {worker.pid} was {lag:.1f} s late, as what runs in it went on"
    frame = app_frame(worker.loop_frames)
    where = ", at " + escaped(place({**frame, "file": frame["file"].rpartition("/")[2]}), "ascii") if frame else ""
    return f"worker {worker.pid} has stood still for {seconds:.1f} s{where}"


def _busy(service: Service) -> str:
    what = "thread" if service.event_loop_lag_seconds is None else "connection"  # an event loop serves so many
    return f"the only {what}" if service.threads == 1 else f"all {service.threads} {what}s"


def _waiting(service: Service, number: int) -> str:
    what, where = ("request", "for a thread") if service.queued else ("connection", "to be accepted")
    return f"1 {what} waits {where}" if number == 1 else f"{number} {what}s wait {where}"


def _with_what(service: Service) -> str:
    """The oldest request, if any has come in; where each is short, there are too many of them."""
    if not service.requests:
        return ", waiting for requests to come in"
    oldest = service.requests[0]
    if service.age(oldest) < SHORT:
        return " with short requests, and others wait"
    return f"; the oldest request {escaped(oldest.text, 'ascii')} for {service.age(oldest):.1f} s"


def saturation_of(service: Service, pages: Iterable[AdminPage]) -> SaturationState:
    """As of the service's moment, from what admin servers published and from what the requests in progress prove.

    A thread that is free now ends it, whatever the last look has seen.
    """
    now, busy, backlog = service.at_ns, service.all_busy_seconds, NO_BACKLOG
    stuck, deaths, queued = list[StuckWorker](), 0, {worker.pid for worker in service.workers if worker.queued}
    for page in pages:
        if now - page["monotonic_ns"] > FRESH * 1e9:
            continue
        if service.is_all_busy and page["busy_since_ns"]:
            busy = max(busy, (now - page["busy_since_ns"]) / 1e9)
        deaths = max(deaths, page["deaths"])
        stuck += [worker for worker in page["stuck"] if worker.pid in queued and worker not in stuck]
        if page["backlog_since_ns"]:
            seconds = (now - page["backlog_since_ns"]) / 1e9
            backlog = max(
                backlog,
                BacklogTrend(page["backlog"], page["backlog_before"], seconds),
                key=lambda trend: trend.seconds,
            )
    stuck.sort(key=lambda worker: worker.since_ns)
    seconds = max(0, now - stuck[0].since_ns) / 1e9 if stuck else 0.0
    return SaturationState(busy, backlog, tuple(stuck), seconds, deaths)
