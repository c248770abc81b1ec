"""Clients that wait for a hub: at most so long, and nobody is forgotten."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.agg import handoff
from hvd.core.limits import SERVER_ERROR
from hvd.metrics.table import HANDOFFS_REFUSED
from hvd.web import waiting
from hvd.web.waiting import Waiting
from tests.support.waiting import PATIENCE, until
from tests.unit.agg import HEADERS


class Worker:
    """A worker's parts, with a hub whose last sign of life is `age` seconds old, or that gave none."""

    def __init__(self, stack: ExitStack) -> None:
        self.handoff, self.hub_end = (stack.enter_context(end) for end in handoff.socket_pair())
        self.age: float | None = None
        self.since = time.monotonic()
        self.published: float | None = None  # when a hub published last, monotonic s
        self.reader = SimpleNamespace(heartbeat_age=lambda: self.age, companions=self._pages)
        self.counted: list[tuple[Any, ...]] = []
        self.rows = SimpleNamespace(count=self._count, count_response=self._count)
        self._stack = stack

    def _pages(self) -> SimpleNamespace:
        at = self.published
        return SimpleNamespace(last_page=None if at is None else {"monotonic_ns": round(at * 1e9)})

    def _count(self, *what: Any) -> None:
        self.counted.append(what)

    def pass_on(self) -> socket.socket:
        """-> the client's end of a connection that waits in the channel."""
        ours, client = socket.socketpair()
        with ours:
            assert handoff.send(self.handoff, ours.fileno(), HEADERS)
        client.settimeout(10)
        return self._stack.enter_context(client)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(waiting, "AWAY", 0.5 * PATIENCE)
    with ExitStack() as stack:
        yield Worker(stack)
        until(
            lambda: not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)], "no timer"
        )


def may_wait(one: Waiting, worker: Any) -> bool:
    return one.may_wait(worker)


def test_a_hub_that_ticks_is_passed_on_to_without_more_ado(worker: Worker) -> None:
    """No thread is started for it."""
    worker.age = 0.05
    one = Waiting()
    assert may_wait(one, worker)
    assert one._timer is None


def test_who_waits_in_vain_is_told_to_come_back(worker: Worker) -> None:
    """All of them, by one watch: 503, Retry-After, counted as a response and as a refusal; then newcomers at once."""
    one = Waiting()
    assert may_wait(one, worker)
    watch = one._timer
    clients = [worker.pass_on() for _ in range(3)]
    assert may_wait(one, worker)
    assert one._timer is watch
    for client in clients:
        answer = b"".join(iter(lambda client=client: client.recv(4096), b""))  # type: ignore[misc]
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 2\r\n" in answer
    assert worker.counted == [(HANDOFFS_REFUSED, ("503",)), (("GET", "/ws", "503"), SERVER_ERROR)] * 3
    assert not may_wait(one, worker)
    assert handoff.receive(worker.hub_end) is None


def test_who_waits_for_a_hub_that_comes_is_left_to_it(worker: Worker) -> None:
    """The watch ends, and the next one who has to wait gets another."""
    one = Waiting()
    assert may_wait(one, worker)
    worker.pass_on()
    worker.age = 0.0
    until(lambda: one._timer is None, "the watch is over")
    received = handoff.receive(worker.hub_end)
    assert received is not None
    received.sock.close()
    assert worker.counted == []
    worker.age, worker.since = None, time.monotonic()
    assert may_wait(one, worker)
    assert one._timer is not None


def test_the_next_hub_is_waited_for_when_one_has_died(worker: Worker) -> None:
    """As long as at a start, from what it published last on; a hub that never publishes is no reason to wait."""
    worker.since = 0.0
    for age, waits in ((0.0, True), (2 * waiting.AWAY, False)):
        worker.published = time.monotonic() - age
        assert may_wait(Waiting(), worker) == waits


def test_without_a_thread_to_watch_nobody_waits(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a client might wait for ever."""

    def refuse(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", refuse)
    assert not may_wait(Waiting(), worker)


def test_a_client_that_is_gone_holds_nobody_up(worker: Worker) -> None:
    """The others are answered."""
    worker.since = 0.0
    worker.pass_on().close()
    other = worker.pass_on()
    waiting.turn_away(worker)  # type: ignore[arg-type]
    assert other.recv(4096).startswith(b"HTTP/1.1 503 ")
