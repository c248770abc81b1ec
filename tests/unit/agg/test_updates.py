"""`job_update` messages: each job's newest state, once."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from hvd.agg import updates
from hvd.agg.updates import JobUpdates
from hvd.jobs.events import Events, receive, socket_pair
from tests.support.loop import in_loop

Job = dict[str, Any]


def job(name: str, revision: int, progress: float = 0.0) -> Job:
    return {"id": name, "revision": revision, "progress": progress}


def sent_of(*batches: list[Job]) -> list[Job]:
    """What clients are sent of these events, each batch once the last one has been sent."""
    sent: list[Job] = []

    async def run() -> None:
        writers, reader = socket_pair()
        with writers, reader:
            passed = JobUpdates(reader, sent.append)
            for batch in batches:
                for update in batch:
                    Events(writers).send(update)
                await settled(lambda: not passed._waiting and passed._timer is None)
            passed.close()

    asyncio.run(run())
    return sent


async def settled(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    await asyncio.sleep(0.01)
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _no_spacing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the tests of it."""
    if "spacing" not in request.node.name:
        monkeypatch.setattr(updates, "SPACING", 0.0)


def test_spacing_holds_each_job_to_two_messages_a_second() -> None:
    """However often it changes; other jobs don't wait for it, and its last state comes."""
    sent: list[tuple[float, Job]] = []

    @in_loop
    async def run() -> None:
        writers, reader = socket_pair()
        with writers, reader:
            passed = JobUpdates(reader, lambda update: sent.append((time.monotonic(), update)))
            for revision in range(1, 120):
                Events(writers).send(job("a", revision))
                if revision == 60:
                    Events(writers).send(job("b", 1))
                await asyncio.sleep(0.01)
            await settled(lambda: sent[-1][1] == job("a", 119))
            passed.close()

    run()
    times = [when for when, update in sent if update["id"] == "a"]
    assert all(later - first >= 0.5 for first, later in pairwise(times))
    assert sent[0][1] == job("a", 1)
    assert [update["id"] for _, update in sent[1:-1]].count("b") == 1


def test_spacing_sends_what_another_message_tells_and_nothing_older_after_it() -> None:
    """The state that waited is replaced; what got lost on the way here is made up for, and once."""
    sent: list[Job] = []

    @in_loop
    async def run() -> None:
        writers, reader = socket_pair()
        with writers, reader:
            passed = JobUpdates(reader, sent.append)
            Events(writers).send(job("a", 1))
            await settled(lambda: bool(sent))
            Events(writers).send(job("a", 2))
            await settled(lambda: bool(passed._waiting))
            for _ in range(2):
                passed.take([job("a", 3), job("lost", 2)])
            Events(writers).send(job("lost", 1))
            await settled(lambda: len(sent) == 3 and not passed._waiting)
            passed.close()

    run()
    assert sent[:1] == [job("a", 1)]
    assert sorted(sent[1:], key=str) == [job("a", 3), job("lost", 2)]


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


