"""The badge: what is known of the daemon's health, from what was last really heard of it. Pure."""

from hvd.cli.saturation import health_of
from hvd.cli.top.frame import Frame
from hvd.cli.top.model import Model

UNKNOWN, UNREACHABLE = "unknown", "unreachable"
STYLES = {"healthy": "green", "starting": "yellow", "degraded": "yellow", "unhealthy": "red", UNKNOWN: "dim"}
"""The states that a daemon tells of itself, and UNKNOWN; all others are drawn as UNREACHABLE is."""


def age(model: Model, frame: Frame) -> float:
    """Seconds since the last numbers came."""
    return max(0.0, frame.now - model.received)


def badge(model: Model, frame: Frame) -> str:
    """UNREACHABLE while connections are refused or time out, UNKNOWN where the last numbers are older than two
    intervals and a second, or say nothing of health; else what the daemon said.
    """
    if frame.state:
        return frame.state
    if model.unreachable:
        return UNREACHABLE
    if age(model, frame) > max(frame.stale_after, 2 * model.interval + 1):
        return UNKNOWN
    health = health_of(model.raw)
    return health if health in STYLES else UNKNOWN


def is_stale(model: Model, frame: Frame) -> bool:
    """True where the numbers can't be called the present."""
    return badge(model, frame) in (UNKNOWN, UNREACHABLE)
