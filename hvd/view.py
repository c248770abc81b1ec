"""Reading a daemon's block as a whole: sums, what aggregators published, health, post-mortems.

The only place that turns the running system into the JSON and the numbers that HTTP and the hub give out.
"""

import json
import threading
import time

from hvd.core import layout as at
from hvd.core import postmortem
from hvd.core.block import Block
from hvd.core.history import History, Point
from hvd.core.pages import Page
from hvd.core.proc import is_alive, is_stopped
from hvd.core.slots import Slot, Slots
from hvd.core.totals import Reader, Totals
from hvd.snapshot import Json, build_snapshot, merge_observed

HEARTBEAT = 0.25  # s between an aggregator's signs of life
LATE = 1.5  # s without one, after which the daemon counts as degraded
STARTING = 15.0  # s that companions may take to begin, on a machine that is busy

AGGREGATOR_PAGE, JOBS_PAGE = "aggregator", "jobs"
"""What a companion's page is: slots change hands, and a page outlives its writer."""


class View:
    """What any process of the daemon can tell of it. Thread-safe: one read at a time."""

    def __init__(self, block: Block, *, runs_jobs: bool = False) -> None:
        self._block = block
        self._runs_jobs = runs_jobs
        self._slots = Slots(block)
        self._reader = Reader(block)
        self._history = History(block)
        self._lock = threading.Lock()

    def totals(self) -> Totals:
        """The sums now."""
        with self._lock:
            return self._reader.read()

    def aggregators(self) -> list[Slot]:
        """The slots of the aggregators whose process lives: none, one, or two during an upgrade."""
        return self._companions(at.KIND_AGGREGATOR)

    def is_newest_aggregator(self, slot: int) -> bool:
        """Whether, of the aggregators alive, the one of this slot was started last."""
        newest = max(self.aggregators(), key=lambda found: found.taken_ns, default=None)
        return newest is not None and newest.number == slot

    def _companions(self, kind: int) -> list[Slot]:
        slots = (self._slots.get(number) for number in range(at.COMPANION_SLOTS))
        return [slot for slot in slots if slot and slot.kind == kind and slot.is_alive()]

    def observed(self) -> Json | None:
        """What the aggregators alive published last; while there is none, what the last one did, without what ended
        with it: WebSocket clients, tasks, and processes that are gone. None if nothing was published since the start.
        """
        own = [page for slot in self.aggregators() if (page := self._page(slot.number, slot.taken_ns))]
        return merge_observed(own) or self._last_words()

    def _page(self, slot: int, since_ns: int, what: str = AGGREGATOR_PAGE) -> Json | None:
        """What was published on a companion slot's page, if it was after that monotonic time: else by another one."""
        data = Page(self._block, slot).read()
        page: Json | None = json.loads(data) if data else None
        return page if page and page["page"] == what and page["monotonic_ns"] >= since_ns else None

    def _newest(self, what: str) -> Json | None:
        """The page of that kind that was written last since the daemon started, whether its writer lives or not."""
        started = self._block.cells[at.H_STARTED_MONO]
        pages = [page for number in range(at.COMPANION_SLOTS) if (page := self._page(number, started, what))]
        return max(pages, key=lambda page: int(page["monotonic_ns"])) if pages else None

    def jobs(self) -> Json | None:
        """What a job runner published last: see Queue.figures; None if none did."""
        return self._newest(JOBS_PAGE)

    def _last_words(self) -> Json | None:
        newest = self._newest(AGGREGATOR_PAGE)
        if newest is None:
            return None
        alive = [sample for sample in newest["processes"] if is_alive(sample["pid"])]
        return {**newest, "websocket_clients": 0, "tasks": 0, "processes": alive}

    def heartbeat_age(self, kind: int = at.KIND_AGGREGATOR) -> float | None:
        """Seconds since an aggregator gave a sign of life; None if none that lives and isn't stopped ever did."""
        beats = [slot.heartbeat_ns for slot in self._companions(kind) if not is_stopped(slot.pid)]
        newest = max(beats, default=0)
        return (time.monotonic_ns() - newest) / 1e9 if newest else None

    def health(self) -> tuple[str, list[str]]:
        """What /health says of the daemon: healthy, degraded or starting; and what is wrong, a line each."""
        if self._is_starting():
            return "starting", []
        reasons = self.reasons()
        return ("degraded" if reasons else "healthy"), reasons

    def _is_starting(self) -> bool:
        """True until each companion has published for the first time since the daemon started, for some seconds."""
        if time.monotonic_ns() - self._block.cells[at.H_STARTED_MONO] > STARTING * 1e9:
            return False
        pages = [AGGREGATOR_PAGE, JOBS_PAGE] if self._runs_jobs else [AGGREGATOR_PAGE]
        return not all(map(self._newest, pages))

    def reasons(self) -> list[str]:
        """What is wrong, a line each."""
        reasons = []
        if not self.aggregator_ticks():
            reasons.append("aggregator away: process figures are old, /ws is not served")
        if not self._block.file_name.holds():
            reasons.append(f"{self._block.path} was removed: should hvd be killed, its totals are lost; restart it")
        return reasons + self.job_troubles()

    def aggregator_ticks(self) -> bool:
        """True while an aggregator gives signs of life, and has published."""
        age = self.heartbeat_age()
        if age is None or age >= LATE:
            return False
        return any(self._page(slot.number, slot.taken_ns) for slot in self.aggregators())

    def job_troubles(self) -> list[str]:
        """Why jobs don't run, where kinds of job are declared."""
        if not self._runs_jobs:
            return []
        age = self.heartbeat_age(at.KIND_JOB_RUNNER)
        if age is None or age >= LATE:
            return ["job runner away: jobs wait"]
        page = self.jobs()
        if page and page["trouble"]:
            return [f"{page['trouble']}: jobs wait"]
        return []

    def series_limits(self) -> dict[str, int]:
        """How many series each family may have."""
        return self._reader.limits()

    def history(self) -> list[Point]:
        """The points of the last fifteen minutes."""
        return self._history.read()

    def post_mortems(self) -> list[Json]:
        """The last processes that died at work, newest first."""
        return postmortem.read(self._block)

    def snapshot(self) -> Json:
        """The answer of /api/v1/snapshot."""
        return build_snapshot(
            self.totals(), self.observed(), self.post_mortems(), jobs=self.jobs(), health=self.health()[0]
        )
