"""The numbers as they come, and what happens when they don't."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hvd.cli.client import Address
from hvd.cli.top import feed as module
from hvd.cli.top.ask import Answers, JobsWanted
from hvd.cli.top.feed import FIRST_PAUSE, LONGEST_PAUSE, Feed
from hvd.cli.top.model import Model
from hvd.errors import DaemonRefused, DaemonUnreachable
from tests.support.server import Server
from tests.support.waiting import until
from tests.unit.cli.top.data import Json, detail, job, metrics, raw, worker
from tests.unit.cli.top.data import history as history_answer

HERE = Address.parse("http://127.0.0.1:1")


class FakeDaemon:
    """Sends at each connection the next of these lists of messages, and waits after the last; between them it fails."""

    def __init__(self, *connections: list[Json | str]) -> None:
        self.connections = list(connections)
        self.over = threading.Event()

    def connect(self, *address: object, opened: Callable[[Callable[[], None]], None], **times: object) -> Iterator[str]:
        opened(self.over.set)
        yield from (item if isinstance(item, str) else json.dumps(item) for item in self.connections.pop(0))
        if self.connections:
            raise DaemonUnreachable("gone")
        self.over.wait(20)


def fed(connect: Callable[..., Iterator[str]], **more: object) -> Feed:
    """A feed whose daemon is this; HTTP isn't asked."""
    return Feed(HERE, 1.0, Model(received=-1.0), lambda: None, connect=connect, jitter=lambda: 1.0, **more)  # type: ignore[arg-type]


@contextlib.contextmanager
def running(feed: Feed) -> Iterator[Feed]:
    """The feed while its thread runs."""
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


class Http:
    """What the daemon answers over HTTP: `answers`, or nothing, while that is None."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: Answers | None = Answers({**raw(), "workers": [worker(11, 1)], "post_mortems": [{"pid": 3}]})

    def ask(self, address: object, timeout: float, *, history: bool, after: float | None) -> Answers:
        self.asked += 1
        if self.answers is None:
            raise DaemonUnreachable("nobody", "refused", is_silent=True)
        return self.answers._replace(history=history_answer(5) if history else None)


@pytest.fixture(autouse=True)
def http(monkeypatch: pytest.MonkeyPatch) -> Http:
    """Instead of a daemon."""
    http = Http()
    monkeypatch.setattr(module, "ask", http.ask)
    return http


def test_messages_change_the_model() -> None:
    """Garbage between them doesn't."""
    with running(fed(FakeDaemon([metrics(), "garbage", detail()]).connect)) as feed:
        until(lambda: feed.model.workers, "all are taken")
        assert feed.model.raw["http_requests"] == 1250


def test_a_lost_connection_is_tried_again() -> None:
    """With pauses that double up to a bound; the numbers stay, and the trouble goes with the next message."""
    pauses: list[float] = []
    there = FakeDaemon([metrics()], *[[]] * 7, [metrics()])
    feed = fed(there.connect, clock=lambda: 0.0)
    feed._stopping.wait = lambda seconds=None: bool(pauses.append(seconds or 0.0))  # type: ignore[method-assign]
    with running(feed):
        until(lambda: not there.connections and not feed.model.trouble, "it is there again")
        assert pauses == [min(LONGEST_PAUSE, FIRST_PAUSE * 2**count) for count in range(8)]
        assert feed.model.raw["http_requests"] == 1250


def test_a_death_makes_the_feed_look_for_post_mortems() -> None:
    """Messages carry how many workers ended, not what they were doing."""
    with running(fed(FakeDaemon([metrics(), detail(), detail(restarts=1)]).connect)) as feed:
        until(lambda: feed.model.post_mortems == ({"pid": 3},), "it has asked")


