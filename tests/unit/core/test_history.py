"""The ring of points: order, gaps, clocks, and two who write."""

import threading
import time

import pytest

from hvd.core import layout as at
from hvd.core.block import Block
from hvd.core.history import COARSE, SECONDS, VALUE_NAMES, History, Point, coarse
from hvd.core.latency import BOUNDS, BUCKETS

START = 1_800_000_000 * 10**9
STEP = 2 * 10**9


def point(number: int, time_ns: int | None = None) -> Point:
    """One whose every number tells which it is."""
    values = tuple(number + index / 8 for index in range(len(VALUE_NAMES)))
    counts = tuple(number + index for index in range(len(COARSE) + 1))
    return Point(START + number * STEP if time_ns is None else time_ns, values, counts)


@pytest.fixture
def history(block: Block) -> History:
    return History(block)


def test_a_new_ring_is_empty(history: History) -> None:
    """Nothing is made up."""
    assert history.read() == []


def test_points_come_back_as_they_were_written(history: History, block: Block) -> None:
    """In order, and to another process's view of the block too."""
    written = [point(number) for number in range(5)]
    assert all(history.add(each) for each in written)
    assert History(block).read() == written


def test_the_ring_keeps_the_newest(history: History) -> None:
    """As many as there is room for, over several rounds."""
    for number in range(3 * at.HISTORY_POINTS + 7):
        history.add(point(number))
    last = 3 * at.HISTORY_POINTS + 6
    assert history.read() == [point(number) for number in range(last - at.HISTORY_POINTS + 1, last + 1)]


def test_what_is_too_old_is_left_out(history: History) -> None:
    """A gap doesn't bring back what was before the fifteen minutes."""
    old, kept, newest = point(1), point(2, START + 10 * STEP), point(3, START + 10 * STEP + SECONDS * 10**9)
    for each in (old, kept, newest):
        history.add(each)
    assert history.read() == [kept, newest]


def test_a_clock_that_was_set_back_hides_the_new_future(history: History) -> None:
    """Times only rise in what is read; the newest points are the ones that count."""
    for number in range(10):
        history.add(point(number))
    again = [point(20 + number, START + number * STEP + 1) for number in range(3, 6)]
    for each in again:
        assert history.add(each)
    assert history.read() == [*(point(number) for number in range(4)), *again]


def test_a_half_written_point_is_not_read(history: History, block: Block) -> None:
    """Its writer was killed there; the next one takes its place."""
    for number in range(3):
        history.add(point(number))
    cells = block.cells[block.layout.history // at.CELL :]
    sequences = cells[:: at.HISTORY_RECORD_CELLS].tolist()[: at.HISTORY_POINTS]
    cells[sequences.index(3) * at.HISTORY_RECORD_CELLS] = 0
    assert history.read() == [point(0), point(1)]
    history.add(point(7))
    assert history.read() == [point(0), point(1), point(7)]


def test_of_two_writers_one_writes_each_point(history: History, block: Block) -> None:
    """Two aggregators live during an upgrade: what the other has just written isn't written again."""
    other = History(block)
    assert history.add(point(0), apart_ns=STEP // 2)
    assert not other.add(point(9, START + STEP // 4), apart_ns=STEP // 2)
    assert other.add(point(1), apart_ns=STEP // 2)
    assert history.add(point(2, START), apart_ns=STEP // 2), "the clock was set back: the newest is not near, but ahead"


def test_a_reader_never_sees_half_a_point(history: History, block: Block) -> None:
    """While another thread writes as fast as it can."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            history.add(point(number))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        deadline, seen = time.monotonic() + 10, 0
        while seen < 300 and time.monotonic() < deadline:
            points = History(block).read()
            for each in points:
                assert each == point(round(each.values[0]))
            seen += bool(points)
        assert seen == 300
    finally:
        stop.set()
        writer.join()


def test_coarse_buckets_are_unions_of_the_fine_ones() -> None:
    """Nothing is lost, and every bound is met exactly."""
    assert set(COARSE) <= set(BOUNDS)
    fine = list(range(BUCKETS))
    assert sum(coarse(fine)) == sum(fine)
    assert len(coarse(fine)) == len(COARSE) + 1
    for index, bound in enumerate(COARSE):
        buckets = [0] * BUCKETS
        buckets[BOUNDS.index(bound)] = 1
        assert coarse(buckets).index(1) == index


def test_a_record_has_room_for_all(block: Block) -> None:
    """Two cells, the values, the counts, and the ring ends before the catalogue."""
    assert len(VALUE_NAMES) <= 14
    assert 16 + len(COARSE) + 1 <= at.HISTORY_RECORD_CELLS
    end = block.layout.history + at.HISTORY_POINTS * at.HISTORY_RECORD_CELLS * at.CELL
    assert end <= block.layout.catalogue
