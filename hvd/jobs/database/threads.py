"""Threads that wait for the jobs' database, so that no other thread waits for it longer than some seconds.

No limit of a library or a server holds against a stopped server, a network that drops everything, and a disk that
hangs. So one of these threads asks the database, and the caller gives up at a deadline. Work that was given up is cut
off from the database, and commits nothing more.
"""

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from hvd.errors import StoreUnavailable

Result = TypeVar("Result")

ANSWER = 5.0  # s that the database may take for a piece of work: above what its own limits allow, see postgresql.py
START = 1.0  # s that work waits for a thread at most
MOMENT = 0.2  # s; while no thread has been free for longer, none is waited for

_local = threading.local()


class Ticket:
    """Says whether a caller still waits for a piece of work. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_given_up = False
        self._connection: socket.socket | None = None

    def use(self, connection: socket.socket | None) -> None:
        """Note for which connection's server the work waits from now on; None: for none."""
        with self._lock:
            self._connection = connection
            if self._is_given_up:
                self._cut()

    def give_up(self) -> None:
        """Give the work up: a thread that waits for the server gets the end of the connection."""
        with self._lock:
            self._is_given_up = True
            self._cut()

    def _cut(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):  # the server was quicker
                self._connection.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """To be called before a commit. Raises StoreUnavailable where nobody waits for it any more."""
        if self._is_given_up:
            raise unanswered(ANSWER)


def ticket() -> Ticket:
    """The ticket of the work that this thread does; a new one, which is never given up, in a thread without work."""
    ticket: Ticket | None = getattr(_local, "ticket", None)
    return ticket or Ticket()


class Task:
    """A piece of work that was accepted: `future` has its result in the end."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.ticket = Ticket()
        self.began = 0.0  # monotonic, s

    def has_ended(self, seconds: float) -> bool:
        """Wait so long at most -> whether it has."""
        with contextlib.suppress(BaseException):
            self.future.exception(seconds)
        return self.future.done()


class DatabaseThreads:
    """At most `count` threads, started when there is work for them. Thread-safe; made after a fork."""

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._taken = threading.Condition(lock)  # for those who wait for a thread
        self._taken_at = 0.0  # monotonic s, when a thread last took up work
        self._waiting: deque[Task] = deque()
        self._running: set[Task] = set()
        self._threads = 0
        self._hangs = False  # the last work that ended, or was given up, had no answer in time
        self._closed = False

    def do(self, work: Callable[[], Result]) -> Result:
        """What the work returns or raises; StoreUnavailable where it has not ended after ANSWER seconds.

        Nobody waits for a thread while none becomes free, so `count` at most wait for a database that stands still.
        While it hangs, one thread at a time finds out whether it still does, and all others are refused.
        """
        began = self._clock()
        task = self.start(work)
        if not self._gets_thread(task):
            raise _busy()
        rest = ANSWER - START - (self._clock() - began)
        if not task.has_ended(START) and (self._hangs or not task.has_ended(rest)):
            self.give_up(task)
            raise unanswered(ANSWER)
        result: Result = task.future.result()
        return result

    def start(self, work: Callable[[], Any]) -> Task:
        """Have it done as soon as a thread is free. Raises StoreUnavailable where none will be soon."""
        with self._changed:
            if self._is_stuck():
                raise _busy()
            task = Task(work)
            self._waiting.append(task)
            if self._threads < min(self._count, len(self._running) + len(self._waiting)):
                self._threads += 1
                threading.Thread(target=self._work, name="database", daemon=True).start()
            self._changed.notify()
        return task

    def _is_stuck(self) -> bool:
        if self._hangs:
            return bool(self._running or self._waiting)
        if len(self._running) < self._count:
            return False
        return self._clock() - self._taken_at > MOMENT

    def _gets_thread(self, task: Task) -> bool:
        """Wait for a thread to take it up, as long as threads take up others -> whether one does."""
        with self._changed:
            began = self._clock()
            while task in self._waiting and len(self._running) + len(self._waiting) > self._count:
                end = min(began + START, max(began, self._taken_at) + MOMENT)
                if end <= self._clock():
                    self._waiting.remove(task)
                    return False
                self._taken.wait(end - self._clock())
            return True

    def give_up(self, task: Task) -> None:
        """Give the task up: no caller waits for it any more."""
        with self._changed:
            self._hangs = True
        task.ticket.give_up()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            _local.ticket = task.ticket
            try:
                result = task.work()
            except BaseException as error:
                self._end(task, has_answer=not isinstance(error, StoreUnavailable))
                task.future.set_exception(error)
            else:
                self._end(task, has_answer=True)
                task.future.set_result(result)
            del task

    def _next(self) -> Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            task = self._waiting.popleft()
            self._taken_at = task.began = self._clock()
            self._running.add(task)
            self._taken.notify_all()
            return task

    def _end(self, task: Task, *, has_answer: bool) -> None:
        with self._changed:
            self._running.discard(task)
            self._hangs = not has_answer and self._clock() - task.began >= START  # a quick refusal is an answer too

    def close(self) -> None:
        """End the threads that have nothing to do, and the others after their work."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def unanswered(seconds: float) -> StoreUnavailable:
    """What is raised when the time is over."""
    text = f"the jobs' database has not answered for {seconds:g} s"
    return StoreUnavailable(text, public=text)


def _busy() -> StoreUnavailable:
    text = "the jobs' database is slow to answer, and enough requests wait for it already"
    return StoreUnavailable(text, public=text)
