"""Reading: the identity started = finished + in flight + aborted, and sums that never go down, at every moment.

Every state between two stores is reached by calling a reader after each store of the real code, through cells that
tell of it: what a reader in another process may meet, be it that the thread lost the processor or was killed there.
"""

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.rows import Row, Rows
from hvd.core.slots import Slots, settle
from hvd.core.totals import Reader, Totals
from hvd.metrics.table import ABORTED, FAMILIES, HTTP, WS_FRAMES
from tests.support.waiting import until
from tests.unit.core.support import FORMS, IN_PYTHON, WORKER, Watched, at_store, forked, own_rows, respond, serve

READS = 2000


def watch(row: Row, stored: Callable[[Any], object]) -> None:
    """Have `stored` called after each store into the row's cells."""
    watched: list[tuple[Any, str]] = [(row, "_cells")]
    if isinstance(row, IN_PYTHON.Row):
        watched += [(row, "_counts")]
    else:
        watched += [(row._sharing, "cells"), (row._sharing, "entries")]  # type: ignore[attr-defined]
    for owner, name in watched:
        setattr(owner, name, Watched(getattr(owner, name), stored))


def assert_identity(totals: Totals) -> None:
    heads = totals.heads
    assert heads.started == heads.finished + heads.in_flight + heads.aborted, heads
    assert heads.in_flight >= 0


class Checker:
    """Reads after each store; notes the requests in flight that it saw, and that no sum was below the one before."""

    def __init__(self, block: Block) -> None:
        self._reader = Reader(block)
        self.seen: list[int] = []
        self._before: Totals | None = None

    def __call__(self, _: object = None) -> None:
        totals = self._reader.read()
        assert_identity(totals)
        if self._before:
            assert_nothing_went_down(self._before, totals)
        self._before = totals
        self.seen.append(totals.heads.in_flight)

    def changes(self) -> list[int]:
        """What was in flight, without repetitions."""
        return [number for number, _ in itertools.groupby(self.seen)]


def assert_nothing_went_down(before: Totals, now: Totals) -> None:
    for name in ("started", "finished", "aborted", "errors"):
        assert getattr(now.heads, name) >= getattr(before.heads, name), name
    old = before.cells.tolist()
    assert all(new >= earlier for new, earlier in zip(now.cells.tolist(), old, strict=False))
    assert len(now.cells) >= len(old)


@pytest.fixture
def rows(block: Block) -> Rows:
    """The rows of a worker's slot that this process has."""
    rows = own_rows(block, form=IN_PYTHON)  # whose stores can be watched
    assert rows.slot == WORKER
    return rows


@pytest.fixture(params=FORMS.values(), ids=FORMS.keys())
def any_rows(block: Block, request: pytest.FixtureRequest) -> Rows:
    """The same, of each of the two forms."""
    return own_rows(block, form=request.param)


def abandoned(row: Row) -> None:
    row.begin("GET", "/items/1")
    respond(row, "GET", "/items/{n}", "200")
    row.abandon("exception")


def unanswered(row: Row) -> None:
    row.begin("GET", "/items/1")
    row.finish()


def begun_twice(row: Row) -> None:
    row.begin("GET", "/items/1")
    serve(row)


def passed_on(row: Row) -> None:
    row.begin("GET", "/ws")
    row.pass_on(("GET", "/ws", "101"))
    row.finish()


COURSES = {
    serve: [0, 1, 0],
    abandoned: [0, 1, 0],
    unanswered: [0, 1, 0],
    begun_twice: [0, 1, 0, 1, 0],
    passed_on: [0, 1, 0],
}
"""The courses that a request takes, and what is in flight through each."""


def row_of(rows: Rows, kind: str) -> Row:
    return rows.mine() if kind == "own" else rows.entry()


@pytest.mark.parametrize("kind", ["own", "shared"])
@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.__name__)
def test_identity_holds_between_any_two_stores(rows: Rows, kind: str, course: Callable[[Row], None]) -> None:
    """A reader that comes between two stores sees the request in flight or not, never half."""
    row, checker = row_of(rows, kind), Checker(rows.block)
    serve(row)  # so that the course adds to counts that are there
    watch(row, checker)
    course(row)
    assert checker.changes() == COURSES[course]
    assert len(checker.seen) >= 5


