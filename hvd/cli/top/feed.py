"""A daemon's numbers as they come: over the WebSocket; by HTTP what that doesn't carry, and all while it is away."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from hvd.cli.client import Address
from hvd.cli.top.ask import PATH, JobsWanted, ask, ask_jobs, change_pin, parsed, reason_of
from hvd.cli.top.model import Model
from hvd.cli.websocket import Disconnect, messages
from hvd.errors import DaemonRefused, DaemonUnreachable
from hvd.texts import number

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0  # s between two attempts, before the jitter
ASK = 2.0  # s between two requests for a snapshot, while no messages come
_LATE = 1.0  # s after an interval without a message, from which on a snapshot is asked for
JOB_STATES = ("active", "pending", "completed", "failed", "cancelled")
_SILENCE = 10.0  # s, and at least four intervals, without a message, after which the connection is made anew
_JOIN = 1.0  # s that `stop` waits for a thread; during a request over HTTP it may take longer, and nobody waits


class Feed:
    """Keeps `model` up to date, and calls `changed`, from its threads, whenever it is another one.

    One thread has the WebSocket. A lost connection is made again after a pause that doubles, with jitter: so all its
    watchers don't come back to a daemon at once. The other thread asks for a snapshot while no messages come, whatever
    the first one waits for, and for what messages don't carry. `failure` is the exception that ended a thread, None
    while they run or after `stop`: where the first question, for a model that knows nothing, has no answer, it is why.
    """

    def __init__(
        self,
        address: Address,
        timeout: float,
        model: Model,
        changed: Callable[[], None] = lambda: None,
        *,
        connect: Callable[..., Iterator[str]] = messages,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),
    ) -> None:
        self.model = model
        self.changed = changed
        self.failure: Exception | None = None
        self.began = threading.Event()  # set by the first answer, and by the failure of the first question
        self._address, self._timeout = address, timeout
        self._connect, self._clock, self._jitter = connect, clock, jitter
        self._stopping = threading.Event()
        self._woken = threading.Event()  # one of the next two
        self._wanted = threading.Event()  # a snapshot now, fresh numbers or not
        self._jobs_wanted = threading.Event()
        self._jobs: JobsWanted | None = None
        self._lacks_history = not model.received
        self._pins: list[str] = []  # keys whose pin is to be changed
        self._updating = threading.Lock()  # held while the model changes
        self._calling = threading.Lock()  # held while `changed` is called: not after `stop`
        self._end: Disconnect = lambda: None
        self._failures = 0
        # daemon threads, as is the one that reads the socket: a silent peer doesn't keep the process alive
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name="hvd-top-feed", daemon=True)
            for work in (self._attempt, self._ask)
        ]

    def start(self) -> None:
        """Begin to listen; what isn't known yet is asked for at once."""
        if not self.model.received:
            self._want(self._wanted)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Listen no more: `changed` is not called after this, and the connection is ended."""
        with self._calling:
            self._stopping.set()
        self._woken.set()
        self._end()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_JOIN)

    def watch(self, key: str) -> None:
        """Keep the points of this own metric from now on; "" is none."""
        if key and key not in self.model.own.watched:
            self._update(lambda model: model.watching(key))

    def toggle_pin(self, key: str) -> None:
        """Have the daemon pin this own metric, or pin it no more; "" is none. Returns at once."""
        if key:
            self._pins.append(key)
            self._want(self._wanted)

    def list_jobs(self, wanted: JobsWanted | None) -> None:
        """Have these jobs in the model from now on, as they change; None: no others than messages bring."""
        if wanted != self._jobs:
            self._jobs = wanted
            if wanted:
                self._want(self._jobs_wanted)

    def _want(self, what: threading.Event) -> None:
        what.set()
        self._woken.set()

    def _opened(self, end: Disconnect) -> None:
        self._end = end
        if self._stopping.is_set():
            end()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            while not self._stopping.is_set():
                work()
        except Exception as error:
            self.failure = error
            self.began.set()
            self._call()

    def _attempt(self) -> None:
        """One connection, from its beginning to its end and the pause after it."""
        try:
            self._listen()
        except (DaemonUnreachable, DaemonRefused) as error:
            if self._stopping.is_set():
                return
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 10)) * self._jitter()
            self._failures += 1
            trouble, retry_at = reason_of(error, self._address), self._clock() + pause
            self._update(lambda model: model.without_connection(trouble, retry_at))
            self._want(self._wanted)  # HTTP may work where the WebSocket isn't served
            self._stopping.wait(pause)

    def _listen(self) -> None:
        silence = max(_SILENCE, 4 * self.model.interval)
        for text in self._connect(self._address, self._timeout, path=PATH, silence=silence, opened=self._opened):
            if self._stopping.is_set():
                return
            self._failures = 0
            self._take(parsed(text))

    def _take(self, message: dict[str, object]) -> None:
        now, before = self._clock(), self.model
        self._update(lambda model: model.with_message(message, now).with_connection())
        if before.trouble:
            self._lacks_history = True
        if self._lacks_history or _lacks_more(before, self.model):
            self._want(self._wanted)
        if self._jobs and before.raw is not self.model.raw and _jobs_change(before, self.model):
            self._want(self._jobs_wanted)

    def _ask(self) -> None:
        """Wait until something is wanted, or due, and ask for it."""
        self._woken.wait(ASK)
        self._woken.clear()
        is_late = self._is_late()
        if not self._stopping.is_set() and (_taken(self._wanted) or is_late):
            self._ask_snapshot(is_late)
        if not self._stopping.is_set() and (_taken(self._jobs_wanted) or is_late):
            self._ask_jobs()

    def _ask_snapshot(self, is_late: bool) -> None:
        history = self._lacks_history or bool(self._pins)
        asked = self._clock()
        try:
            while self._pins:
                key = self._pins.pop(0)
                refusal = change_pin(self._address, key, self._timeout, pinned=key not in self.model.own.pinned)
                self._update(partial(Model.with_refusal, reason=refusal))
            after = self.model.lacking_events
            after = self.model.last_event if after is None and history else after
            answers = ask(self._address, self._timeout, history=history, after=after)
        except (DaemonUnreachable, DaemonRefused) as error:
            if not self.model.received:
                raise
            reason = _reason(error)
            self._update(lambda model: model.without_answer(reason, asked))
            return
        self._lacks_history = self._lacks_history and not history
        now = self._clock()
        self._update(lambda model: answers.applied(model, now))
        self.began.set()
        if is_late:
            self._update(Model.with_own_point)

    def _ask_jobs(self) -> None:
        if (wanted := self._jobs) is None:
            return
        try:
            answer = ask_jobs(self._address, self._timeout, wanted)
        except (DaemonUnreachable, DaemonRefused) as error:
            reason = reason_of(error, self._address)
            self._update(lambda model: model.without_jobs(reason))
        else:
            self._update(lambda model: model.with_jobs(answer))

    def _is_late(self) -> bool:
        """True while messages don't come as they should."""
        return bool(self.model.trouble) or self._clock() - self.model.received > self.model.interval + _LATE

    def _update(self, change: Callable[[Model], Model]) -> None:
        with self._updating:
            self.model = change(self.model)
        self._call()

    def _call(self) -> None:
        with self._calling:
            if not self._stopping.is_set():
                self.changed()


def _taken(wanted: threading.Event) -> bool:
    """Whether that was wanted; it is not from now on."""
    was_wanted = wanted.is_set()
    wanted.clear()
    return was_wanted


def _jobs_change(before: Model, model: Model) -> bool:
    """True where jobs came, went or go on: messages have the newest ones only."""
    numbers = [[known.raw.get(f"jobs_{state}") for state in JOB_STATES] for known in (before, model)]
    return numbers[0] != numbers[1] or bool(number(model.raw.get("jobs_active")))


def _reason(error: DaemonUnreachable | DaemonRefused) -> str:
    """Why there was no answer; "" where something else answered."""
    if isinstance(error, DaemonRefused):
        return f"it answers {error.status}: its token is asked for, or another one"
    return error.reason if error.is_silent else ""


def _lacks_more(before: Model, model: Model) -> bool:
    """True where what messages don't carry may be new: post-mortems, events, and the reasons of an older daemon."""
    has_ended = before.restarts is not None and model.restarts != before.restarts
    health = model.raw.get("system_health")
    lacks_reasons = health not in ("healthy", before.raw.get("system_health")) and "reasons" not in model.raw
    return has_ended or lacks_reasons or model.lacking_events is not None
