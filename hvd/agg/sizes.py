"""What is slow to read of a process: its proportional set, and how many files it has open. Read in a thread of its own.

The kernel walks all page tables for a proportional set: 12 to 30 ms for each GB of each process, in which the hub must
go on. So the tick never waits for it: it takes what was read last, with its age.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from hvd.core.proc import start_ticks

log = logging.getLogger(__name__)

SHARE = 0.05
"""Of a core, at most, that is spent on it: after a round nothing is read for so long that it comes to that."""

Identity = tuple[int, int]
"""A process: its pid, and when it started in clock ticks since boot."""


@dataclass(frozen=True)
class Size:
    """Of one process at that monotonic time in ns: bytes, and open files; None where we may not read them."""

    at_ns: int
    proportional: int | None
    fds: int | None


def read_size(pid: int) -> Size:
    """Read it now. Raises psutil.NoSuchProcess."""
    process = psutil.Process(pid)
    proportional = fds = None
    with contextlib.suppress(psutil.AccessDenied, OSError):
        proportional = process.memory_full_info().pss
    with contextlib.suppress(psutil.AccessDenied, OSError):
        fds = process.num_fds()
    return Size(time.monotonic_ns(), proportional, fds)


class Sizes:
    """The sizes read last. One thread uses it; the thread that reads is its own."""

    def __init__(
        self,
        read: Callable[[int], Size] = read_size,
        clock: Callable[[], float] = time.monotonic,
        cost: Callable[[], float] = time.thread_time,
    ) -> None:
        self._read, self._clock, self._cost = read, clock, cost
        self._sizes: dict[Identity, Size] = {}
        self._rounds: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()
        self._has_thread = False
        self._next = float("-inf")
        self.is_reading = False

    def begin(self, pids: Iterable[int]) -> bool:
        """Read these anew -> False if a round is under way, or its share of time is used up."""
        if self.is_reading or self._clock() < self._next or not self._start_thread():
            return False
        self.is_reading = True
        self._rounds.put(list(pids))
        return True

    def close(self) -> None:
        """Let the thread end, after the round that is under way; never waits."""
        self._rounds.put(None)

    def _start_thread(self) -> bool:
        """Start the thread. It stays: one that came and went would make the number of threads flicker."""
        if not self._has_thread:
            # a daemon: the kernel may let it wait for a process whose memory is locked, and we must be able to end
            with contextlib.suppress(RuntimeError):  # no more threads are allowed
                threading.Thread(target=self._read_rounds, name="sizes", daemon=True).start()
                self._has_thread = True
        return self._has_thread

    def of(self, pid: int, started: int) -> Size | None:
        """What was read last of the process; None if nothing was yet."""
        return self._sizes.get((pid, started))

    def _read_rounds(self) -> None:
        for pids in iter(self._rounds.get, None):
            try:
                self._read_all(pids)
            except Exception:
                log.exception("the sizes of processes can't be read")
            self.is_reading = False

    def _read_all(self, pids: list[int]) -> None:
        start = self._cost()
        known: set[Identity] = set()
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                started = start_ticks(pid)
                size = self._read(pid)
                if started == start_ticks(pid):  # else another process has the pid by now
                    known.add((pid, started))
                    self._sizes[pid, started] = size
        self._sizes = {identity: size for identity, size in self._sizes.items() if identity in known}
        self._next = self._clock() + (self._cost() - start) * (1 / SHARE - 1)
