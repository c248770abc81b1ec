"""Recording: what a thread stores, whose row it is, and what happens when there are no more rows."""

import gc
import threading
import time
from bisect import bisect_left
from functools import partial

import pytest

from hvd.core.catalogue import OVERFLOW
from hvd.core.durations import BOUNDS
from hvd.core.rows import Rows
from hvd.core.slots import Slots, used_heads
from hvd.core.totals import Reader
from hvd.metrics.table import ABORTED, FAMILIES, HTTP, TICK, WS_DROPPED, WS_FRAMES
from tests.support.waiting import until
from tests.unit.core.support import (
    PATIENCE,
    Cycle,
    Watched,
    counts,
    in_thread,
    in_threads,
    keeping_locked,
    respond,
    serve,
)


def test_a_request_counts_itself_its_time_and_its_bucket(rows: Rows) -> None:
    """The sum is exact: the bucket is that of the sum, and the sum lies between two clock readings."""
    row = rows.mine()
    start = time.monotonic_ns()
    serve(row)
    end = time.monotonic_ns()
    totals = Reader(rows.block).read()
    (series,) = (one for one in totals.of(HTTP.key) if one.labels == ("GET", "/x", "200"))
    count, ns, *buckets = totals.run(series).tolist()
    assert count == 1
    assert 0 < ns <= end - start
    assert [at for at, number in enumerate(buckets) if number] == [bisect_left(BOUNDS, ns)]


@pytest.mark.parametrize(("status", "errors"), [("200", 0), ("500", 1)])
def test_an_error_is_what_the_caller_says(rows: Rows, status: str, errors: int) -> None:
    """Counted in the row's head, with the response."""
    serve(rows.mine(), status=status)
    rows.count_response(("GET", "/x", status), bool(errors))
    assert Reader(rows.block).read().heads.errors == 2 * errors


def test_what_a_row_says_of_its_request_is_bounded(rows: Rows) -> None:
    """64 bytes; nothing of the longer text before it remains."""
    row, reader = rows.mine(), Reader(rows.block)
    row.begin("DELETE", "/" + "y" * 500)
    (entry,) = reader.read().slots[0].busy
    assert entry.text == "DELETE /" + "y" * 56
    respond(row, "DELETE", "/", "200")
    row.finish()
    row.begin("GET", "/z")
    (entry,) = reader.read().slots[0].busy
    assert entry.text == "GET /z"
    assert 0 <= entry.age < PATIENCE


def test_any_text_of_a_client_can_be_kept(rows: Rows) -> None:
    """WSGI gives bytes as Latin-1; what is beyond it is replaced, not refused."""
    row, reader = rows.mine(), Reader(rows.block)
    for text, kept in (("/\u00c3\u00bc", "/ü"), ("/\u20ac", "/?"), ("/\u00ff", "/�")):
        row.begin(text)
        assert [entry.text for entry in reader.read().slots[0].busy] == [kept]
        row.abandon("exception")


def test_a_request_without_response_is_aborted(rows: Rows) -> None:
    """It has no status to count under."""
    row = rows.mine()
    row.begin("GET", "/x")
    row.finish()
    assert counts(rows.block) == {}
    assert counts(rows.block, ABORTED.key) == {("no_response",): 1}


def test_a_request_that_begins_ends_the_one_before(rows: Rows) -> None:
    """The thread was taken out of that by an exception that nobody told of."""
    row = rows.mine()
    row.begin("GET", "/lost")
    serve(row)
    heads = Reader(rows.block).read().heads
    assert (heads.started, heads.finished, heads.aborted) == (2, 1, 1)
    assert counts(rows.block, ABORTED.key) == {("exception",): 1}


def test_a_response_that_another_process_counts_is_not_counted_twice(rows: Rows) -> None:
    """`pass_on` here and `count_response` there make one response and one duration."""
    row = rows.mine()
    row.begin("GET", "/ws")
    row.pass_on(("GET", "/ws", "101"))
    assert counts(rows.block) == {}
    row.finish()
    rows.count_response(("GET", "/ws", "101"), False)
    assert counts(rows.block) == {("GET", "/ws", "101"): 1}
    assert Reader(rows.block).read().heads.finished == 1