def test_what_was_left_out_of_a_flood_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was told of it: another message that has it brings it back."""
    monkeypatch.setattr(updates, "WAITING", 30)
    sent: list[Job] = []

    @in_loop
    async def run() -> None:
        writers, reader = socket_pair()
        with writers, reader:
            passed = JobUpdates(reader, sent.append)
            passed.take([job(str(number), 1) for number in range(31)])
            await settled(lambda: not passed._waiting and passed._timer is None)
            passed.take([job("0", 1), job("1", 1)])
            await settled(lambda: not passed._waiting)
            passed.close()

    run()
    assert [update["id"] for update in sent].count("0") == 1
    assert len(sent) == 31


def test_what_cannot_be_sent_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """As an event of another version, a field of which has another type: it is left out, and the log says so."""
    sent: list[Job] = []

    def send(update: Job) -> None:
        if update["id"] == "bad":
            raise TypeError("a field of another type")
        sent.append(update)

    @in_loop
    async def run() -> None:
        writers, reader = socket_pair()
        with writers, reader:
            passed = JobUpdates(reader, send)
            passed.take([job("before", 1), job("bad", 1), job("after", 1)])
            await settled(lambda: not passed._waiting and passed._timer is None)
            passed.take([job("later", 1)])
            await settled(lambda: not passed._waiting)
            passed.close()

    run()
    assert [update["id"] for update in sent] == ["before", "after", "later"]
    assert "update of job 'bad' can't be sent" in caplog.text


GARBAGE = [
    *(b"\xff", b"[1]", b"{}", b'{"id": "a"}', b'{"id": "a", "revision"', b"x" * 200_000),
    *(b'{"id": "a", "revision": null, "progress": 1}', b'{"id": "a", "revision": 1, "progress": "x"}'),
    b'{"id": "a", "revision": 1e999, "progress": 1}',
]


@pytest.mark.parametrize("packet", GARBAGE)
def test_what_is_no_job_stops_nothing(packet: bytes) -> None:
    """It is passed over: what was told before it, and comes after it, is sent, and at once."""
    sent: list[Job] = []

    @in_loop
    async def run() -> None:
        writers, reader = socket_pair()
        with writers, reader:
            passed = JobUpdates(reader, sent.append)
            Events(writers).send(job("before", 1))
            writers.send(packet)
            await settled(lambda: len(sent) == 1)
            Events(writers).send(job("after", 1))
            await settled(lambda: len(sent) == 2)
            passed.close()

    run()
    assert sent == [job("before", 1), job("after", 1)]


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


def test_a_close_ends_it() -> None:
    """Nothing is read or sent after it, though something waits."""
    sent: list[Job] = []

    @in_loop
    async def run() -> None:
        writers, reader = socket_pair()
        with writers, reader:
            passed = JobUpdates(reader, sent.append)
            for number in range(100):
                Events(writers).send(job(str(number), 1))
            await settled(lambda: bool(sent))
            passed.close()
            count = len(sent)
            Events(writers).send(job("late", 1))
            await asyncio.sleep(2 * updates.PAUSE)
            assert len(sent) == count < 100
            assert receive(reader) == job("late", 1), "it is left in the socket"

    run()


def test_bursts_are_a_pause_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes in the pause waits for its end."""
    monkeypatch.setattr(updates, "PAUSE", 60.0)
    sent: list[Job] = []

    @in_loop
    async def run() -> None:
        writers, reader = socket_pair()
        with writers, reader:
            passed = JobUpdates(reader, sent.append)
            for name in "abc":
                Events(writers).send(job(name, 1))
                await settled(lambda name=name: name in passed._last)
                await asyncio.sleep(0.01)
            passed.close()

    run()
    assert sent == [job("a", 1)]


def test_sending_takes_a_share_of_the_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of clients a message takes long: the metrics must not wait for it."""
    pauses: list[float] = []
    monkeypatch.setattr(updates, "BURST", 1)

    async def run() -> None:
        writers, reader = socket_pair()
        loop = asyncio.get_running_loop()
        with writers, reader:
            passed = JobUpdates(reader, lambda update: time.sleep(0.05))
            original = loop.call_later

            def noted(delay: float, *rest: Any) -> Any:
                pauses.append(delay)
                return original(delay, *rest)

            monkeypatch.setattr(loop, "call_later", noted)
            Events(writers).send(job("a", 1))
            deadline = time.monotonic() + 10
            while not [pause for pause in pauses if pause > 0.1]:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.005)
            passed.close()

    asyncio.run(run())
    assert max(pauses) >= 0.05 * (1 - updates.SHARE) / updates.SHARE


def test_writers_that_are_all_gone_cost_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a socket pair stays readable for ever: it is read no more; what was told before is sent."""
    sent: list[Job] = []
    reads: list[object] = []
    receive = updates.events.receive
    monkeypatch.setattr(updates.events, "receive", lambda reader: reads.append(reader) or receive(reader))

    async def run() -> None:
        writers, reader = socket_pair()
        with reader:
            passed = JobUpdates(reader, sent.append)
            Events(writers).send(job("a", 1))
            writers.close()
            await settled(lambda: sent)
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(reads) == 2
            passed.close()

    asyncio.run(run())
    assert [update["id"] for update in sent] == ["a"]
