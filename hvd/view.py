"""Reading a daemon's block as a whole: sums, what aggregators published, health, post-mortems.

The only place that turns the running system into the JSON and the numbers that HTTP and the hub give out.
"""

import json
import threading
import time

from hvd.core import layout as at
from hvd.core import postmortem
from hvd.core.block import Block
from hvd.core.pages import Page
from hvd.core.proc import is_alive, is_stopped
from hvd.core.slots import Slot, Slots
from hvd.core.totals import Reader, Totals
from hvd.snapshot import Json, build_snapshot, merge_observed

HEARTBEAT = 0.25  # s between an aggregator's signs of life
LATE = 1.5  # s without one, after which the daemon counts as degraded


class View:
    """What any process of the daemon can tell of it. Thread-safe: one read at a time."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._slots = Slots(block)
        self._reader = Reader(block)
        self._lock = threading.Lock()

    def totals(self) -> Totals:
        """The sums now."""
        with self._lock:
            return self._reader.read()

    def aggregators(self) -> list[Slot]:
        """The slots of the aggregators whose process lives: none, one, or two during an upgrade."""
        slots = (self._slots.get(number) for number in range(at.COMPANION_SLOTS))
        return [slot for slot in slots if slot and slot.kind == at.KIND_AGGREGATOR and slot.is_alive()]

    def observed(self) -> Json | None:
        """What the aggregators alive published last; while there is none, what the last one did, without what ended
        with it: WebSocket clients, tasks, and processes that are gone. None if nothing was published since the start.
        """
        own = [page for slot in self.aggregators() if (page := self._page(slot.number, slot.taken_ns))]
        return merge_observed(own) or self._last_words()

    def _page(self, slot: int, since_ns: int) -> Json | None:
        """What was published on a companion slot's page, if it was after that monotonic time: else by another one."""
        data = Page(self._block, slot).read()
        page: Json | None = json.loads(data) if data else None
        return page if page and page["monotonic_ns"] >= since_ns else None

    def _last_words(self) -> Json | None:
        started = self._block.cells[at.H_STARTED_MONO]
        pages = [page for number in range(at.COMPANION_SLOTS) if (page := self._page(number, started))]
        if not pages:
            return None
        newest = max(pages, key=lambda page: int(page["monotonic_ns"]))
        alive = [sample for sample in newest["processes"] if is_alive(sample["pid"])]
        return {**newest, "websocket_clients": 0, "tasks": 0, "processes": alive}

    def heartbeat_age(self) -> float | None:
        """Seconds since an aggregator gave a sign of life; None if none that lives and isn't stopped ever did."""
        beats = [slot.heartbeat_ns for slot in self.aggregators() if not is_stopped(slot.pid)]
        newest = max(beats, default=0)
        return (time.monotonic_ns() - newest) / 1e9 if newest else None

    def is_healthy(self) -> bool:
        """True while an aggregator ticks: it gives signs of life, and has published."""
        age = self.heartbeat_age()
        if age is None or age >= LATE:
            return False
        return any(self._page(slot.number, slot.taken_ns) for slot in self.aggregators())

    def series_limits(self) -> dict[str, int]:
        """How many series each family may have."""
        return self._reader.limits()

    def post_mortems(self) -> list[Json]:
        """The last processes that died at work, newest first."""
        return postmortem.read(self._block)

    def snapshot(self) -> Json:
        """The answer of /api/v1/snapshot."""
        return build_snapshot(self.totals(), self.observed(), self.post_mortems(), healthy=self.is_healthy())