def test_other_counters_and_timings_have_their_cells(rows: Rows) -> None:
    """One-cell counters by any number, timed series with sum and bucket."""
    rows.count(WS_FRAMES, (), 4000)
    rows.count(WS_FRAMES)
    rows.count(WS_DROPPED)
    rows.record(TICK, ("read",), 2_000_000)
    rows.record(TICK, ("read",), 3_000_000)
    totals = Reader(rows.block).read()
    assert counts(rows.block, WS_FRAMES.key) == {(): 4001}
    assert counts(rows.block, WS_DROPPED.key) == {(): 1}
    (series,) = (one for one in totals.of(TICK.key) if one.labels == ("read",))
    run = totals.run(series).tolist()
    assert run[:2] == [2, 5_000_000]
    assert [number for number in run[2:] if number] == [1, 1]


def test_each_thread_has_a_row_of_its_own(rows: Rows) -> None:
    """The same one each time it asks, until there is only the shared one left; the process's first has row 0."""
    pairs: list[list[int]] = []
    barrier = threading.Barrier(6)

    def ask() -> None:
        numbers = [getattr(rows.mine(), "number", 3) for _ in range(2)]  # 3: the last one's, for an entry
        barrier.wait(PATIENCE)
        pairs.append(numbers)

    with in_threads(*[ask] * 6):
        pass
    assert all(first == second for first, second in pairs)
    assert rows.mine().number == 0
    assert sorted(first for first, _ in pairs) == [1, 2, 3, 3, 3, 3]


def test_a_thread_that_ends_gives_its_row_back(rows: Rows) -> None:
    """A hundred threads one after the other need one row, and what they counted stays."""
    numbers = set()

    def work() -> None:
        numbers.add(rows.mine().number)
        serve(rows.mine())

    for _ in range(100):
        in_thread(work)
    assert numbers == {1}
    assert counts(rows.block) == {("GET", "/x", "200"): 100}


def test_a_thread_that_ends_in_a_request_does_not_hold_its_row(rows: Rows) -> None:
    """The next one that gets it counts that request as aborted."""
    in_thread(lambda: rows.mine().begin("GET", "/lost"))
    assert Reader(rows.block).read().heads.in_flight == 1
    in_thread(lambda: serve(rows.mine()))
    heads = Reader(rows.block).read().heads
    assert (heads.started, heads.finished, heads.in_flight, heads.aborted) == (2, 1, 0, 1)


def test_a_destructor_may_count_at_any_moment(rows: Rows) -> None:
    """In the midst of an append to the catalogue too: nothing stands still, nothing is lost."""
    gc.freeze()  # else each collection looks at all that the process's tests have imported
    block, row = rows.block, rows.mine()
    stored = Watched(block.cells, lambda _: gc.collect())  # what an allocation may do there
    block.cells = stored  # type: ignore[assignment]

    def work() -> None:
        for number in range(5):
            Cycle(lambda number=number: rows.count(ABORTED, (f"of a destructor {number}",)))
            rows.count(ABORTED, (f"cause {number}",))
        serve(row, "/new")

    try:
        in_thread(work)
    finally:
        gc.unfreeze()
        block.cells = stored._view
    causes = counts(block, ABORTED.key)
    assert sum(causes.values()) == 10
    assert causes.pop((OVERFLOW,)) == 4, "those that came in the midst of an append"
    assert counts(block) == {("GET", "/new", "200"): 1}


