"""Looks at the workers → for how long they are saturated, and what is said of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hvd.core.backlog import Backlog
from hvd.core.layout import CLIENTS
from hvd.metrics.clients import HELD, QUEUED
from hvd.metrics.companion_pages import AdminPage, StuckWorker
from hvd.read.frames import Frame
from hvd.read.saturation import FRESH, LOOK, BacklogTrend, Saturation, SaturationState, saturation_of
from hvd.read.service import Service, WorkerState
from tests.unit.figures import SECOND, make_request, make_service

NOW = make_service().at_ns
BEGIN = 100 * SECOND


def seen(now: int, busy: int, threads: int, queued: int = 0, newest_ns: int = 0, workers: int = 1) -> Service:
    """The workers at that time, the first of which has all that is told."""
    requests = [replace(make_request(0), begin_ns=newest_ns)] if newest_ns else []
    clients = [0] * CLIENTS
    clients[QUEUED], clients[HELD] = queued, busy - len(requests)
    states = [WorkerState(20, 0, threads, clients, requests)]
    return Service(now, (states * workers)[:workers])


def looks(watch: Saturation, values: Sequence[tuple[int, int | None]], begin: int = BEGIN) -> list[tuple[float, float]]:
    """Busy threads of 4 and backlog, look after look -> for how long each is saturated."""
    durations = []
    for number, (busy, waiting) in enumerate(values):
        now = begin + round(number * LOOK * SECOND)
        page = watch.observe(seen(now, busy, 4), None if waiting is None else Backlog(waiting, 2048))
        since = (page["busy_since_ns"], page["backlog_since_ns"])
        durations.append(tuple((now - each) / SECOND if each else -1 for each in since))
    return durations  # type: ignore[return-value]


def test_all_threads_are_busy_since_the_first_look_of_many() -> None:
    """One look that finds a thread free ends it."""
    busy = looks(Saturation(), [(3, None), (4, None), (5, None), (4, 0), (3, 0), (4, 0)])
    assert [duration for duration, _ in busy] == [-1, 0, 0.25, 0.5, -1, 0]
    assert {duration for _, duration in busy} == {-1}


def test_threads_that_one_client_after_the_other_keeps_busy_are_not_saturated() -> None:
    """Each request began since the last look and nobody waits, so a thread was free in between. With others waiting
    it is saturated, however short its requests are.
    """
    for waiting, queued, since in ((0, 0, [0.1, 0.1]), (1, 0, [0.25, 0.5]), (0, 1, [0.25, 0.5])):
        watch, seconds = Saturation(), []
        for number in range(3):
            now = BEGIN + round(number * LOOK * SECOND)
            page = watch.observe(seen(now, 4, 4, queued, now - round(0.1 * SECOND)), Backlog(waiting, 2048))
            seconds.append((now - page["busy_since_ns"]) / SECOND)
        assert seconds[1:] == since


def test_a_look_tells_when_a_worker_served_last() -> None:
    """So that all can see since when none does."""
    watch = Saturation()
    looked = [watch.observe(seen(BEGIN + number, 0, 0, workers=n), None) for number, n in enumerate((0, 4, 0, 0))]
    assert [page["served_ns"] for page in looked] == [0, BEGIN + 1, BEGIN + 1, BEGIN + 1]


def test_without_capacity_nothing_is_saturated() -> None:
    """No worker has booted: that is another trouble."""
    assert Saturation().observe(seen(BEGIN, 0, 0), None)["busy_since_ns"] == 0


@pytest.mark.parametrize(
    ("backlog", "durations"),
    [
        ([0, 1, 5, 9, 30], [-1, 0, 0.25, 0.5, 0.75]),
        ([7, 7, 7, 8, 7], [0, 0.25, 0.5, 0.75, 1.0]),
        ([10, 14, 13, 18, 17], [0, 0.25, 0.5, 0.75, 1.0]),
        ([25, 20, 15, 10, 5], [0, 0, 0, 0, 0]),
        ([5, 3, 6, 0, 4], [0, 0, 0.25, -1, 0]),
    ],
)
def test_a_backlog_counts_while_it_grows_or_stands(backlog: list[int], durations: list[float]) -> None:
    """One that is worked off, or is empty at times, does not."""
    assert [each for _, each in looks(Saturation(), [(0, waiting) for waiting in backlog])] == durations


def test_requests_that_wait_for_a_thread_count_where_they_are_many() -> None:
    """As many as threads: less comes and goes where nobody waits for long."""
    watch = Saturation()
    pages = [
        watch.observe(seen(BEGIN + number, 3, 4, queued), Backlog(0, 9)) for number, queued in enumerate((3, 4, 9))
    ]
    assert [page["backlog"] for page in pages] == [0, 4, 9]
    assert [page["backlog_since_ns"] for page in pages] == [0, BEGIN + 1, BEGIN + 1]


def worker(slot: int, queued: int, *ages: float, now: int = BEGIN) -> WorkerState:
    """One of two threads, with requests in progress of these ages (s)."""
    clients = [0] * CLIENTS
    clients[QUEUED] = queued
    requests = [replace(make_request(0), begin_ns=now - round(age * SECOND)) for age in ages]
    return WorkerState(slot, 0, 2, clients, requests, pid=slot)


def test_a_worker_is_stuck_that_begins_nothing_while_requests_wait_for_it() -> None:
    """Whatever the others do: they can't take what it has accepted. A request that begins starts anew."""
    watch, idle = Saturation(), worker(30, 0)

    def stuck(after: float, queued: int, *ages: float) -> list[tuple[int, float, int]]:
        now = BEGIN + round(after * SECOND)
        seen = watch.observe(Service(now, [worker(20, queued, *ages, now=now), idle]), None)["stuck"]
        return [(one.pid, (now - one.since_ns) / SECOND, one.queued) for one in seen]

    assert stuck(0, 0, 9, 8) == []
    assert stuck(0.25, 3, 9.25, 8.25) == [(20, 0, 3)]
    assert stuck(0.5, 4, 9.5, 8.5) == [(20, 0.25, 4)]
    assert stuck(0.75, 3, 9.75, 0.1) == [(20, 0.1, 3)]
    assert stuck(1.0, 3, 10.0) == [], "a thread is free: it takes the next one now"
    assert stuck(1.25, 3, 10.25, 0.2) == [(20, 0, 3)]


