"""`job_update` messages: each job's newest state, once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from hvd.agg import updates
from hvd.agg.updates import JobUpdates
from hvd.jobs.events import receive, send, socket_pair
from tests.support.loop import eventually, in_loop

Job = dict[str, Any]


def job(name: str, revision: int, progress: float = 0.0) -> Job:
    return {"id": name, "revision": revision, "progress": progress}


class Scene:
    """Events that a test writes, and what clients are sent of them."""

    def __init__(self, send: Callable[[Any], None] | None) -> None:
        self.sent: list[Any] = []
        self.writers, self.reader = socket_pair()
        self.updates = JobUpdates(self.reader, send or self.sent.append)

    def write(self, *jobs: Job) -> None:
        for event in jobs:
            send(self.writers, event)

    async def settle(self) -> None:
        """Until all that was written is sent."""
        await asyncio.sleep(0.01)
        await eventually(lambda: not self.updates._waiting and self.updates._timer is None)


@asynccontextmanager
async def scene(send: Callable[[Any], None] | None = None) -> AsyncIterator[Scene]:
    """One whose reader is closed at the end."""
    made = Scene(send)
    with made.writers, made.reader:
        yield made
        made.updates.close()


def sent_of(*batches: list[Job]) -> list[Job]:
    """What clients are sent of these events, each batch once the last one has been sent."""

    async def run() -> list[Job]:
        async with scene() as stage:
            for batch in batches:
                stage.write(*batch)
                await stage.settle()
        return stage.sent

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _no_spacing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the tests of it."""
    if "spacing" not in request.node.name:
        monkeypatch.setattr(updates, "SPACING", 0.0)


@in_loop
async def test_spacing_holds_each_job_to_two_messages_a_second() -> None:
    """However often it changes; other jobs don't wait for it, and its last state comes."""
    sent: list[tuple[float, Job]] = []
    async with scene(lambda update: sent.append((time.monotonic(), update))) as stage:
        for revision in range(1, 120):
            stage.write(job("a", revision))
            if revision == 60:
                stage.write(job("b", 1))
            await asyncio.sleep(0.01)
        await eventually(lambda: sent[-1][1] == job("a", 119))
    times = [when for when, update in sent if update["id"] == "a"]
    assert all(later - first >= 0.5 for first, later in pairwise(times))
    assert sent[0][1] == job("a", 1)
    assert [update["id"] for _, update in sent[1:-1]].count("b") == 1


@in_loop
async def test_spacing_sends_what_another_message_tells_and_nothing_older_after_it() -> None:
    """The state that waited is replaced; what got lost on the way here is made up for, and once."""
    async with scene() as stage:
        stage.write(job("a", 1))
        await eventually(lambda: stage.sent)
        stage.write(job("a", 2))
        await eventually(lambda: stage.updates._waiting)
        for _ in range(2):
            stage.updates.take([job("a", 3), job("lost", 2)])
        stage.write(job("lost", 1))
        await eventually(lambda: len(stage.sent) == 3 and not stage.updates._waiting)
    assert stage.sent[:1] == [job("a", 1)]
    assert sorted(stage.sent[1:], key=str) == [job("a", 3), job("lost", 2)]


def test_each_state_is_passed_on() -> None:
    """In order."""
    states = [job("a", 1), job("a", 2), job("a", 2, 30.0), job("a", 3)]
    assert sent_of(*([state] for state in states)) == states


def test_a_state_that_comes_late_is_not_sent() -> None:
    """A worker tells of a submission after the runner has told of the start: only the newest matters."""
    assert sent_of([job("a", 2)], [job("a", 1)], [job("a", 2)], [job("a", 2, 5.0)], [job("b", 1)]) == [
        job("a", 2),
        job("a", 2, 5.0),
        job("b", 1),
    ]


def test_states_that_come_too_fast_replace_each_other() -> None:
    """The newest of each is sent, and no other twice."""
    sent = sent_of([job("a", 1)], [job(name, revision) for revision in range(2, 40) for name in "abc"])
    assert [update for update in sent if update["revision"] == 39] == [job(name, 39) for name in "abc"]
    assert len(sent) <= 1 + 3 * 3


def test_a_flood_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more jobs than may wait the oldest are left out; what is remembered is bounded too."""
    monkeypatch.setattr(updates, "WAITING", 30)
    monkeypatch.setattr(updates, "REMEMBERED", 50)
    sent = sent_of([job(str(number), 1) for number in range(100)])
    assert len(sent) <= 30 + updates.BURST
    assert sent[-1] == job("99", 1)


@in_loop
async def test_what_was_left_out_of_a_flood_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was told of it: another message that has it brings it back."""
    monkeypatch.setattr(updates, "WAITING", 30)
    async with scene() as stage:
        stage.updates.take([job(str(number), 1) for number in range(31)])
        await stage.settle()
        stage.updates.take([job("0", 1), job("1", 1)])
        await stage.settle()
    assert [update["id"] for update in stage.sent].count("0") == 1
    assert len(stage.sent) == 31