def test_a_row_that_could_not_be_made_is_free_again(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says nothing on standard error when it goes."""
    with monkeypatch.context() as failing:
        failing.delattr(rows, "entries")
        with pytest.raises(AttributeError, match="entries"):
            rows.take()
    assert rows.take().number == 1


def test_while_another_process_keeps_the_lock_requests_are_counted(rows: Rows) -> None:
    """In the shared row, and in overflow series; a second later, and once it is free, as ever."""
    rows.mine()
    with keeping_locked(rows.block):
        start = time.monotonic()
        for number in range(20):
            in_thread(lambda number=number: serve(rows.mine(), f"/{number}"))  # type: ignore[misc]
        serve(rows.mine(), "/own")
        assert time.monotonic() - start < 10
        assert counts(rows.block) == {(OVERFLOW,) * 3: 21}
        assert len(used_heads(rows.block, rows.slot)) == 2
        assert Slots(rows.block).get(rows.slot)
        Slots(rows.block).free(rows.slot)
        assert not Slots(rows.block).get(rows.slot)
    until(lambda: serve(rows.mine()) or counts(rows.block).get(("GET", "/x", "200")), "series are added again")
    heads = Reader(rows.block).read().heads
    assert heads.started == heads.finished == sum(counts(rows.block).values())


@pytest.mark.parametrize("threads", [3, 12])
def test_threads_count_exactly(rows: Rows, threads: int) -> None:
    """With a row each, and with more threads than rows: not one is lost."""
    requests, gate = 3000, threading.Barrier(threads)

    def work(number: int) -> None:
        row = rows.mine()
        gate.wait(PATIENCE)
        for turn in range(requests):
            serve(row, f"/{turn % 3}", "200" if number % 2 else "500")
            rows.count(WS_FRAMES, (), 2)

    with in_threads(*(partial(work, number) for number in range(threads))):
        pass
    heads = Reader(rows.block).read().heads
    assert (heads.started, heads.finished, heads.aborted, heads.in_flight) == (requests * threads,) * 2 + (0, 0)
    assert heads.errors == requests * ((threads + 1) // 2)
    expected = {("GET", f"/{n}", "200"): requests // 3 * (threads // 2) for n in range(3)}
    expected |= {("GET", f"/{n}", "500"): requests // 3 * ((threads + 1) // 2) for n in range(3)}
    assert counts(rows.block) == expected
    assert counts(rows.block, WS_FRAMES.key) == {(): 2 * requests * threads}


def test_past_the_limit_series_share_one_marked_as_overflow(rows: Rows) -> None:
    """Nothing is lost, the catalogue stays bounded, and what overflows is not remembered."""
    limit, row = rows.block.layout.series, rows.mine()
    for number in range(limit + 500):
        serve(row, f"/{number}", "404")
    counted = counts(rows.block)
    assert counted.pop((OVERFLOW, OVERFLOW, "4xx")) == 500
    assert counted == {("GET", f"/{number}", "404"): 1 for number in range(limit)}
    assert len(rows.runs[HTTP.key]) == limit
    serve(row, "/0", "404")
    assert counts(rows.block)["GET", "/0", "404"] == 2
    heads = Reader(rows.block).read().heads
    assert heads.started == heads.finished == heads.errors == limit + 501


def test_every_family_with_labels_overflows_by_itself(rows: Rows) -> None:
    """One that is full leaves room for the others."""
    for number in range(100):
        rows.count(ABORTED, (f"cause {number}",))
    assert counts(rows.block, ABORTED.key)[(OVERFLOW,)] == 100 - (ABORTED.limit or 0)
    for family in FAMILIES.all:
        labels = ("new",) * len(family.labels)
        rows.count(family, labels)
        assert counts(rows.block, family.key).get(labels) == (None if family is ABORTED else 1)


def test_the_next_process_of_a_slot_goes_on_from_its_counts(rows: Rows) -> None:
    """A counter cell never goes back to zero."""
    serve(rows.mine())
    later = type(rows)(rows.block, rows.slot, FAMILIES)
    in_thread(lambda: serve(later.mine()))
    assert counts(rows.block) == {("GET", "/x", "200"): 2}


def test_a_row_that_nobody_used_is_not_read(rows: Rows) -> None:
    """The slot says which were, so that a read costs no more than what is in use."""
    heads = [rows.block.layout.row_cell(rows.slot, number) for number in range(4)]
    assert used_heads(rows.block, rows.slot) == heads[:1]
    in_thread(rows.mine)
    assert used_heads(rows.block, rows.slot) == heads[:2]
    held = [rows.take() for _ in range(3)]
    assert type(held[-1]).__name__ == "HotEntry"
    assert used_heads(rows.block, rows.slot) == heads