def test_a_stuck_worker_is_a_reason_with_what_it_is_stuck_in() -> None:
    """After two seconds, while requests wait for it, and unless all threads of all workers are busy."""
    service = Service(BEGIN, [worker(20, 3, 40.5, 40.1), worker(30, 0, 0.1)])
    stuck = [StuckWorker(20, BEGIN - 40 * SECOND, 3)]
    state = saturation_of(service, [{**page(0), "monotonic_ns": BEGIN, "stuck": stuck}] * 2)
    assert (state.stuck, state.seconds) == ((*stuck,), 40)
    (reason,) = state.reasons(service)
    assert reason == (
        "stuck: worker 20 has begun no request for 40.0 s, and 3 requests wait for its threads; "
        "the oldest request GET /slow for 40.5 s"
    )
    assert replace(state, stuck_seconds=1.9).reasons(service) == []
    several = replace(state, stuck=[*stuck, StuckWorker(30, BEGIN, 1)])
    assert several.reasons(service)[0].endswith("for 40.5 s; 1 more stuck")
    assert [reason[:9] for reason in replace(state, busy_seconds=9).reasons(service)] == ["saturated"]
    assert replace(state, stuck_seconds=2.4, busy_seconds=1.9).reasons(service) == [], (
        "soon all have been busy for long"
    )
    assert replace(state, stuck_seconds=4.0, busy_seconds=1.9).reasons(service) == [reason], (
        "and it does not go meanwhile"
    )
    served = Service(BEGIN, [worker(20, 0, 40.5, 40.1)])
    assert saturation_of(served, [{**page(0), "monotonic_ns": BEGIN, "stuck": stuck}]).stuck_seconds == 0


def test_deaths_in_a_row_are_a_reason() -> None:
    """Three within ten seconds; those before the first look are nobody's."""
    watch = Saturation()

    def deaths(after: float, ended: int) -> int:
        return watch.observe(replace(FREE, at_ns=BEGIN + round(after * SECOND)), None, ended)["deaths"]

    assert [deaths(*look) for look in ((0, 7), (1, 8), (5, 10), (11.5, 10), (15.5, 10))] == [0, 1, 3, 2, 0]
    assert deaths(16, 0) == 0, "another daemon's count"
    state = saturation_of(FREE, [{**page(0.1), "deaths": 3}])
    assert state.reasons(FREE) == ["dying: 3 processes ended unplanned within 10 s: the log says why"]
    assert replace(state, deaths=2).reasons(FREE) == []


def test_nobody_knows_what_was_between_two_looks_that_are_far_apart() -> None:
    """A watcher that stood still begins anew."""
    watch = Saturation()
    looks(watch, [(4, 5)] * 8)
    assert looks(watch, [(4, 5)], BEGIN + 60 * SECOND) == [(0, 0)]


