"""The ring of points: order, gaps, clocks, and two who write."""

import os
import signal
from functools import partial

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.history import POINT_SECONDS, SECONDS, History, Point, spacing
from tests.unit.core.support import Watched, at_store, ended, fork, keeping_locked, kill

START = 1_800_000_000 * 10**9
STEP = 2 * 10**9
VALUES, COUNTS = 11, 20  # of a point
ring = partial(History, values=VALUES, counts=COUNTS)


def point(number: int, time_ns: int | None = None) -> Point:
    """One whose every number tells which it is."""
    values = tuple(number + index / 8 for index in range(VALUES))
    counts = tuple(number + index for index in range(COUNTS))
    return Point(START + number * STEP if time_ns is None else time_ns, values, counts)


@pytest.fixture
def history(block: Block) -> History:
    return ring(block)


def add(history: History, *points: Point) -> None:
    assert all(map(history.add, points))


def read(block: Block, now_ns: int | None = None) -> list[Point]:
    """What another process sees of it, at that time, or when the newest point is just written."""
    return ring(block).read(newest(block) if now_ns is None else now_ns)


def newest(block: Block) -> int:
    """Time of the point with the highest sequence."""
    cells = block.cells[block.layout.history // layout.CELL : block.layout.catalogue // layout.CELL]
    places = range(0, layout.HISTORY_POINTS * layout.HISTORY_RECORD_CELLS, layout.HISTORY_RECORD_CELLS)
    return max((cells[first], cells[first + 2]) for first in places)[1]


def test_a_new_ring_is_empty(history: History) -> None:
    """Nothing is made up."""
    assert history.read() == []


def test_points_come_back_as_they_were_written(history: History, block: Block) -> None:
    """In order, and to another process's view of the block too."""
    written = [point(number) for number in range(5)]
    add(history, *written)
    assert read(block) == written


def test_the_ring_keeps_the_newest(history: History, block: Block) -> None:
    """As many as there is room for, over several rounds: fifteen minutes of them."""
    count = 3 * layout.HISTORY_POINTS + 7
    add(history, *map(point, range(count)))
    assert read(block) == [point(number) for number in range(count - layout.HISTORY_POINTS, count)]
    assert layout.HISTORY_POINTS * POINT_SECONDS == SECONDS


def test_what_is_too_old_is_left_out(history: History, block: Block) -> None:
    """A gap doesn't bring back what was before the fifteen minutes, nor does a daemon that was down for long."""
    span = SECONDS * 10**9
    old, kept, last = point(1), point(2, START + 10 * STEP), point(3, START + 10 * STEP + span)
    add(history, old, kept, last)
    assert read(block, last.time_ns) == [kept, last]
    assert read(block, last.time_ns + 1) == [last]
    assert read(block, last.time_ns + span + 1) == []


def test_a_clock_that_was_set_back_hides_the_new_future(history: History, block: Block) -> None:
    """Times only rise in what is read; the newest points are the ones that count, none is later than now."""
    add(history, *map(point, range(10)))
    assert read(block, START + 5 * STEP) == [point(number) for number in range(6)]
    again = [point(20 + number, START + number * STEP + 1) for number in range(3, 6)]
    add(history, *again)
    assert read(block, again[-1].time_ns) == [*(point(number) for number in range(4)), *again]
    assert read(block, START + 9 * STEP) == [*(point(number) for number in range(4)), *again], "the clock caught up"


@pytest.mark.parametrize("stores", [1, 2, 3])
def test_a_writer_killed_in_the_middle_leaves_no_half_point(block: Block, history: History, stores: int) -> None:
    """Readers pass it over, and the next writer, who need not wait for the lock, takes its place."""
    add(history, point(0), point(1))

    def write_partly() -> None:
        own, stored = ring(block), at_store(stores, kill)
        own._cells = Watched(own._cells, stored)  # type: ignore[assignment]
        own._raw = Watched(own._raw, stored)  # type: ignore[assignment]
        own.add(point(2))

    assert ended(fork(write_partly)) == -signal.SIGKILL
    assert read(block, point(9).time_ns) == [point(0), point(1)]
    add(history, point(3))
    assert read(block) == [point(0), point(1), point(3)]


def test_what_is_damaged_is_passed_over(history: History, block: Block) -> None:
    """One byte of a value, a sequence that can't be, a point in another's place; what follows is kept."""
    add(history, *map(point, range(6)))
    first = block.layout.history // layout.CELL
    size = layout.HISTORY_RECORD_CELLS
    block.raw[(first + 2 * size + 5) * layout.CELL] ^= 1  # point(1), of sequence 2
    block.cells[first + 3 * size] = 2**63 - 1
    block.cells[first + 4 * size] = -4
    start, there = (first + 5 * size) * layout.CELL, (first + 9 * size) * layout.CELL
    block.raw[there : there + size * layout.CELL] = bytes(block.raw[start : start + size * layout.CELL])
    assert read(block, point(9).time_ns) == [point(0), point(4), point(5)]
    add(history, point(6))
    assert read(block, point(9).time_ns) == [point(0), point(4), point(5), point(6)]


def test_two_writers_never_mix(block: Block) -> None:
    """Should both of an upgrade's aggregators take themselves for the newest: each point is one of theirs, whole."""

    def write(start: int) -> None:
        history = ring(block)
        for number in range(start, start + 1000):
            while not history.add(point(number, START)):
                pass

    writers = [fork(lambda start=start: write(start)) for start in (0, 100_000)]  # type: ignore[misc]
    seen = 0
    while any(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None for pid in writers):
        seen += assert_whole(block)
    assert [ended(pid) for pid in writers] == [0, 0]
    assert_whole(block)
    cells = block.cells[block.layout.history // layout.CELL :]
    assert max(cells[n * layout.HISTORY_RECORD_CELLS] for n in range(layout.HISTORY_POINTS)) == 2000, "none was lost"
    assert seen


def assert_whole(block: Block) -> int:
    """Each point that is read is one that was written. -> how many"""
    history = ring(block)
    points = [whole for place in history._sequences() if (whole := history._load(*place))]
    for whole in points:
        assert whole == point(round(whole.values[0]), whole.time_ns)
    return len(points)


def test_a_writer_does_not_wait_for_a_stopped_one(history: History, block: Block) -> None:
    """It holds the lock until it is killed; a tick says no to this point, and makes the next one of it."""
    add(history, point(0))
    with keeping_locked(block):
        assert not history.add(point(1))
        assert read(block) == [point(0)]
    add(history, point(2))
    assert read(block) == [point(0), point(2)]


@pytest.mark.parametrize(
    ("interval", "expected"), [(0.1, 2.0), (0.2, 2.0), (0.3, 2.1), (1.5, 3.0), (2.0, 2.0), (2.5, 2.5), (60.0, 60.0)]
)
def test_points_are_whole_ticks_apart(interval: float, expected: float) -> None:
    """As many as two seconds need."""
    assert spacing(interval) == expected


def test_a_record_has_room_for_all(block: Block) -> None:
    """Sequence, checksum, time, values, counts; and the ring ends before the catalogue."""
    room = layout.HISTORY_RECORD_CELLS - 3
    History(block, 20, room - 20)
    with pytest.raises(ValueError, match="don't fit"):
        History(block, 20, room - 19)
    end = block.layout.history + layout.HISTORY_POINTS * layout.HISTORY_RECORD_CELLS * layout.CELL
    assert end <= block.layout.catalogue
