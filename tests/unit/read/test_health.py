"""Companions and workers → what /health says: each state and each reason."""

from dataclasses import replace

import pytest

from hvd.metrics.companion_pages import NO_RATES, Rates
from hvd.metrics.spans import SpanRecord, Sums
from hvd.read.companions import STARTING, CompanionStates
from hvd.read.health import BOOTING, REPLACING, HealthState, judge
from hvd.read.saturation import BacklogTrend, SaturationState
from hvd.read.service import Service
from hvd.read.spans import span_of
from tests.unit.figures import SECOND, STARTED, make_admin, make_page, make_request, make_service

PAGE = make_page()
WELL = CompanionStates(
    ((STARTED, PAGE),),
    PAGE,
    aggregator_age=0.1,
    uptime=60.0,
    jobs_have_begun=True,
    admin_server_age=0.1,
    admin_has_begun=True,
)
STUCK = make_service(make_request(18.2), make_request(12.3), threads=2)
BUSY, BACKLOG = SaturationState(busy_seconds=12.3), SaturationState(0.0, BacklogTrend(37, 5, 4.0))
AWAY = "aggregator away: process figures are old, /ws is not served"
ADMIN_AWAY = "admin server away: the log says why"
IS_BUSY = "saturated: all 2 threads busy for 12.3 s; the oldest request GET /slow for 18.2 s"
WAIT = "saturated: 37 connections wait to be accepted, and more each second"
NONE_LIVES = "no worker lives: requests wait; the log says why they end"

FAILS = "failing: 60 % of the last minute's responses are 5xx (60 of 100)"
STANDS = "worker 11 is stopped by a signal, with 2 requests: clients wait; kill -CONT 11"


def answering(requests: int, failed: int, *, rate: float = 0.0, now: float = 0.0) -> CompanionStates:
    """All is well, but so many responses of the last minute were 5xx; and of the last interval that share."""
    span = span_of(SpanRecord(0, 60 * SECOND, Sums(requests), server_errors=failed))
    rates: Rates = {**NO_RATES, "requests_per_second": rate, "server_error_rate": now}
    page = {**PAGE, "last_minute": span, "rates": rates}
    return replace(WELL, aggregators=((STARTED, page),), last_page=page)  # type: ignore[arg-type]


def stopped(service: Service, workers: int) -> Service:
    """The same with so many workers, the first of which a signal has stopped."""
    first, others = replace(service.workers[0], pid=11, is_stopped=True), [*make_service().workers] * (workers - 1)
    return replace(service, workers=[first, *others])


@pytest.mark.parametrize(
    ("companions", "service", "saturation", "status", "reasons"),
    [
        (WELL, make_service(), SaturationState(), "healthy", []),
        (WELL, STUCK, SaturationState(busy_seconds=1.9), "healthy", []),
        (WELL, STUCK, BUSY, "degraded", [IS_BUSY]),
        (WELL, make_service(), BACKLOG, "degraded", [WAIT]),
        (replace(WELL, aggregator_age=None), STUCK, BUSY, "degraded", [IS_BUSY, AWAY]),
        (
            replace(WELL, missing=1),
            STUCK,
            SaturationState(),
            "degraded",
            ["1 worker asked for can't be started: the log says why"],
        ),
        (answering(100, 60), make_service(), SaturationState(), "degraded", [FAILS]),
        (answering(100, 49), make_service(), SaturationState(), "healthy", []),
        (answering(19, 19), make_service(), SaturationState(), "healthy", []),
        (answering(100, 60, rate=5.0), make_service(), SaturationState(), "healthy", []),
        (answering(100, 60, rate=5.0, now=0.9), make_service(), SaturationState(), "degraded", [FAILS]),
        (WELL, stopped(STUCK, 1), SaturationState(), "unhealthy", [STANDS]),
        (WELL, stopped(STUCK, 2), SaturationState(), "degraded", [STANDS]),
        (CompanionStates(uptime=STARTING), STUCK, BUSY, "starting", []),
        (CompanionStates(uptime=STARTING + 1), make_service(), SaturationState(), "degraded", [AWAY, ADMIN_AWAY]),
        (replace(WELL, uptime=BOOTING), Service(0), SaturationState(), "starting", []),
        (replace(WELL, uptime=BOOTING + 0.1), Service(0), SaturationState(), "unhealthy", [NONE_LIVES]),
        (
            replace(WELL, aggregator_age=None),
            Service(0, booting=1),
            SaturationState(),
            "unhealthy",
            ["no worker serves: the 1 that lives has not loaded the app yet; the log says more", AWAY],
        ),
        (
            WELL,
            Service(0, booting=2),
            BACKLOG,
            "unhealthy",
            ["no worker serves: the 2 that live have not loaded the app yet; the log says more", WAIT],
        ),
    ],
)
def test_health_is_the_worst_that_is_known(
    companions: CompanionStates, service: Service, saturation: SaturationState, status: str, reasons: list[str]
) -> None:
    """With a line for each thing that is wrong, the workers' first."""
    state = judge(companions, service, saturation)
    assert (state.status, state.reasons) == (status, reasons)


@pytest.mark.parametrize(("ago", "status"), [(REPLACING - 0.1, "degraded"), (REPLACING + 0.1, "unhealthy")])
def test_while_the_only_worker_is_replaced_the_daemon_is_degraded(ago: float, status: str) -> None:
    """Requests wait for the next one; a probe that is told 503 at each recycled worker would be turned off."""
    service = Service(STARTED + 50 * SECOND, booting=1)
    admin = {**make_admin(), "served_ns": service.at_ns - round(ago * SECOND)}
    state = judge(replace(WELL, admins=(admin,)), service, SaturationState())  # type: ignore[arg-type]
    assert state.status == status
    assert state.reasons == ["no worker serves: the 1 that lives has not loaded the app yet; the log says more"]


def test_clients_that_know_three_states_are_told_one_of_them() -> None:
    """A daemon that starts is not healthy yet."""
    assert HealthState("starting", []).system_health == "degraded"
    assert [HealthState(status, []).system_health for status in ("healthy", "degraded", "unhealthy")] == [
        *("healthy", "degraded", "unhealthy")
    ]
