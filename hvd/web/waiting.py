"""Clients that are passed on while the hub is away, or not there yet: for how long they wait for it.

They wait in the hand-off's channel, so no thread of a server is held. If the hub still gives no sign of life when their
time is over, the worker takes them out again and answers them itself.
"""

import contextlib
import threading
import time

from hvd.agg import handoff
from hvd.metrics.table import HANDOFFS_REFUSED
from hvd.runtime import Worker
from hvd.web.problem import problem_response

REFUSAL = "The aggregator, which serves WebSockets, is away or can't keep up."
RETRY_AFTER = 2  # s; an aggregator is replaced sooner
AWAY = 5.0  # s without a sign of life from the hub, or since the start, after which clients are not left waiting for it
LATE = 1.0  # s without one, after which it may be that nobody takes what is passed on: a hub gives one each 0.25 s


def silence(worker: Worker) -> float:
    """Seconds since the hub's last sign of life; while none lives, since one published last, or the master began."""
    age = worker.view.heartbeat_age()
    if age is not None:
        return age
    last = worker.view.published().last
    return time.monotonic() - max(worker.since, last["monotonic_ns"] / 1e9 if last else 0.0)


class Waiting:
    """Sees to it, in one worker, that nobody waits longer than AWAY. Thread-safe."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._timer: threading.Timer | None = None

    def may_wait(self, worker: Worker) -> bool:
        """Whether a client is to be passed on now; to be asked right before that is done."""
        age = worker.view.heartbeat_age()
        if age is not None and age < LATE:
            return True
        return silence(worker) <= AWAY and self._is_watched(worker)

    def _is_watched(self, worker: Worker) -> bool:
        """Whether somebody will look after those who wait by now; not where no thread can be started for it."""
        with self._starting, contextlib.suppress(RuntimeError):
            if self._timer is None:
                timer = threading.Timer(AWAY, self._look, (worker,))
                timer.daemon = True
                timer.start()
                self._timer = timer
        return self._timer is not None

    def _look(self, worker: Worker) -> None:
        with self._starting:
            self._timer = None
        if silence(worker) > AWAY:
            turn_away(worker)


def turn_away(worker: Worker) -> None:
    """Answer all clients that wait in the channel: 503, counted as the hub would."""
    answer = problem_response(503, REFUSAL, f"Retry-After: {RETRY_AFTER}")
    while waiting := handoff.receive(worker.hub_end):
        with waiting.sock as client, contextlib.suppress(OSError):
            worker.rows.count(HANDOFFS_REFUSED, ("503",))
            worker.rows.count_response("GET", "/ws", "503")
            client.sendall(answer)