def test_without_a_websocket_it_lives_on_http(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once when the socket fails, and then again and again, whatever the next attempt waits for; with a point of the
    history for each answer.
    """
    monkeypatch.setattr(module, "ASK", 0.05)
    hanging = threading.Event()

    def connect(*address: object, **more: object) -> Iterator[str]:
        if http.asked:
            hanging.wait(20)
        raise DaemonUnreachable(f"{HERE.url}/ws refused the connection (503)")
        yield ""

    http.answers = Answers(raw(http_requests=7, timestamp="2026-01-23T20:30:00Z"))
    with running(fed(connect)) as feed:
        until(lambda: feed.model.raw.get("http_requests") == 7, "it has asked")
        http.answers = Answers(raw(http_requests=8, timestamp="2026-01-23T20:30:02Z"))
        until(lambda: feed.model.raw["http_requests"] == 8 and len(feed.model.points) == 2, "it goes on asking")
        assert (feed.model.trouble, feed.model.unreachable) == ("refused the connection (503)", "")
        http.answers = None
        until(lambda: feed.model.unreachable == "refused", "nobody answers")
        assert feed.model.raw["http_requests"] == 8
        http.answers = Answers(raw())
        until(lambda: not feed.model.unreachable, "somebody answers again")
        hanging.set()


def test_a_socket_that_says_nothing_is_no_reason_to_know_nothing(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of an aggregator that hangs: after an interval and some HTTP is asked. While messages come, it isn't."""
    monkeypatch.setattr(module, "ASK", 0.02)
    monkeypatch.setattr(module, "_LATE", 0.3)
    feed = fed(FakeDaemon([metrics(), detail()]).connect)
    feed.model = Model(interval=0.1, received=-1.0)
    with running(feed):
        until(lambda: feed.model.workers, "messages come")
        assert http.asked == 0
        until(lambda: feed.model.post_mortems, "it has asked")


def test_the_history_is_asked_for_once_it_has_a_gap(http: Http) -> None:
    """When messages come again."""
    with running(fed(FakeDaemon([metrics()], [metrics(), detail()]).connect)) as feed:
        until(lambda: len(feed.model.points) >= 5, "the gap is filled")
        assert not feed.model.trouble


def test_a_failure_of_our_own_is_not_hidden() -> None:
    """The screen ends with it, instead of standing still."""

    def connect(*address: object, **more: object) -> Iterator[str]:
        raise KeyError("ours")

    with running(fed(connect)) as feed:
        assert isinstance(until(lambda: feed.failure, "it is noted"), KeyError)


def test_a_feed_that_is_stopped_says_nothing_more(tmp_path: Path) -> None:
    """Its connection is ended and its thread joined; what it calls is closed by then."""
    with Server(tmp_path, workers=1, interval=0.1) as server:
        changes: list[int] = []
        feed = Feed(Address.parse(server.url), 5.0, Model(), lambda: changes.append(1))
        with running(feed):
            until(lambda: feed.model.restarts is not None, "it listens")
        calls = len(changes)
        until(lambda: server.snapshot()["websocket_clients"] == 0, "the connection is ended")
        assert not any(thread.is_alive() for thread in feed._threads)
        assert len(changes) == calls
        feed.stop()


def test_a_peer_that_keeps_silent_does_not_hold_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it; when it speaks at last, nobody is told."""
    monkeypatch.setattr(module, "_JOIN", 0.05)
    over, changes = threading.Event(), list[int]()

    def connect(*address: object, **more: object) -> Iterator[str]:
        over.wait(20)
        yield json.dumps(metrics())

    feed = fed(connect)
    feed.changed = lambda: changes.append(1)
    with running(feed):
        pass
    over.set()
    for thread in feed._threads:
        thread.join(20)
    assert changes == []
    assert feed.failure is None


def test_pins_are_changed_in_the_background(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pinned is unpinned; a refusal is shown; then it is looked at what there is."""
    asked: list[tuple[str, bool]] = []

    def change_pin(address: object, key: str, timeout: float, *, pinned: bool) -> str:
        asked.append((key, pinned))
        return "no" if key == "b" else ""

    monkeypatch.setattr(module, "change_pin", change_pin)
    message = detail(own=[], pinned={"a": {"rate": 1.0}})
    with running(fed(FakeDaemon([metrics(), message]).connect)) as feed:
        until(lambda: feed.model.own.pinned, "it listens")
        feed.watch("level")
        feed.watch("")
        for key in ("a", "", "b"):
            feed.toggle_pin(key)
        until(lambda: feed.model.own.refusal == "no" and http.asked, "both are asked for")
        assert asked == [("a", False), ("b", True)]
        assert feed.model.own.watched == ("level",)


def test_jobs_in_view_are_asked_for_as_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, while messages tell nothing new of them; again where one runs; why there was no answer is kept."""
    asked: list[JobsWanted] = []
    came = threading.Semaphore(0)

    def ask_jobs(address: object, timeout: float, wanted: JobsWanted) -> Json:
        asked.append(wanted)
        if wanted.words == "x":
            raise DaemonRefused("no jobs here", 404)
        return {"jobs": [job("old", "completed", 100.0)], "total": 1, "next": None}

    def connect(*address: object, opened: object, **times: object) -> Iterator[str]:
        for _ in range(3):
            came.acquire(timeout=20)
            yield json.dumps(metrics(jobs_active=0, jobs_completed=1, recent_jobs=[]))
        came.acquire(timeout=20)
        yield json.dumps(metrics(jobs_active=1, jobs_completed=1, recent_jobs=[]))
        came.acquire(timeout=20)

    monkeypatch.setattr(module, "ask_jobs", ask_jobs)
    with running(fed(connect)) as feed:
        came.release()
        until(lambda: feed.model.raw, "a message came")
        assert not asked
        for _ in range(2):
            feed.list_jobs(JobsWanted("", 100))
            until(lambda: [row["id"] for row in feed.model.jobs] == ["old"], "they are listed")
        before = feed.model.raw
        came.release()
        until(lambda: feed.model.raw is not before, "nothing new came")
        feed.list_jobs(JobsWanted("x", 100))
        until(lambda: feed.model.jobs_refusal == "no jobs here", "it has said why")
        assert asked == [JobsWanted("", 100), JobsWanted("x", 100)]
        feed.list_jobs(JobsWanted("y", 100))
        until(lambda: not feed.model.jobs_refusal and len(asked) == 3, "they are listed again")
        came.release(2)
        until(lambda: len(asked) == 4, "one runs now")
        feed.list_jobs(None)
        came.release()