def page(ago: float, *, busy: float = 0, backlog: float = 0, waiting: int = 0, before: int = 0) -> AdminPage:
    """What an admin server published so many s ago: for how long each is so, at the moment of the reading."""
    return {
        "page": "admin",
        "monotonic_ns": NOW - round(ago * SECOND),
        "busy_since_ns": NOW - round(busy * SECOND) if busy else 0,
        "backlog_since_ns": NOW - round(backlog * SECOND) if backlog else 0,
        "backlog": waiting,
        "backlog_before": before,
        "served_ns": 0,
        "stuck": [],
        "deaths": 0,
    }


BUSY = make_service(make_request(3), make_request(2.5), threads=2)
NEW = make_service(make_request(0.1), make_request(0), threads=2)
FREE = make_service(make_request(9), threads=2)


def test_fresh_looks_tell_since_when() -> None:
    """Also of short requests; the watcher that knows the longest time is right, as after an upgrade."""
    assert saturation_of(NEW, [page(0.2, busy=12.5), page(0.1, busy=0.5)]).busy_seconds == 12.5
    state = saturation_of(FREE, [page(0.2, backlog=3, waiting=7, before=2)])
    assert state == SaturationState(0.0, BacklogTrend(7, 2, 3.0))
    assert state.seconds == 3.0


def test_without_a_fresh_look_the_youngest_request_proves_a_part() -> None:
    """So much is sure while the admin server is away, or has just begun to look."""
    assert saturation_of(BUSY, []).seconds == 2.5
    assert saturation_of(BUSY, [page(FRESH + 0.1, busy=60, backlog=60)]) == SaturationState(2.5)
    assert saturation_of(BUSY, [page(0.1, busy=0.25)]).seconds == 2.5
    assert saturation_of(NEW, []).seconds == 0.0


def test_a_thread_that_is_free_now_ends_it() -> None:
    """Whatever the last look has seen."""
    assert saturation_of(FREE, [page(0.2, busy=60)]).seconds == 0.0


def test_reasons_name_the_oldest_request() -> None:
    """What is too short to be saturated has none."""
    state = SaturationState(12.34)
    assert SaturationState(1.99, BacklogTrend(1, 1, 1.99)).reasons(BUSY) == []
    one = make_service(make_request(18.25, "GET /a\nb"), threads=1)
    assert state.reasons(one) == [
        "saturated: the only thread busy for 12.3 s; the oldest request GET /a\\nb for 18.2 s"
    ]
    assert state.reasons(make_service(make_request(0.01), threads=1)) == [
        "saturated: the only thread busy for 12.3 s with short requests, and others wait"
    ]
    assert SaturationState(0.0, BacklogTrend(1, 1, 7.0)).reasons(FREE) == [
        "saturated: 1 connection waits to be accepted, and not fewer for 7.0 s"
    ]
    held = make_service(threads=1, clients=(0, 1, 0, 0, 0, 0, 1, 0))
    assert state.reasons(held) == ["saturated: the only thread busy for 12.3 s, waiting for requests to come in"]
    queue = make_service(threads=2, clients=(0, 0, 0, 0, 0, 37, 0, 0))
    assert SaturationState(0.0, BacklogTrend(37, 4, 7.0)).reasons(queue) == [
        "saturated: 37 requests wait for a thread, and more each second"
    ]


def test_a_loop_that_stands_still_is_a_reason() -> None:
    """From the time on from which busy threads are one; what an event loop serves are connections."""
    service = make_service(make_request(5.0), threads=1)
    (worker,) = service.workers

    def reasons(seconds: float, state: SaturationState) -> list[str]:
        turned = service.at_ns - round((seconds + 0.25) * SECOND)
        loop = replace(worker, pid=4711, loop_ns=turned, loop_lag_ns=late, loop_frames=frames)
        return state.reasons(replace(service, workers=[worker, replace(loop, pid=1, loop_lag_ns=0), loop]))

    late, frames = 0, list[Frame]()
    assert reasons(1.9, SaturationState()) == []
    late = 3 * SECOND
    assert reasons(1.9, SaturationState()) == [
        "saturated: the event loop of worker 4711 was 3.0 s late, as what runs in it went on"
    ]
    assert reasons(2.5, SaturationState()) == ["saturated: the event loop of worker 4711 has stood still for 2.5 s"]
    frames = [Frame(file="/usr/lib/python3.11/json/decoder.py", line=1, function="decode")]
    frames.append(Frame(file="/srv/shop\n/ü.py", line=15, function="spin"))
    assert reasons(2.5, SaturationState()) == [
        "saturated: the event loop of worker 4711 has stood still for 2.5 s, at \\xfc.py:15 spin"
    ]
    late = 0
    assert reasons(0.0, SaturationState(busy_seconds=5.0)) == [
        "saturated: all 3 connections busy for 5.0 s; the oldest request GET /slow for 5.0 s"
    ]
