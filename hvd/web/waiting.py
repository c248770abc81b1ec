"""Clients that are passed on while the hub is away, or not there yet: for how long they wait for it.

They wait in the hand-off's channel, so no thread of a server is held. If the hub still gives no sign of life when their
time is over, the worker takes them out again and answers them itself.
"""

import contextlib
import threading
import time

from hvd.agg import handoff
from hvd.agg.answers import count_answer
from hvd.metrics.table import HANDOFFS_REFUSED
from hvd.web.here import Parts
from hvd.web.problem import problem_response

REFUSAL = "The aggregator, which serves WebSockets, is away or can't keep up."
RETRY_AFTER = 2  # s; an aggregator is replaced sooner
AWAY = 5.0  # s without a sign of life from the hub, or since the start, after which clients are not left waiting for it
HUB_LATE = 1.0  # s without one, after which it may be that nobody takes what is passed on: a hub gives one each 0.25 s


def silence(parts: Parts) -> float:
    """Seconds since the hub's last sign of life; while none lives, since one published last, or the master began."""
    age = parts.reader.heartbeat_age()
    if age is not None:
        return age
    last = parts.reader.companions().last_page
    return time.monotonic() - max(parts.since, last["monotonic_ns"] / 1e9 if last else 0.0)


class Waiting:
    """Makes sure, in one worker, that no client waits longer than AWAY. Thread-safe."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._timer: threading.Timer | None = None

    def may_wait(self, parts: Parts) -> bool:
        """Whether a client is to be passed on now; to be asked right before that is done."""
        age = parts.reader.heartbeat_age()
        if age is not None and age < HUB_LATE:
            return True
        return silence(parts) <= AWAY and self._is_watched(parts)

    def _is_watched(self, parts: Parts) -> bool:
        """Whether a thread will see to the waiting clients; False where none can be started."""
        with self._starting, contextlib.suppress(RuntimeError):
            if self._timer is None:
                timer = threading.Timer(AWAY, self._look, (parts,))
                timer.daemon = True
                timer.start()
                self._timer = timer
        return self._timer is not None

    def _look(self, parts: Parts) -> None:
        with self._starting:
            self._timer = None
        if silence(parts) > AWAY:
            turn_away(parts)


def turn_away(parts: Parts) -> None:
    """Answer all clients that wait in the channel: 503, counted as the hub would."""
    answer = problem_response(503, REFUSAL, f"Retry-After: {RETRY_AFTER}")
    while waiting := handoff.receive(parts.hub_end):
        with waiting.sock as client, contextlib.suppress(OSError):
            parts.rows.count(HANDOFFS_REFUSED, ("503",))
            count_answer(parts.rows, waiting.headers, "503")
            client.sendall(answer)