@pytest.mark.parametrize("kind", ["own", "shared"])
@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.__name__)
def test_a_death_between_any_two_stores_is_settled(rows: Rows, kind: str, course: Callable[[Row], None]) -> None:
    """What was in flight there is aborted, nothing else; the slot's next process goes on from it."""
    reader, deaths = Reader(rows.block), 0
    for survived in itertools.count():
        row = row_of(type(rows)(rows.block, rows.slot, FAMILIES), kind)
        watch(row, at_store(survived + 1, die))
        try:
            course(row)
        except Dead:
            deaths += 1
            row._began = 0  # the dead tidy nothing up
        else:
            break
        before = reader.read()
        assert_identity(before)
        settled = settle(rows.block, rows.slot)
        after = reader.read()
        assert_identity(after)
        assert after.heads.in_flight == 0
        assert settled.aborted == before.heads.in_flight == after.heads.aborted - before.heads.aborted
        assert len(settled.entries) == settled.aborted
        assert_nothing_went_down(before, after)
    assert deaths >= 5


class Dead(BaseException):
    """The thread is killed here."""


def die() -> None:
    raise Dead


def test_identity_holds_for_requests_that_share_a_row(rows: Rows) -> None:
    """Interleaved in every order of three requests' ends, read after each store."""
    for order in itertools.permutations(range(3)):
        checker = Checker(rows.block)
        trio = [rows.entry() for _ in range(3)]
        for row in trio:
            watch(row, checker)
            row.begin("GET", "/x")
        for ended, number in enumerate(order):
            respond(trio[number], "GET", "/x", "500")
            if ended == 1:
                trio[number].abandon("exception")
            else:
                trio[number].finish()
        assert checker.changes() == [0, 1, 2, 3, 2, 1, 0]


def test_each_request_in_the_shared_row_is_shown(any_rows: Rows) -> None:
    """The oldest first, and none that is over; without room for it, it is counted all the same."""
    reader, room = Reader(any_rows.block), any_rows.block.layout.entries
    many = [any_rows.entry() for _ in range(room + 2)]
    for number, row in enumerate(many):
        row.begin("GET", f"/{number}")
    totals = reader.read()
    assert [entry.text for entry in totals.slots[0].busy] == [f"GET /{number}" for number in range(room)]
    assert totals.heads.in_flight == room + 2
    for row in many[1:]:
        row.abandon("exception")
    assert [entry.text for entry in reader.read().slots[0].busy] == ["GET /0"]
    many[1].begin("GET", "/again")
    assert [entry.text for entry in reader.read().slots[0].busy] == ["GET /0", "GET /again"]
    many.clear()
    heads = reader.read().heads
    assert (heads.in_flight, heads.aborted, reader.read().slots[0].busy) == (0, room + 3, ())


@pytest.mark.parametrize("how", ["finish", "abandon"])
@pytest.mark.parametrize("ended", [0, 1, 2])
def test_of_a_shared_row_no_request_that_has_ended_is_named(rows: Rows, how: str, ended: int) -> None:
    """Wherever the process is killed: what is settled is what was in progress, and the name is one of theirs."""
    reader = Reader(rows.block)
    for survived in itertools.count():
        mine = type(rows)(rows.block, rows.slot, FAMILIES)
        trio = [mine.entry() for _ in range(3)]
        for number, row in enumerate(trio):
            row.begin("GET", f"/{number}")
        respond(trio[ended], "GET", "/x", "200")
        before, is_dead = reader.read().heads, False
        watch(trio[ended], at_store(survived + 1, die))
        try:
            trio[ended].finish() if how == "finish" else trio[ended].abandon("exception")
        except Dead:
            is_dead = True
        for row in trio:
            row._began = 0
        heads = reader.read().heads
        has_ended = heads.finished + heads.aborted > before.finished + before.aborted
        settled = settle(rows.block, rows.slot)
        assert settled.aborted == 3 - has_ended
        names = [entry.text for entry in settled.entries]
        assert names == [f"GET /{number}" for number in range(3) if not has_ended or number != ended]
        if not is_dead:
            break
    assert survived >= 5


def test_a_response_is_counted_before_it_is_finished(rows: Rows) -> None:
    """And its duration at the end; the mean is exact."""
    row, reader = rows.mine(), Reader(rows.block)
    row.begin("GET", "/x")
    respond(row, "GET", "/x", "404")
    (series,) = reader.read().of(HTTP.key)
    assert reader.read().run(series).tolist() == [1] + [0] * (HTTP.cells - 1)
    assert reader.read().heads.errors == 1
    row.finish()
    run = reader.read().run(series).tolist()
    assert (run[0], sum(run[2:])) == (1, 1)
    assert run[1] > 0


