"""Events outlive who wrote them; what is too long is cut; who can't write in time goes on."""

import time
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.journal import events_of
from hvd.metrics.events import (
    HOUR,
    Event,
    EventWriter,
    check_events,
    clear_ends,
    count_end,
    fill_events,
    last_like,
    open_alerts,
    read_ends,
    read_events,
    write_again,
    write_event,
)
from tests.support.waiting import until
from tests.unit.core.support import keeping_locked


def test_events_are_read_in_order(block: Block) -> None:
    """With what their kind has."""
    write_event(block, "start", "hvd 0.3 has started", version="0.3")
    write_event(block, "death", "worker 7 died (SIGKILL)", process="worker", pid=7, cause="SIGKILL", memory_bytes=1)
    first, second = read_events(block)
    assert (first["sequence"], first["kind"], first["version"]) == (1, "start", "0.3")
    assert (second["pid"], second["cause"], second["memory_bytes"]) == (7, "SIGKILL", 1)
    assert 0 < first["time"] <= second["time"]
    assert read_events(block, after=1) == [second]


def test_what_is_too_long_is_cut(block: Block) -> None:
    """The event is there all the same."""
    write_event(block, "alert", "x" * 3000, reasons=["y" * 3000], state="degraded")
    (event,) = read_events(block)
    assert event["text"] == "x" * (events_of(block).room // 4)
    assert (event["state"], event["reasons"]) == ("degraded", None)


@pytest.mark.parametrize("character", ["ж", "😀", "\n", "\ud800"])
def test_a_text_is_cut_by_what_it_takes(block: Block, character: str) -> None:
    """As the trouble of a reload, in the words of somebody's settings: in JSON a character takes up to twelve bytes."""
    assert write_event(block, "reload", character * 1000, version="0.3")
    (event,) = read_events(block)
    assert set(event["text"]) == {character}
    assert event["version"] == "0.3"


def test_an_event_of_many_long_fields_ends_its_cutting(block: Block) -> None:
    """Whatever has to go."""
    more: Any = {f"field{number}": "y" * 100 for number in range(10)}
    assert write_event(block, "alert", "x" * 240, **more)
    (event,) = read_events(block)
    assert event["kind"] == "alert"


def test_an_event_that_cannot_be_written_in_time_waits(block: Block) -> None:
    """Rather than its master: another process keeps the block locked. It comes before later ones, with its time."""
    writer = EventWriter(block)
    with keeping_locked(block):
        began = time.time()
        writer.write("reload", "reloaded", version="0.3")
        assert not write_event(block, "stop", "stops")
        assert time.time() - began < 1
        assert read_events(block) == []
    time_of_reload = time.time()
    until(lambda: writer.write("stop", "stops") or len(read_events(block)) > 1, "the lock is tried again")
    first, *others = read_events(block)
    assert (first["kind"], first["version"], {event["kind"] for event in others}) == ("reload", "0.3", {"stop"})
    assert began - 0.001 <= first["time"] <= time_of_reload


def test_what_is_no_event_is_passed_over(block: Block) -> None:
    """As another version may write it."""
    odd = b'{"time": "1", "kind": "stop", "text": "x"}', b'{"time": 1, "kind": 2, "text": "x"}'
    nan = b'{"time": NaN, "kind": "stop", "text": "x"}', b'{"time": 1, "kind": "stop", "text": "x", "number": "2"}'
    with block.locked():
        for data in (b"{", b"[]", b'{"time": 1}', *odd, *nan):
            events_of(block).append(data)
    write_event(block, "stop", "stopped")
    assert [event["kind"] for event in read_events(block)] == ["stop"]


def test_how_processes_ended_is_counted(block: Block) -> None:
    """Since the daemon started."""
    assert read_ends(block) == {"planned": 0, "unplanned": 0, "failed_boots": 0}
    with block.locked():
        for _ in range(4):
            count_end(block, "unplanned")
        count_end(block, "failed_boots")
    assert read_ends(block) == {"planned": 0, "unplanned": 4, "failed_boots": 1}
    clear_ends(block)
    assert read_ends(block) == {"planned": 0, "unplanned": 0, "failed_boots": 0}


def test_an_event_is_told_anew_where_it_was(block: Block) -> None:
    """With one more time, and until when; not in the place of one that came since."""
    write_event(block, "boot_failed", "once", pid=1, number=1)
    write_event(block, "stop", "stops")
    (event, _) = read_events(block)
    write_again(block, event, "twice", pid=2)
    (again, _) = read_events(block)
    assert (again["sequence"], again["time"], again["text"], again["pid"]) == (1, event["time"], "twice", 2)
    assert (again["number"], again["until"] >= event["time"]) == (2, True)
    for _ in range(layout.EVENTS):
        write_event(block, "stop", "stops")
    write_again(block, again, "thrice")
    assert {event["text"] for event in read_events(block)} == {"stops"}


def test_alerts_are_open_until_one_is_over(block: Block) -> None:
    """Several where it got worse."""
    assert open_alerts(block) == []
    for kind in ("alert", "alert_over", "alert", "death", "alert"):
        write_event(block, kind, "")  # type: ignore[arg-type]
    assert [event["sequence"] for event in open_alerts(block)] == [3, 5]
    write_event(block, "alert_over", "")
    assert open_alerts(block) == []


def test_events_go_over_to_another_block(block: Block) -> None:
    """The newest, under their sequences: clients go on from there."""
    events: list[Event] = [{"sequence": n, "time": n / 2, "kind": "stop", "text": f"{n}"} for n in range(40, 400)]
    fill_events(block, check_events(events[::-1]))
    write_event(block, "start", "hvd has started")
    *before, new = read_events(block)
    assert before == events[-layout.EVENTS + 1 :]
    assert new["sequence"] == 400


@pytest.mark.parametrize(
    "change", [{"sequence": 0}, {"sequence": 2**60}, {"sequence": "1"}, {"time": None}, {"text": 1}, {"kind": []}]
)
def test_what_is_no_event_is_not_taken_over(change: dict[str, Any]) -> None:
    """As in a file that somebody has edited."""
    event = {"sequence": 1, "time": 1, "kind": "stop", "text": "", **change}
    with pytest.raises((ValueError, TypeError)):
        check_events([event])  # type: ignore[list-item]


def test_the_last_like_event_is_told_anew_after_the_first_ones(block: Block) -> None:
    """Like in kind and in these fields, and of this hour."""
    now = time.time()
    for at, pid in ((now - HOUR - 9, 1), (now, 1), (now, 2), (now, 1)):
        write_event(block, "reload", "", time=at, pid=pid)
    write_event(block, "stop", "", pid=1)
    for alone, kind, same, sequence in (
        (2, "reload", {"pid": 1}, 4),
        (3, "reload", {"pid": 1}, None),
        (1, "reload", {"pid": 2}, 3),
        (1, "reload", {"pid": 3}, None),
        (1, "reload", {"cause": "x"}, None),
    ):
        last = last_like(block, alone, kind, **same)  # type: ignore[arg-type]
        assert (last and last["sequence"]) == sequence
