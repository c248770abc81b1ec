"""What /health says, made of the companions' state and of what the workers do. Pure."""

from typing import Literal, NamedTuple

from hvd.read.companions import STARTING, CompanionStates
from hvd.read.saturation import SaturationState
from hvd.read.service import Service

BOOTING = 10.0  # s after the daemon's start in which it is no trouble yet that no worker has booted
REPLACING = (
    1.5  # s without a worker that are no trouble, as while the only one is recycled: connections wait, and none is lost
)

FAILING, FAILING_REQUESTS = 0.5, 20  # share of 5xx in the last minute, and of how many responses at least

Status = Literal["healthy", "degraded", "unhealthy", "starting"]
STATUSES: tuple[Status, ...] = ("healthy", "degraded", "unhealthy", "starting")


class HealthState(NamedTuple):
    """The state of the daemon, and what is wrong, a line for each thing."""

    status: Status
    reasons: list[str]

    @property
    def system_health(self) -> str:
        """The status for clients that don't know `starting`."""
        return "degraded" if self.status == "starting" else self.status


def judge(companions: CompanionStates, service: Service, saturation: SaturationState) -> HealthState:
    """`unhealthy` where no worker serves, for longer than it takes to replace one; `degraded` where something is wrong
    beside that; `starting` until a worker has booted and each companion has published for the first time, but not for
    ever.
    """
    reasons = [*_failing(companions), *saturation.reasons(service), *_stopped(service), *companions.troubles()]
    if service.workers and len(service.stopped) == len(service.workers):
        return HealthState("unhealthy", reasons)
    if not service.workers:
        if companions.uptime <= BOOTING:
            return HealthState("starting", [])
        has_just_served = any(service.at_ns - page["served_ns"] < REPLACING * 1e9 for page in companions.admins)
        return HealthState("degraded" if has_just_served else "unhealthy", [_no_worker(service), *reasons])
    if not companions.have_begun and companions.uptime <= STARTING:
        return HealthState("starting", [])
    return HealthState("degraded" if reasons else "healthy", reasons)


def _stopped(service: Service) -> list[str]:
    """Workers that a signal has stopped, and what they hold."""
    if not (stopped := service.stopped):
        return []
    which = f"worker {stopped[0]} is" if len(stopped) == 1 else f"{len(stopped)} workers are"
    held = sum(worker.in_progress + worker.queued for worker in service.workers if worker.is_stopped)
    pids = " ".join(map(str, stopped))
    return [f"{which} stopped by a signal, with {held} requests: clients wait; kill -CONT {pids}"]


def _failing(companions: CompanionStates) -> list[str]:
    """Where most of what is answered is an error of the server: in the last minute, and not better by now."""
    page = companions.observation() if companions.aggregator_ticks() else None
    span = page["last_minute"] if page else None
    if not page or not span or span["requests"] < FAILING_REQUESTS or span["server_error_rate"] < FAILING:
        return []
    rates = page["rates"]
    if rates["requests_per_second"] and rates["server_error_rate"] < FAILING:
        return []
    of = f"{span['server_errors']:,} of {span['requests']:,}"
    return [f"failing: {100 * span['server_error_rate']:.0f} % of the last minute's responses are 5xx ({of})"]


def _no_worker(service: Service) -> str:
    if not service.booting:
        return "no worker lives: requests wait; the log says why they end"
    booting = "the 1 that lives has" if service.booting == 1 else f"the {service.booting} that live have"
    return f"no worker serves: {booting} not loaded the app yet; the log says more"