def test_sums_are_over_all_slots_and_over_the_dead(block: Block) -> None:
    """A slot that is free again, and its next process, leave the sums as they are."""
    slots, reader = Slots(block), Reader(block)
    slots_rows = [own_rows(block) for _ in range(3)]
    for times, rows in enumerate(slots_rows, 1):
        for _ in range(times):
            serve(rows.mine(), status="503")
        rows.count(WS_FRAMES, (), 100)
    before = reader.read()
    assert (before.heads.started, before.heads.finished, before.heads.errors) == (6, 6, 6)
    (frames,) = before.of(WS_FRAMES.key)
    assert before.cells[frames.offset] == 300
    assert [slot.heads.finished for slot in before.slots] == [1, 2, 3]

    slots.free(slots_rows[1].slot)
    assert reader.read().heads == before.heads
    assert len(reader.read().slots) == 2
    assert slots.claim(layout.KIND_WORKER, os.getpid(), os.getpid()) == slots_rows[1].slot
    now = reader.read()
    assert now.heads == before.heads
    assert now.cells.tolist() == before.cells.tolist()
    assert [slot.heads.finished for slot in now.slots] == [1, 0, 3]


def test_a_process_is_told_of_once_it_is_known(block: Block) -> None:
    """A slot that is handed out and whose process is not forked yet has no pid that anybody could use."""
    slots, reader = Slots(block), Reader(block)
    number = slots.claim(layout.KIND_WORKER, os.getpid())
    assert reader.read().slots == ()
    slots.name_process(number, os.getpid())
    assert [slot.slot.pid for slot in reader.read().slots] == [os.getpid()]


def test_large_cells_do_not_carry_over(rows: Rows) -> None:
    """Sums of durations come near 2^62 ns, and the cell beside is untouched."""
    row, reader = rows.mine(), Reader(rows.block)
    serve(row)
    (series,) = reader.read().of(HTTP.key)
    row.add(series.offset + 1, 2**62 - rows.block.cells[rows.block.layout.row_cell(WORKER, 0) + series.offset + 1])
    run = reader.read().run(series).tolist()
    assert run[:2] == [1, 2**62]
    assert sum(run[2:]) == 1


def record_for_ever(row: Row) -> None:
    """Requests of every course, as fast as the processor allows."""
    order = random.Random(os.getpid())
    courses = list(COURSES)
    while True:
        order.choice(courses)(row)


def read_while(block: Block, is_going: Callable[[], bool]) -> Iterator[Totals]:
    """Totals that differ from those before, READS of them."""
    reader = Reader(block)
    until(lambda: reader.read().heads.started > 100, "the writers write")
    for _ in range(READS):
        yield reader.read()
    assert is_going()


def check_reads(reads: Iterator[Totals]) -> set[int]:
    """Identity at each, nothing goes down; the numbers of requests in flight that were seen."""
    before, seen = None, set()
    for totals in reads:
        assert_identity(totals)
        if before:
            assert_nothing_went_down(before, totals)
        before = totals
        seen.add(totals.heads.in_flight)
    assert before
    assert before.heads.started > 100
    return seen


def test_two_thousand_reads_while_another_process_records(any_rows: Rows) -> None:
    """Identity at every read and no sum below the one before, in rows of its own and in the shared one."""

    def record() -> None:
        mine = type(any_rows)(any_rows.block, any_rows.slot, FAMILIES)
        shared = mine.entry()
        threading.Thread(target=record_for_ever, args=(shared,), daemon=True).start()
        record_for_ever(mine.mine())

    with forked(record) as pid:
        seen = check_reads(read_while(any_rows.block, lambda: os.waitpid(pid, os.WNOHANG) == (0, 0)))
    assert seen <= {0, 1, 2}
    assert len(seen) > 1


def test_two_thousand_reads_while_threads_record(any_rows: Rows) -> None:
    """The same with more threads than rows, in the reader's own process."""
    stop = threading.Event()

    def record() -> None:
        row, courses = any_rows.mine(), itertools.cycle(COURSES)
        while not stop.is_set():
            next(courses)(row)

    threads = [threading.Thread(target=record) for _ in range(5)]
    for thread in threads:
        thread.start()
    try:
        seen = check_reads(read_while(any_rows.block, lambda: all(thread.is_alive() for thread in threads)))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert max(seen) <= 5
    totals = Reader(any_rows.block).read()
    assert totals.heads.in_flight == 0
    aborted = {series.labels: totals.cells[series.offset] for series in totals.of(ABORTED.key)}
    assert sum(aborted.values()) == totals.heads.aborted
