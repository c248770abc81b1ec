"""Requests that share a row: of threads that serve many, and of threads that got no row of their own."""

import gc
import threading

import pytest

from hvd.core.amounts import AMOUNT_CELLS
from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.core.totals import Reader
from hvd.metrics.table import ABORTED, SIZES, TICK, WS_FRAMES
from tests.unit.core.support import (
    IN_PYTHON,
    PATIENCE,
    Cycle,
    Watched,
    catalogue_of,
    counts,
    ended,
    fork,
    in_thread,
    in_threads,
    own_rows,
    respond,
    serve,
)


def test_a_thread_that_ends_in_a_request_leaves_the_shared_row(rows: Rows) -> None:
    """Nobody else could tell: that request is aborted at once, and the others in the row go on."""
    held = [rows.take() for _ in range(3)]
    held[-1].begin("GET", "/goes-on")
    in_thread(lambda: rows.mine().begin("GET", "/lost"))
    heads = Reader(rows.block).read().heads
    assert (heads.started, heads.in_flight, heads.aborted) == (2, 1, 1)
    assert counts(rows.block, ABORTED.key) == {("exception",): 1}
    respond(held[-1], "GET", "/goes-on", "200")
    held[-1].finish()
    heads = Reader(rows.block).read().heads
    assert (heads.finished, heads.in_flight, heads.aborted) == (1, 0, 1)


@pytest.fixture
def rows_in_python(block: Block) -> Rows:
    """Of the form in which Python code may run in the midst of one call: in the compiled one there is none."""
    catalogue_of(block).add_families()
    return own_rows(block, form=IN_PYTHON)


def test_an_entry_may_be_dropped_at_any_moment(rows_in_python: Rows) -> None:
    """With a request in it, by a thread that is in the midst of counting in that row: it is aborted after that."""
    rows = rows_in_python
    held = [rows.take() for _ in range(2)]
    row = rows.take()
    assert type(row).__name__ == "HotEntry"
    cells = row._cells

    def drop(_: object) -> None:
        row._cells = cells
        gc.collect()

    dropped = rows.take()
    dropped.begin("GET", "/dropped")
    garbage = Cycle(lambda: None, dropped)
    del dropped, garbage
    row._cells = Watched(cells, drop)  # type: ignore[assignment]
    in_thread(lambda: serve(row))
    heads = Reader(rows.block).read().heads
    assert (len(held), heads.started, heads.finished, heads.aborted, heads.in_flight) == (2, 2, 1, 1, 0)
    assert counts(rows.block, ABORTED.key) == {("exception",): 1}


def test_a_destructor_may_count_in_the_midst_of_counting_in_the_shared_row(rows_in_python: Rows) -> None:
    """By the very thread that counts: nothing stands still, nothing is lost."""
    rows = rows_in_python
    held = [rows.take() for _ in range(2)]

    def count() -> None:
        rows.count(WS_FRAMES, (), 2)
        rows.record(TICK, ("of a destructor",), 5)

    def work() -> None:
        row = rows.mine()
        cells = row._cells
        Cycle(count)

        def collect(_: object) -> None:
            row._cells = cells
            gc.collect()

        row._cells = Watched(cells, collect)  # type: ignore[assignment]
        serve(row)

    in_thread(work)
    assert len(held) == 2
    assert counts(rows.block, WS_FRAMES.key) == {(): 2}
    assert counts(rows.block, TICK.key)["of a destructor",] == 1
    assert counts(rows.block) == {("GET", "/x", "200"): 1}


def test_a_forked_child_ends_no_request_of_its_parents_threads(rows: Rows) -> None:
    """There its parent's other threads are no more; their rows are its parent's."""
    held, inside, done = [rows.take() for _ in range(2)], threading.Event(), threading.Event()

    def work() -> None:
        rows.mine().begin("GET", "/x")  # no variable has the row: a frame would keep it in the child
        inside.set()
        done.wait(PATIENCE)
        serve(rows.mine())

    with in_threads(work):
        assert inside.wait(PATIENCE)
        assert ended(fork(gc.collect)) == 0
        heads = Reader(rows.block).read().heads
        assert (len(held), heads.in_flight, heads.aborted) == (2, 1, 0)
        done.set()
    heads = Reader(rows.block).read().heads
    assert (heads.in_flight, heads.finished) == (0, 1)


def test_the_shared_row_is_given_to_all_and_back_by_nobody(rows: Rows) -> None:
    """Threads that had it leave no row free that somebody has."""
    held = [rows.take(), rows.take()]
    assert [row.number for row in held] == [1, 2]
    for _ in range(5):
        in_thread(lambda: serve(rows.mine()))
    assert type(rows.take()).__name__ == "HotEntry"
    held.clear()
    held = [rows.take() for _ in range(3)]
    assert [type(row).__name__ for row in held] == ["Row", "Row", "HotEntry"]


def test_requests_in_the_shared_row_are_in_flight_each(rows: Rows) -> None:
    """Threads that have no row of their own are counted all the same while they work."""
    inside, done = threading.Semaphore(0), threading.Event()

    def work() -> None:
        row = rows.mine()
        row.begin("GET", "/x")
        inside.release()
        done.wait(PATIENCE)
        respond(row, "GET", "/x", "200")
        row.finish()

    reader = Reader(rows.block)
    with in_threads(*[work] * 9):
        for _ in range(9):
            assert inside.acquire(timeout=PATIENCE)
        assert reader.read().heads.in_flight == 9
        done.set()
    heads = reader.read().heads
    assert (heads.in_flight, heads.finished) == (0, 9)


def test_amounts_count_in_the_shared_row(rows: Rows) -> None:
    """As all else of a request that shares one."""
    rows.entry().measure(rows.runs[SIZES.key], ("GET", "/x"), 3, 5)
    totals = Reader(rows.block).read()
    (run,) = (totals.run(one) for one in totals.of(SIZES.key) if one.labels == ("GET", "/x"))
    assert (run[0], run[1], run[1 + AMOUNT_CELLS]) == (1, 3, 5)
