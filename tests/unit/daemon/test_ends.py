"""Which ends are planned, what is told of the others, and how often."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.oom_kills import OomKills
from hvd.core.slots import Slot
from hvd.daemon.ends import OOM, SAME, End, Ends
from hvd.metrics.events import Event, read_ends, read_events, write_event
from tests.support.waiting import until
from tests.unit.core.support import keeping_locked
from tests.unit.figures import make_page, make_sample, publish

ME = os.getpid()
WORKER, AGGREGATOR = layout.KIND_WORKER, layout.KIND_AGGREGATOR
JOINED, MASTER = layout.KIND_JOINED, layout.KIND_MASTER


@pytest.fixture
def kills(tmp_path: Path) -> Path:
    """A counter of OOM kills."""
    file = tmp_path / "memory.events"
    file.write_text("oom_kill 0\n")
    return file


@pytest.fixture
def ends(block: Block, kills: Path) -> Ends:
    return Ends(block, ME, OomKills([kills]))


def end(
    kind: int = WORKER, cause: str = "SIGKILL", aborted: int = 0, *, threads: int = 4, beat: int = 1, **more: object
) -> End:
    """Of a process that served, 4711, and whose end nobody wanted."""
    master = {MASTER: 4711, JOINED: 4711}.get(kind, ME)
    slot = Slot(8, kind, 4711, 1234, master, 1, 0, beat, (0, 0, 0, 0), threads)
    usual = {"pid": 4711, "status": cause, "is_wanted": False, "peak": None}
    return End(slot=slot, cause=cause, aborted=aborted, **{**usual, **more})  # type: ignore[arg-type]


def tell(ends: Ends, *which: End) -> None:
    for one in which:
        ends.count(one)
    ends.tell()


@pytest.mark.parametrize(
    ("one", "how"),
    [
        (end(cause="exit 0"), "planned"),  # max_requests
        (end(cause="exit 0", threads=-4, aborted=1), "planned"),  # it had given up to wait for them
        (end(cause="exit 0", aborted=1), "unplanned"),  # os._exit(0)
        (end(cause="exit 0", threads=0), "failed_boots"),
        (end(cause="exit 0", threads=0, is_wanted=True), "planned"),
        (end(is_wanted=True, aborted=3), "planned"),
        (end(cause="timeout", status="SIGABRT"), "unplanned"),
        (end(cause="timeout", status="exit 0", threads=-4), "unplanned"),
        (end(cause="exit 3", threads=0), "failed_boots"),
        (end(AGGREGATOR, "exit 0"), "unplanned"),
        (end(AGGREGATOR, "exit 1", beat=0), "failed_boots"),
        (end(AGGREGATOR, is_wanted=True), "planned"),
        (end(JOINED, "exit", is_wanted=True), "planned"),
        (end(JOINED, "unknown", threads=0), "unplanned"),
        (end(MASTER, "unknown", threads=0, beat=0), "unplanned"),
    ],
)
def test_ends_are_counted_by_how_they_came(block: Block, ends: Ends, one: End, how: str) -> None:
    """Only planned ones are no events."""
    tell(ends, one)
    assert read_ends(block) == {"planned": 0, "unplanned": 0, "failed_boots": 0, how: 1}
    kinds = {"planned": [], "unplanned": ["death"], "failed_boots": ["boot_failed"]}
    assert [event["kind"] for event in read_events(block)] == kinds[how]


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (end(), "worker 4711 died (SIGKILL) while idle"),
        (end(aborted=1, peak=512 << 20), "worker 4711 died (SIGKILL) with 1 request in progress; it used 512 MB"),
        (end(aborted=2), "worker 4711 died (SIGKILL) with 2 requests in progress"),
        (end(cause="exit 4", threads=0), "worker 4711 failed to boot (exit 4, its app can't be loaded)"),
        (end(layout.KIND_ADMIN_SERVER, "exit 0"), "admin server 4711 ended (exit 0)"),
        (end(layout.KIND_JOB_RUNNER, "SIGSEGV", beat=0), "job runner 4711 failed to boot (SIGSEGV)"),
        (end(JOINED, "unknown"), "joined process 4711 died (unknown) while idle"),
        (end(MASTER, "unknown"), "master 4711 died (unknown)"),
    ],
)
def test_a_death_is_told_in_a_sentence(block: Block, ends: Ends, one: End, text: str) -> None:
    """With its figures beside it."""
    tell(ends, one)
    (event,) = read_events(block)
    assert event["text"] == text
    assert (event["process"], event["pid"], event["aborted"]) == (one.slot.kind_name, 4711, one.aborted)
    assert (event["cause"], event["memory_bytes"], event["peak_bytes"]) == (one.cause, None, one.peak)


def test_it_tells_what_the_process_used_when_it_was_looked_at(block: Block, ends: Ends) -> None:
    """On the page of an aggregator that may be gone by now; not of one that had its pid before."""
    sample = make_sample("worker", 4711, started=1234, proportional=1 << 30)
    others = make_sample("worker", 4711, started=99), make_sample("worker", 4712)
    publish(block, make_page(*others, gone=[sample]))
    tell(ends, end())
    (event,) = read_events(block)
    assert event["memory_bytes"] == 1 << 30
    assert event["text"].endswith("; it used 1 GB")


def test_the_oom_killer_is_named_where_it_says_so(block: Block, ends: Ends, kills: Path) -> None:
    """By its counter, once for each that it has killed; never of another signal."""
    kills.write_text("oom_kill 1\n")
    tell(ends, end(cause="SIGTERM"), end(cause="timeout", status="SIGKILL"), end(peak=2 << 30), end(aborted=1))
    causes = [event["cause"] for event in read_events(block)]
    assert causes == ["SIGTERM", "timeout", OOM, "SIGKILL"]
    text = "worker 4711 died (SIGKILL, killed by the OOM killer) while idle; it used 2 GB"
    assert read_events(block)[2]["text"] == text


def test_what_ends_with_another_master_is_told_where_requests_are_lost(block: Block, ends: Ends) -> None:
    """The master's end is told already."""
    slot = end().slot
    orphan = end()._replace(slot=Slot(*(8, slot.kind, 4711, 1, 77, 1, 0, 0, (0, 0, 0, 0), 4)), cause="unknown")
    tell(ends, orphan, orphan._replace(aborted=2))
    assert [event["text"] for event in read_events(block)] == ["worker 4711 died (unknown) with 2 requests in progress"]
    assert read_ends(block)["unplanned"] == 2


