"""Threads that wait for a database in place of those who ask."""

import threading
import time
from collections.abc import Iterator

import pytest

from hvd.errors import StoreUnavailable
from hvd.jobs.database import threads
from hvd.jobs.database.threads import DatabaseThreads, Ticket, ticket
from tests.support.jobs import together
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseThreads]:
    """Two threads, with short limits."""
    monkeypatch.setattr(threads, "START", 0.05)
    monkeypatch.setattr(threads, "ANSWER", 0.3)
    made = DatabaseThreads(2)
    yield made
    made.close()


class Hanging:
    """Work that hangs until it may go on."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.tickets: list[Ticket] = []

    def __call__(self) -> str:
        self.tickets.append(ticket())
        self.may_end.wait(60)
        return "done"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.may_end.set()


def test_results_and_errors_are_those_of_the_work(pair: DatabaseThreads) -> None:
    """Done in another thread; a TimeoutError of the work's own is no missing answer."""
    assert pair.do(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        pair.do(lambda: 1 // 0)

    def late() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        pair.do(late)


def test_more_than_the_threads_take_turns(pair: DatabaseThreads, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database answers, nobody is refused, and no more than two ask it at once."""
    monkeypatch.setattr(threads, "START", 20.0)  # a busy machine is no slow database
    monkeypatch.setattr(threads, "ANSWER", 40.0)
    busy, most, lock = 0, 0, threading.Lock()

    def work() -> int:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.001)
        with lock:
            busy -= 1
        return 1

    assert sum(together([lambda: pair.do(work)] * 16)) == 16
    assert most == 2


def test_nobody_waits_longer_than_the_limit_and_most_do_not_wait(pair: DatabaseThreads, hanging: Hanging) -> None:
    """The two that hang are given up by the clock; what comes meanwhile is refused at once; later all is well."""

    def ask() -> str:
        with pytest.raises(StoreUnavailable) as caught:
            pair.do(hanging)
        return str(caught.value)

    late = "the jobs' database has not answered for 0.3 s"
    refused = "the jobs' database is slow to answer, and enough requests wait for it already"
    assert sorted(together([ask] * 4)) == [late, late, refused, refused]
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            pair.do(hanging)
    assert time.monotonic() - began < threads.ANSWER, "at once"
    hanging.may_end.set()
    until(lambda: not pair._running, "they have ended")
    assert pair.do(hanging) == "done"


def test_nobody_waits_for_a_thread_while_none_becomes_free(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does is refused after a moment, though work could wait longer where threads take turns."""
    monkeypatch.setattr(threads, "START", 10 * PATIENCE)
    pair = DatabaseThreads(2)
    waits = [threading.Thread(target=pair.do, args=(hanging,)) for _ in range(2)]
    for thread in waits:
        thread.start()
    until(lambda: len(pair._running) == 2, "both threads wait for the database")
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="enough requests wait"):
            pair.do(hanging)
    assert time.monotonic() - began < 3 * PATIENCE
    hanging.may_end.set()
    for thread in waits:
        thread.join()
    assert pair.do(hanging) == "done"
    pair.close()


def test_work_waits_long_for_a_thread_where_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is merely busy refuses nobody: each turn begins the moment anew."""
    monkeypatch.setattr(threads, "MOMENT", 1.0)  # a turn may be late on a busy machine
    monkeypatch.setattr(threads, "START", 60.0)
    one = DatabaseThreads(1)
    together([lambda: one.do(lambda: time.sleep(0.25))] * 8)
    one.close()


def test_what_was_given_up_commits_nothing(pair: DatabaseThreads, hanging: Hanging) -> None:
    """It is told so at its end; other work is not concerned."""
    with pytest.raises(StoreUnavailable):
        pair.do(hanging)
    with pytest.raises(StoreUnavailable, match="has not answered"):
        hanging.tickets[0].check()
    hanging.may_end.set()
    until(lambda: not pair._running, "it has ended")
    pair.do(hanging)
    hanging.tickets[1].check()
    ticket().check()


def test_a_database_that_hangs_is_asked_by_one_thread_at_a_time(pair: DatabaseThreads, hanging: Hanging) -> None:
    """The others don't find out a second time what is known; a quick refusal is an answer, and ends that."""
    with pytest.raises(StoreUnavailable):
        pair.do(hanging)
    with pytest.raises(StoreUnavailable, match="slow"):
        pair.do(lambda: "not asked")
    assert len(hanging.tickets) == 1

    def refuse() -> None:
        raise StoreUnavailable("disk full")

    hanging.may_end.set()
    until(lambda: not pair._running, "it has ended")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="disk full"):
            pair.do(refuse)
    assert pair.do(lambda: "asked") == "asked"
