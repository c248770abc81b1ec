"""A daemon's numbers as they come, in a thread: over the WebSocket, and by HTTP what it doesn't carry."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator

from hvd.cli.client import Address, exchange, get_object
from hvd.cli.top.model import Model
from hvd.cli.websocket import Disconnect, messages
from hvd.errors import DaemonUnreachable

PATH = "/ws?detail=1"
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0  # s between two attempts, before the jitter
_SILENCE = 10.0  # s, and at least four intervals, without a message, after which the connection is made anew
_JOIN = 1.0  # s that `stop` waits for the thread; during a request over HTTP it may take longer, and nobody waits


def load(address: Address, timeout: float, model: Model, now: float) -> Model:
    """`model` with what the daemon answers over HTTP now. Raises DaemonUnreachable."""
    model = model.with_snapshot(get_object(address, "/api/v1/snapshot", timeout), now)
    history = exchange(address, "GET", "/api/v1/history", timeout)
    if history.status == 200:  # an older daemon has none
        model = model.with_history(history.object())
    if model.raw.get("system_health") != "healthy":
        model = model.with_health(get_object(address, "/health", timeout))
    return model


def with_first_messages(address: Address, timeout: float, model: Model, now: float) -> Model:
    """`model` with the first messages of the WebSocket; as it was, where there is none."""
    try:
        for text in messages(address, timeout, path=PATH, silence=timeout):
            message = _parsed(text)
            model = model.with_message(message, now)
            if message.get("type") == "detail":
                break
    except DaemonUnreachable:
        pass
    return model


def _parsed(text: str) -> dict[str, object]:
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


class Feed:
    """Keeps `model` up to date, and calls `changed`, from its thread, whenever it is another one.

    A lost connection is made again after a pause that doubles, with jitter: so all its watchers don't come back to a
    daemon at once. `failure` is the exception that ended the thread, None while it runs or after `stop`.
    """

    def __init__(
        self,
        address: Address,
        timeout: float,
        model: Model,
        changed: Callable[[], None],
        *,
        connect: Callable[..., Iterator[str]] = messages,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),
    ) -> None:
        self.model = model
        self.failure: Exception | None = None
        self._address, self._timeout, self._changed = address, timeout, changed
        self._connect, self._clock, self._jitter = connect, clock, jitter
        self._stopping = threading.Event()
        self._calling = threading.Lock()  # held while `changed` is called: not after `stop`
        self._end: Disconnect = lambda: None
        self._failures = 0
        # a daemon thread, as is the one that reads the socket: a silent peer doesn't keep the process alive
        self._thread = threading.Thread(target=self._run, name="hvd-top-feed", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more: `changed` is not called after this, and the connection is ended."""
        with self._calling:
            self._stopping.set()
        self._end()
        if self._thread.is_alive():
            self._thread.join(_JOIN)

    def _opened(self, end: Disconnect) -> None:
        self._end = end
        if self._stopping.is_set():
            end()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._attempt()
        except Exception as error:
            self.failure = error
            self._call()

    def _attempt(self) -> None:
        """One connection, from its beginning to its end and the pause after it."""
        try:
            self._listen()
        except DaemonUnreachable as error:
            if self._stopping.is_set():
                return
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 10)) * self._jitter()
            self._failures += 1
            self._become(self.model.without_connection(str(error), self._clock() + pause))
            self._stopping.wait(pause)

    def _listen(self) -> None:
        if self.model.trouble:  # HTTP may work where the WebSocket isn't served
            self._become(load(self._address, self._timeout, self.model, self._clock()))
        silence = max(_SILENCE, 4 * self.model.interval)
        for text in self._connect(self._address, self._timeout, path=PATH, silence=silence, opened=self._opened):
            if self._stopping.is_set():
                return
            before = self.model
            self._failures = 0
            model = before.with_message(_parsed(text), self._clock()).with_connection()
            self._become(self._completed(before, model))

    def _completed(self, before: Model, model: Model) -> Model:
        """With post-mortems and reasons by HTTP, where the message shows that they may have changed: it has none."""
        ended = before.restarts is not None and model.restarts != before.restarts
        health = model.raw.get("system_health")
        if not ended and health == before.raw.get("system_health"):
            return model
        snapshot = get_object(self._address, "/api/v1/snapshot", self._timeout)
        model = model.with_post_mortems(snapshot)
        return model if health == "healthy" else model.with_health(get_object(self._address, "/health", self._timeout))

    def _become(self, model: Model) -> None:
        self.model = model
        self._call()

    def _call(self) -> None:
        with self._calling:
            if not self._stopping.is_set():
                self._changed()
