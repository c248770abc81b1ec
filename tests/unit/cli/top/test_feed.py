"""The numbers as they come, and what happens when they don't."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hvd.cli.client import Address
from hvd.cli.top import feed as module
from hvd.cli.top.feed import FIRST_PAUSE, LONGEST_PAUSE, Feed
from hvd.cli.top.model import Model
from hvd.errors import DaemonUnreachable
from tests.support.server import Server
from tests.support.waiting import until
from tests.unit.cli.top.data import detail, metrics

Opened = Callable[[Callable[[], None]], None]
HERE = Address.parse("http://127.0.0.1:1")


def fed(connect: Callable[..., Iterator[str]], **more: object) -> Feed:
    """A feed whose daemon is this; HTTP isn't asked."""
    return Feed(HERE, 1.0, Model(), lambda: None, connect=connect, jitter=lambda: 1.0, **more)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the daemon would answer over HTTP."""
    monkeypatch.setattr(module, "load", lambda address, timeout, model, now: model)
    monkeypatch.setattr(module, "get_object", lambda address, path, timeout: {"post_mortems": [{"pid": 3}]})


def test_messages_change_the_model() -> None:
    """Garbage between them doesn't."""
    over = threading.Event()

    def connect(address: Address, timeout: float, silence: float, opened: Opened) -> Iterator[str]:
        opened(over.set)
        yield json.dumps(metrics())
        yield "garbage"
        yield json.dumps(detail())
        over.wait(20)

    feed = fed(connect)
    feed.start()
    try:
        until(lambda: feed.model.workers, "all are taken")
        assert feed.model.raw["http_requests"] == 1250
    finally:
        feed.stop()


def test_a_lost_connection_is_tried_again() -> None:
    """With pauses that double up to a bound; the numbers stay, and the trouble goes with the next message."""
    pauses: list[float] = []
    attempts = 0
    over = threading.Event()

    def connect(address: Address, timeout: float, silence: float, opened: Opened) -> Iterator[str]:
        nonlocal attempts
        attempts += 1
        opened(over.set)
        if attempts in (1, 9):
            yield json.dumps(metrics())
        if attempts == 9:
            over.wait(20)
            return
        raise DaemonUnreachable("gone")

    feed = fed(connect, clock=lambda: 0.0)
    feed._stopping.wait = lambda seconds=None: bool(pauses.append(seconds or 0.0))  # type: ignore[method-assign]
    feed.start()
    try:
        until(lambda: attempts == 9 and not feed.model.trouble, "it is there again")
        assert pauses == [min(LONGEST_PAUSE, FIRST_PAUSE * 2**count) for count in range(8)]
        assert feed.model.raw["http_requests"] == 1250
    finally:
        feed.stop()


def test_a_death_makes_the_feed_look_for_post_mortems() -> None:
    """Messages carry how many workers ended, not what they were doing."""
    over = threading.Event()

    def connect(address: Address, timeout: float, silence: float, opened: Opened) -> Iterator[str]:
        opened(over.set)
        yield json.dumps(metrics())
        yield json.dumps(detail())
        yield json.dumps(detail(restarts=1))
        over.wait(20)

    feed = fed(connect)
    feed.start()
    try:
        until(lambda: feed.model.post_mortems == ({"pid": 3},), "it has asked")
    finally:
        feed.stop()


def test_a_failure_of_our_own_is_not_hidden() -> None:
    """The screen ends with it, instead of standing still."""

    def connect(address: Address, timeout: float, silence: float, opened: Opened) -> Iterator[str]:
        raise KeyError("ours")
        yield ""

    feed = fed(connect)
    feed.start()
    assert isinstance(until(lambda: feed.failure, "it is noted"), KeyError)


def test_a_feed_that_is_stopped_says_nothing_more(tmp_path: Path) -> None:
    """Its connection is ended and its thread joined; what it calls is closed by then."""
    with Server(tmp_path, workers=1, interval=0.1) as server:
        address = Address.parse("http://{}:{}".format(*server.address))
        changes: list[int] = []
        feed = Feed(address, 5.0, Model(), lambda: changes.append(1))
        feed.start()
        until(lambda: feed.model.workers, "it listens")
        feed.stop()
        calls = len(changes)
        until(lambda: server.snapshot()["websocket_clients"] == 0, "the connection is ended")
        assert not [thread for thread in threading.enumerate() if thread.name == "hvd-top-feed"]
        assert len(changes) == calls
        feed.stop()


def test_a_peer_that_keeps_silent_does_not_hold_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it; when it speaks at last, nobody is told."""
    monkeypatch.setattr(module, "_JOIN", 0.05)
    over, changes = threading.Event(), list[int]()

    def connect(address: Address, timeout: float, silence: float, opened: Opened) -> Iterator[str]:
        over.wait(20)
        yield json.dumps(metrics())

    feed = fed(connect)
    feed._changed = lambda: changes.append(1)
    feed.start()
    feed.stop()
    over.set()
    feed._thread.join(20)
    assert changes == []
    assert feed.failure is None
