"""When /health is worth an alert, and when that is over: changes that last, and no flood where it flaps. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from hvd.read.health import HealthState, Status

SURE = 1.0  # s that a state has to last before it is reported
CALM = 5.0  # s that a better one lasts: twice as long for each alert that came within QUARTER of the one before
QUARTER = 900.0  # s
_DOUBLINGS = 6

_LEVELS: dict[Status, int] = {"healthy": 0, "degraded": 1, "unhealthy": 2}
_NUMBER = re.compile(r"\d+")


class Change(NamedTuple):
    """A change to report: the state, when it began, what is wrong; after an alert how many s it lasted."""

    state: Status
    at: float
    reasons: list[str]
    seconds: float = 0.0

    @property
    def is_over(self) -> bool:
        """Nothing is wrong any more."""
        return self.state == "healthy"


class Alerts:
    """Fed with a look each second or so. One thread uses it."""

    def __init__(self, state: Status = "healthy", began: float = 0.0, told: Iterable[str] = ()) -> None:
        """What was reported last: the state, when that alert began, and its reasons."""
        self._state: Status = state
        self._began, self._sorts = began, {*map(sort_of, told)}
        self._since: float | None = None  # when a change began that is not told yet
        self._is_better = False
        self._over = float("-inf")
        self._repeats = 0

    def observe(self, now: float, health: HealthState) -> Change | None:
        """Take in a look at time `now`, in s of any clock -> the change to report, if any."""
        if health.status == "starting":  # neither healthy nor not
            self._since = None
            return None
        level, known, sorts = _LEVELS[health.status], _LEVELS[self._state], {*map(sort_of, health.reasons)}
        is_better = level < known
        if not is_better and level == known and sorts <= self._sorts:
            self._since = None
            return None
        if self._since is None or is_better != self._is_better:
            self._since, self._is_better = now, is_better
        if now - self._since < (CALM * 2**self._repeats if is_better else SURE):
            return None
        return self._tell(health, sorts, self._since)

    def _tell(self, health: HealthState, sorts: set[str], at: float) -> Change:
        if self._state == "healthy":
            self._repeats = min(self._repeats + 1, _DOUBLINGS) if at - self._over < QUARTER else 0
            self._began = at
        self._state, self._since = health.status, None
        if health.status != "healthy":
            self._sorts |= sorts
            return Change(health.status, at, health.reasons)
        self._sorts, self._over = set(), at
        return Change("healthy", at, [], max(0.0, at - self._began))


def sort_of(reason: str) -> str:
    """The part of a reason that stays the same over time: `saturated`, without seconds and details."""
    return _NUMBER.sub("", reason.partition(":")[0])
