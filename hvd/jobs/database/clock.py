"""The queue's clock: as even as the time since the machine's start, whatever becomes of the machine's wall clock.

Due times, durations, order and ages are of this clock. Where it and the wall clock differ by now, people are shown
times by the wall clock: `behind` says by how much.
"""

import time

SETTLED = 1_000_000  # µs; a smaller difference is none: a step of less is not one that people see


class Clock:
    """The time since the boot, and what is to be added to it, µs. Safe everywhere."""

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead

    def micros(self) -> int:
        """The time now, µs since the Unix epoch as they were known when the clock was set."""
        return since_boot() + self._ahead

    def behind(self) -> int:
        """What the wall clock has by now that this one has not, µs; whole seconds, so that it is a constant."""
        return round((wall_time() - self.micros()) / SETTLED) * SETTLED


def since_boot() -> int:
    """µs, those included for which the machine slept."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def wall_time() -> int:
    """µs since the Unix epoch, as the machine believes."""
    return time.time_ns() // 1000


def boot_id() -> str:
    """Names this run of the machine; empty where /proc hides it (systemd's ProcSubset=pid)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
