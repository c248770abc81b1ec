"""How long a client may take: deadlines as functions of times that are passed in, in s of the monotonic clock."""

from dataclasses import dataclass
from typing import Self

from hvd.settings.table import Settings

LEAST_RATE = 500
"""Bytes per second that a client has to move over all its time; the limit's seconds come on top. As in Apache's
mod_reqtimeout (MinRate): so one that moves a byte now and then is not waited for without end."""

BRISK_RATE = 16 * 1024
"""Bytes per second below which a client gives way to others that need its place."""

LEAST_AGE = 1.0  # s that the server waits for a client, even where others need its place


@dataclass(frozen=True)
class Limits:
    """The settings of [limits], in s: for a head to come; for a body, and for a client to read, see Pace."""

    head_seconds: float = 10.0
    body_seconds: float = 30.0
    send_seconds: float = 30.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those that are set."""
        return cls(settings.limits_head_seconds, settings.limits_body_seconds, settings.limits_send_seconds)


class Pace:
    """The pace at which a client sends a body or reads a response, from a moment on."""

    __slots__ = ("begun", "moved", "moved_at")

    def __init__(self, now: float) -> None:
        self.begun = self.moved_at = now
        self.moved = 0

    def advance(self, now: float, moved: int) -> None:
        """Note that it has moved so many bytes in all."""
        if moved > self.moved:
            self.moved, self.moved_at = moved, now

    def leave_out(self, seconds: float) -> None:
        """Leave out these last seconds, in which nobody waited for the client."""
        self.begun += seconds
        self.moved_at += seconds

    def seconds_left(self, now: float, seconds: float) -> float:
        """Seconds until it is too slow: until it moved nothing for `seconds`, or on the whole less than LEAST_RATE."""
        return min(self.moved_at, self.begun + self.moved / LEAST_RATE) + seconds - now

    def gives_way(self, now: float, age: float = LEAST_AGE) -> bool:
        """Others may have its place: it has moved nothing for longer than `age`, or on the whole too little."""
        return now - self.moved_at > age or now - self.begun > age + self.moved / BRISK_RATE