@pytest.mark.parametrize(("make", "alone"), [(lambda: end(aborted=1), SAME["death"]), (lambda: end(threads=0), 1)])
def test_a_loop_of_crashes_pushes_nothing_out(block: Block, ends: Ends, make: Callable[[], End], alone: int) -> None:
    """The first ones are told one by one; the last of these is told anew, with how many it stands for."""
    write_event(block, "start", "hvd has started")
    for number in range(300):
        tell(ends, make()._replace(pid=number))
        tell(ends, *[end(AGGREGATOR)] * (number == 150))
    loop = [event for event in read_events(block) if event.get("process") == "worker"]
    assert len(loop) == alone
    assert [event["number"] for event in loop] == [1] * (alone - 1) + [300 - alone + 1]
    assert (loop[-1]["pid"], loop[-1]["aborted"]) == (299, (301 - alone) * make().aborted)
    assert loop[-1]["time"] <= loop[-1]["until"]
    assert re.search(rf"; {301 - alone} such ends in \d+s$", loop[-1]["text"])
    assert read_events(block)[0]["kind"] == "start"


def test_a_death_that_cannot_be_told_now_is_told_later(block: Block, ends: Ends, kills: Path) -> None:
    """Another process keeps the block locked; the kill is its own all the same."""
    kills.write_text("oom_kill 1\n")
    with keeping_locked(block):
        ends.count(end())
        ends.count(end(cause="SIGSEGV"))
        ends.tell()
        assert read_events(block) == []
    until(lambda: ends.tell() or len(read_events(block)) == 2, "they are told")
    assert [event["cause"] for event in read_events(block)] == [OOM, "SIGSEGV"]


def test_a_death_that_can_never_be_told_keeps_no_other(
    block: Block, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the sweep, which tells them: for the master goes on."""
    odd, good = end(aborted=1), end(cause="SIGSEGV")
    monkeypatch.setattr("hvd.daemon.ends.describe", lambda one, memory: str(1 / (one is not odd)))
    ends.count(odd)
    ends.count(good)
    with pytest.raises(ZeroDivisionError):
        ends.tell()
    ends.tell()
    assert [event["cause"] for event in read_events(block)] == ["SIGSEGV"]


def test_what_is_of_another_hour_is_another_event(block: Block, ends: Ends) -> None:
    """As a worker that fails to boot once a day."""
    tell(ends, end(threads=0))
    old: Event = read_events(block)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hvd.metrics.events.time.time", lambda: old["time"] + 4000)
        tell(ends, end(threads=0))
    assert [event["number"] for event in read_events(block)] == [1, 1]