@in_loop
async def test_what_cannot_be_sent_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """As an event of another version, a field of which has another type: it is left out, and the log says so."""

    def send(update: Job) -> None:
        if update["id"] == "bad":
            raise TypeError("a field of another type")
        stage.sent.append(update)

    async with scene(send) as stage:
        stage.updates.take([job("before", 1), job("bad", 1), job("after", 1)])
        await stage.settle()
        stage.updates.take([job("later", 1)])
        await stage.settle()
    assert [update["id"] for update in stage.sent] == ["before", "after", "later"]
    assert "update of job 'bad' can't be sent" in caplog.text


GARBAGE = [
    *(b"\xff", b"[1]", b"{}", b'{"id": "a"}', b'{"id": "a", "revision"', b"x" * 200_000),
    *(b'{"id": "a", "revision": null, "progress": 1}', b'{"id": "a", "revision": 1, "progress": "x"}'),
    b'{"id": "a", "revision": 1e999, "progress": 1}',
]


@pytest.mark.parametrize("packet", GARBAGE)
@in_loop
async def test_what_is_no_job_stops_nothing(packet: bytes) -> None:
    """It is passed over: what was told before it, and comes after it, is sent, and at once."""
    async with scene() as stage:
        stage.write(job("before", 1))
        stage.writers.send(packet)
        await eventually(lambda: len(stage.sent) == 1)
        stage.write(job("after", 1))
        await eventually(lambda: len(stage.sent) == 2)
    assert stage.sent == [job("before", 1), job("after", 1)]


def test_the_newest_state_keeps_its_place() -> None:
    """A job that changes all the time is not put off for ever by others."""
    jobs = [job("a", 1), *(job(str(number), 1) for number in range(100)), job("a", 2)]
    assert sent_of(jobs)[0] == job("a", 2)


def test_one_state_is_remembered_long_after_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is among the last; what changed lately is."""
    monkeypatch.setattr(updates, "REMEMBERED", 3)
    early = [job(name, 1) for name in "abc"]
    sent = sent_of(early, [job("a", 2)], [job("d", 1)], [job("a", 1)], [job("b", 1)])
    assert sent == [*early, job("a", 2), job("d", 1), job("b", 1)], "b was forgotten, a was not"


@in_loop
async def test_a_close_ends_it() -> None:
    """Nothing is read or sent after it, though something waits."""
    async with scene() as stage:
        stage.write(*(job(str(number), 1) for number in range(100)))
        await eventually(lambda: stage.sent)
        stage.updates.close()
        count = len(stage.sent)
        stage.write(job("late", 1))
        await asyncio.sleep(2 * updates.PAUSE)
        assert len(stage.sent) == count < 100
        assert receive(stage.reader) == job("late", 1), "it is left in the socket"


@in_loop
async def test_bursts_are_a_pause_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes in the pause waits for its end."""
    monkeypatch.setattr(updates, "PAUSE", 60.0)
    async with scene() as stage:
        for name in "abc":
            stage.write(job(name, 1))
            await eventually(lambda name=name: name in stage.updates._last)
            await asyncio.sleep(0.01)
    assert stage.sent == [job("a", 1)]


@in_loop
async def test_sending_takes_a_share_of_the_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of clients a message takes long: the metrics must not wait for it."""
    pauses: list[float] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def noted(delay: float, *rest: Any) -> Any:
        pauses.append(delay)
        return call_later(delay, *rest)

    async with scene(lambda update: time.sleep(0.05)) as stage:
        monkeypatch.setattr(loop, "call_later", noted)
        stage.write(job("a", 1))
        await stage.settle()
    assert max(pauses) >= 0.05 * (1 - updates.SHARE) / updates.SHARE


@in_loop
async def test_writers_that_are_all_gone_cost_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a socket pair stays readable for ever: it is read no more; what was told before is sent."""
    reads: list[object] = []
    monkeypatch.setattr(updates.events, "receive", lambda reader: reads.append(reader) or receive(reader))
    async with scene() as stage:
        stage.write(job("a", 1))
        stage.writers.close()
        await eventually(lambda: stage.sent)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(reads) == 2
    assert [update["id"] for update in stage.sent] == ["a"]
