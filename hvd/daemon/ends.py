"""How processes of the daemon end: planned, unplanned, or before they could serve. Each end is counted; an unplanned
one is written as an event.
"""

import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.oom_kills import OomKills
from hvd.core.pages import Page
from hvd.core.slots import Slot
from hvd.metrics.companion_pages import AGGREGATOR_PAGE, ProcessSample, decode
from hvd.metrics.events import EndedHow, EventKind, count_end, last_like, write_again, write_event
from hvd.texts import duration, size

SAME = {"death": 4, "boot_failed": 1}
"""So many events of a kind are written one by one, see last_like."""

NAMES = {
    layout.KIND_ADMIN_SERVER: "admin server",
    layout.KIND_JOB_RUNNER: "job runner",
    layout.KIND_JOINED: "joined process",
}
SERVING = {layout.KIND_WORKER, layout.KIND_JOINED}
OOM = "SIGKILL, killed by the OOM killer"
BOOT_CAUSES = {"exit 3": "exit 3, an exception while it booted", "exit 4": "exit 4, its app can't be loaded"}
"""Of gunicorn's WORKER_BOOT_ERROR and APP_LOAD_ERROR."""


class End(NamedTuple):
    """The end of the process with this pid, which had the slot: how, with how many requests in progress, and the most
    memory in bytes that it ever used, where that is known; `is_wanted` where its master wanted it.
    """

    slot: Slot
    pid: int
    cause: str
    status: str
    aborted: int
    is_wanted: bool
    peak: int | None

    @property
    def has_served(self) -> bool:
        """False where it did not get as far as that."""
        slot = self.slot
        if slot.kind in (layout.KIND_JOINED, layout.KIND_MASTER):
            return True
        return bool(slot.threads if slot.kind == layout.KIND_WORKER else slot.heartbeat_ns)

    @property
    def is_planned(self) -> bool:
        """Whether the end is planned: also at max_requests, and by a SIGTERM of any sender."""
        if self.is_wanted or self.slot.kind != layout.KIND_WORKER:
            return self.is_wanted
        return self.cause == "exit 0" and self.has_served and (self.slot.threads < 0 or not self.aborted)

    @property
    def how(self) -> EndedHow:
        """As it is counted."""
        if self.is_planned:
            return "planned"
        return "unplanned" if self.has_served else "failed_boots"


class Ends:
    """One master's. Used in its main thread; nothing here waits."""

    def __init__(self, block: Block, pid: int, oom: OomKills | None = None) -> None:
        """Of the master with this pid."""
        self._block, self._pid = block, pid
        self._unwritten: deque[tuple[float, End]] = deque(maxlen=layout.EVENTS)  # and when (Unix time in s) they ended
        self.oom = oom or OomKills()

    def count(self, end: End) -> None:
        """Count the end, under the mutation lock, which the caller holds; its event waits for `tell`."""
        count_end(self._block, end.how)
        if end.how == "planned":
            return
        if end.slot.kind in (layout.KIND_MASTER, layout.KIND_JOINED) or end.slot.master == self._pid or end.aborted:
            self._unwritten.append((round(time.time(), 3), end))  # else its master ended, which has an event

    def tell(self) -> None:
        """Write the events of the ends counted, as far as that can be done now; called without the lock."""
        while self._unwritten:
            at, end = self._unwritten.popleft()  # first: an end that can't be written must not hold up the next ones
            if end.status == end.cause == "SIGKILL" and self.oom.take():
                end = end._replace(cause=OOM)
            if not self._tell(at, end):
                self._unwritten.appendleft((at, end))
                return

    def _tell(self, at: float, end: End) -> bool:
        sample = self._sample(end)
        memory = sample and (sample["proportional"] or sample["resident"])
        kind: EventKind = "death" if end.has_served else "boot_failed"
        text = describe(end, memory)
        figures = {"pid": end.pid, "memory_bytes": memory, "peak_bytes": end.peak}
        if (last := last_like(self._block, SAME[kind], kind, process=end.slot.kind_name, cause=end.cause)) is None:
            about = {"time": at, "process": end.slot.kind_name, "cause": end.cause, "aborted": end.aborted, "number": 1}
            return write_event(self._block, kind, text, **about, **figures)
        text += f"; {last.get('number', 1) + 1} such ends in {duration(at - last['time'], 2)}"
        aborted = last.get("aborted", 0) + end.aborted
        return write_again(self._block, last, text, until=at, aborted=aborted, **figures)

    def _sample(self, end: End) -> ProcessSample | None:
        """What an aggregator saw of the process last, on whichever page that is."""
        samples = (sample for sample in self._samples() if sample["pid"] == end.pid)
        return next((sample for sample in samples if end.slot.pid_start in (0, sample["started"])), None)

    def _samples(self) -> Iterator[ProcessSample]:
        pages = (decode(Page(self._block, number).read()) for number in range(layout.COMPANION_SLOTS))
        aggregators = [page for page in pages if page and page["page"] == AGGREGATOR_PAGE]
        for page in sorted(aggregators, key=lambda page: -page["monotonic_ns"]):
            yield from (*page["processes"], *page["gone"])


def describe(end: End, memory: int | None) -> str:
    """As `worker 4711 died (SIGKILL) while idle; it used 512 MB`."""
    cause, name = end.cause, f"{NAMES.get(end.slot.kind, end.slot.kind_name)} {end.pid}"
    if not end.has_served:
        what = f"{name} failed to boot ({BOOT_CAUSES.get(cause, cause)})"
    else:
        what = f"{name} {'ended' if cause == 'exit 0' else 'died'} ({cause}){_at_work(end)}"
    used = (end.peak if cause == OOM else None) or memory or end.peak  # it may have grown since it was looked at
    return f"{what}; it used {size(used)}" if used else what


def _at_work(end: End) -> str:
    if end.aborted:
        return f" with {end.aborted} request{'' if end.aborted == 1 else 's'} in progress"
    return " while idle" if end.slot.kind in SERVING else ""
