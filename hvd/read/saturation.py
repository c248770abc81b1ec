"""Saturation: for how long all threads of the workers have been busy, or clients have waited for one.

Who looks again and again knows it best: the admin server, four times a second, which publishes it on its page. Without
such a page the requests in progress prove a part of it, see Service.all_busy_seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from hvd.core.backlog import Backlog
from hvd.metrics.companion_pages import ADMIN_PAGE, AdminPage
from hvd.read.frames import app_frame, place
from hvd.read.service import Service, WorkerState
from hvd.texts import escaped

LOOK = 0.25  # s from look to look
FRESH = 1.5  # s that a look says something about now, and about the time until the next look
SATURATED = 2.0  # s, after which the service counts as saturated
SHORT = 0.5  # s: a request of that age is not what keeps a thread busy


class Saturation:
    """Fed with one look after the other. Pure; one thread uses it.

    What waits, counts from the look on since which it was never nothing, and never less than it was then: so a backlog
    that is being worked off begins anew with each look, and one that grows or stands does not. What has been accepted
    and waits for a thread is a part of it where it is as much as there are threads: less comes and goes in any service
    that has something to do.

    Threads that are busy at each look may have been free in between, as where one client after the other comes. That
    nobody waits, and a request has begun since the last look, shows it.
    """

    def __init__(self) -> None:
        self._at_ns = self._busy_since_ns = self._backlog_since_ns = self._backlog_before = self._served_ns = 0

    def observe(self, service: Service, backlog: Backlog | None) -> AdminPage:
        """A look -> what to publish; a time of 0 says "not now"."""
        now_ns, queued = service.at_ns, service.queued
        newest_ns = service.requests[-1].begin_ns if service.requests else 0
        accepting = backlog.waiting if backlog else 0
        if now_ns - self._at_ns > FRESH * 1e9:  # nobody knows what was in between
            self._busy_since_ns = self._backlog_since_ns = 0
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
        }


class BacklogTrend(NamedTuple):
    """Clients that wait: how many, how many at the beginning of this time, and how long it is in s."""

    waiting: int = 0
    before: int = 0
    seconds: float = 0.0


NO_BACKLOG = BacklogTrend()


@dataclass(frozen=True)
class SaturationState:
    """For how many s all threads have been busy, and the backlog has not become smaller; 0.0 where that is not so."""

    busy_seconds: float = 0.0
    backlog: BacklogTrend = NO_BACKLOG

    @property
    def seconds(self) -> float:
        """The longer of the two."""
        return max(self.busy_seconds, self.backlog.seconds)

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
        return reasons


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
    for page in pages:
        if now - page["monotonic_ns"] > FRESH * 1e9:
            continue
        if service.is_all_busy and page["busy_since_ns"]:
            busy = max(busy, (now - page["busy_since_ns"]) / 1e9)
        if page["backlog_since_ns"]:
            seconds = (now - page["backlog_since_ns"]) / 1e9
            backlog = max(
                backlog,
                BacklogTrend(page["backlog"], page["backlog_before"], seconds),
                key=lambda trend: trend.seconds,
            )
    return SaturationState(busy, backlog)
