"""Which requests of workers have become slow since they were looked at last."""

import re
import time
from collections.abc import Sequence

from hvd.core.block import Block
from hvd.core.progress import Progress, read_progress

_WAITS = re.compile(r"GET /jobs/[^/]+/output")
"""hvd's own request that waits for more of a job's output: it takes up to 2 s, as it should."""


class SlowRequests:
    """Finds each slow request until it is noted; skips slots that have a pause. One thread uses it."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._noted: dict[int, set[tuple[int, int]]] = {}  # by slot: threads and begins of requests in progress
        self._not_before: dict[int, float] = {}

    def find(self, slot: int, seconds: float, now: float) -> Sequence[Progress]:
        """What the slot's process has had in progress for that long and is not noted; `now` is monotonic, in s."""
        due = time.monotonic_ns() - int(seconds * 1e9)
        requests = (request for request in read_progress(self._block, slot) if request.begin_ns <= due)
        slow = [request for request in requests if not _WAITS.fullmatch(request.text)]
        noted = self._noted[slot] = self._noted.get(slot, set()) & set(map(_key, slow))
        if now < self._not_before.get(slot, 0.0):
            return []
        return [request for request in slow if _key(request) not in noted]

    def note(self, slot: int, requests: Sequence[Progress], not_before: float) -> None:
        """Note that these were handled; the slot's next ones are found from that moment on."""
        self._noted[slot] |= set(map(_key, requests))
        self._not_before[slot] = not_before


def _key(request: Progress) -> tuple[int, int]:
    return request.thread, request.begin_ns
