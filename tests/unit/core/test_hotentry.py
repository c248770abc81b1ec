"""Requests that share a row: of threads that serve many, and of threads that got no row of their own."""

import gc
import importlib
import os
import random
import sys
import threading
from types import ModuleType
from typing import Any

import pytest

from hvd.core import hotentry, layout
from hvd.core.amounts import AMOUNT_CELLS
from hvd.core.block import Block
from hvd.core.durations import TIMED_CELLS
from hvd.core.progress import read_progress
from hvd.core.rows import Rows
from hvd.core.slots import Slots, settle
from hvd.core.totals import Reader
from hvd.metrics.table import ABORTED, FAMILIES, SIZES, TICK, WS_FRAMES
from tests.support.waiting import until
from tests.unit.core.support import FORMS as ROWS
from tests.unit.core.support import (
    IN_PYTHON,
    PATIENCE,
    Cycle,
    Watched,
    catalogue_of,
    counts,
    ended,
    fork,
    forked,
    in_thread,
    in_threads,
    own_rows,
    respond,
    serve,
)

_hotrow = importlib.import_module("hvd.core._hotrow")
FORMS = pytest.mark.parametrize("form", [hotentry, _hotrow], ids=["in Python", "compiled"])
LABELS = ("GET", "/x", "200")
KNOWN = {LABELS: layout.HEAD_CELLS}
CAUSES = {("exception",): layout.HEAD_CELLS + TIMED_CELLS, ("no_response",): layout.HEAD_CELLS + TIMED_CELLS + 1}
CELLS = layout.HEAD_CELLS + TIMED_CELLS + 2
ROW = layout.SLOT_CELLS  # behind the slot's record
ENTRIES = ROW + CELLS
ROOM = 2


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


def test_entries_stand_for_their_thread_or_are_told_apart(rows: Rows) -> None:
    """Where one thread serves many, its stack is of one of them."""
    held = [rows.entry() for _ in range(2)]

    def idents() -> list[int]:
        for entry in held:
            entry.begin("GET", "/x")
        return [request.thread for request in read_progress(rows.block, rows.slot)]

    assert idents() == [threading.get_ident()] * 2
    rows.tell_entries_apart()
    assert sorted(idents()) == sorted(map(id, held))


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


@pytest.mark.parametrize("form", ROWS.values(), ids=ROWS.keys())
def test_whenever_a_process_is_killed_each_request_of_its_loop_is_named(block: Block, form: ModuleType) -> None:
    """As many as are settled; and at each read before, started = finished + in flight + aborted."""
    reader, slots, order = Reader(block), Slots(block), random.Random(4)

    def loop() -> None:
        mine, picks = form.Rows(block, number, FAMILIES), random.Random(os.getpid())
        entries = [mine.entry() for _ in range(40)]
        while True:
            entry = picks.choice(entries)
            if not entry.is_busy:
                entry.begin("GET", "/x")
            elif picks.random() < 0.8:
                respond(entry, "GET", "/x", "200")
                entry.finish()
            else:
                entry.abandon("exception")

    for _ in range(20):
        number = slots.claim(layout.KIND_WORKER, os.getpid())
        with forked(loop):
            began = reader.read().heads.started
            until(lambda began=began: reader.read().heads.started > began + 50, "it serves")  # type: ignore[misc]
            for _ in range(order.randrange(50)):
                totals = reader.read()
                heads = totals.heads
                assert heads.started == heads.finished + heads.in_flight + heads.aborted
                assert 0 <= heads.in_flight <= 40
        before = reader.read().heads
        settled = settle(block, number)
        assert settled.aborted == before.in_flight == len(settled.entries)
        assert {entry.text for entry in settled.entries} <= {"GET /x"}
        slots.free(number)


def shared(form: Any) -> tuple[Any, memoryview]:
    """What requests share, in this form, and all its cells."""
    raw = memoryview(bytearray((ENTRIES + ROOM * layout.ENTRY_CELLS) * layout.CELL))
    return form.Sharing(raw, 0, ROW, CELLS, ENTRIES, ROOM, KNOWN, CAUSES), raw.cast("q")


def timeless(cells: memoryview) -> list[object]:
    """What they have that doesn't depend on the time."""
    run = ROW + KNOWN[LABELS]
    signs = [(begin > 0) - (begin < 0) for begin in cells[ENTRIES :: layout.ENTRY_CELLS].tolist()]
    texts = [cells[ENTRIES + number * layout.ENTRY_CELLS :][1 : layout.ENTRY_CELLS].tolist() for number in range(ROOM)]
    known = (
        cells[: run + 1].tolist(),
        sum(cells[run + 2 : run + TIMED_CELLS]),
        cells[run + TIMED_CELLS : ENTRIES].tolist(),
    )
    return [*known, signs, texts]


SAME: dict[type, type] = {OverflowError: ValueError, NotImplementedError: TypeError}
STRANGE = [
    None,
    0,
    layout.R_ERRORS,
    10**6,
    2**70,
    1.5,
    True,
    b"GET",
    "GET",
    "/\u20ac",
    "exception",
    [],
    (),
    LABELS,
    ("x",),
]


def play(form: Any, seed: int) -> list[object]:
    """What strange calls of more requests than there is room for give or raise, and what they store."""
    order, log = random.Random(seed), list[object]()
    sharing, cells = shared(form)
    entries = [sharing.entry() for _ in range(ROOM + 1)]
    for _ in range(20):
        entry = order.choice(entries)
        names = ("begin", "begin", "respond", "pass_on", "finish", "abandon", "release", "record")
        call = getattr(entry, order.choice(names))
        usual = [(LABELS,), (LABELS, order.choice(STRANGE)), (KNOWN, LABELS, 5), ("exception",), ()]
        arguments = order.choice([*usual, order.choices(STRANGE, k=order.randint(0, 3))])
        try:
            log.append(call(*arguments))
        except Exception as error:
            log.append(SAME.get(type(error), type(error)))
        log.append((entry.base, entry.is_busy, timeless(cells)))
        if order.random() < 0.1:
            entries[entries.index(entry)] = entry = sharing.entry()
            log.append(timeless(cells))
    return log


def test_both_forms_do_the_same_with_strange_types() -> None:
    """Results, types of errors, and what was stored when one is raised."""
    for seed in range(1000):
        assert play(_hotrow, seed) == play(hotentry, seed), f"seed {seed}"


@FORMS
def test_an_entry_and_what_it_serves_may_refer_to_each_other(form: Any) -> None:
    """A task that is dropped in a request leaves them to the collector, and the request is aborted."""
    sharing, cells = shared(form)
    entry = sharing.entry()
    entry.begin("GET", "/x")
    entry.exchange, entry.interrupted = [entry], [entry]
    del entry
    gc.collect()
    assert cells[ROW : ROW + layout.R_BUSY + 1].tolist() == [1, 0, 1, 0, 0, 0]
    assert cells[ROW + CAUSES["exception",]] == 1
    assert cells[ENTRIES + layout.E_BEGIN_NS] == 0


@FORMS
def test_what_is_released_may_go_on(form: Any) -> None:
    """Its request is aborted, once; the next one is like any other. Nothing ends that has not begun."""
    sharing, cells = shared(form)
    entry = sharing.entry()
    for end in (entry.release, entry.finish, lambda: entry.abandon("exception"), entry.release):
        end()
    assert not any(cells[ROW : ROW + layout.HEAD_CELLS])
    entry.begin("GET", "/x")
    entry.release()
    entry.release()
    entry.begin("GET", "/y")
    entry.respond(LABELS, False)
    entry.finish()
    entry.finish()
    assert cells[ROW : ROW + layout.R_BUSY + 1].tolist() == [2, 1, 1, 0, 0, 0]
    assert cells[layout.S_ENTRIES] == 1, "readers look at no more entries than were ever used at once"


@pytest.mark.parametrize(
    "numbers",
    [
        *((-1, ROW, CELLS, ENTRIES, ROOM), (2**60, ROW, CELLS, ENTRIES, ROOM), (0, sys.maxsize, CELLS, ENTRIES, ROOM)),
        *((0, ROW, 15, ENTRIES, ROOM), (0, ROW, 2**60, ENTRIES, ROOM), (0, ROW, CELLS, ENTRIES + 1, ROOM)),
        *(
            (0, ROW, CELLS, ENTRIES, -1),
            (0, ROW, CELLS, ENTRIES, sys.maxsize),
            (0, ROW, CELLS, ENTRIES, -sys.maxsize - 1),
        ),
    ],
)
def test_the_compiled_one_is_within_the_block(numbers: tuple[int, ...]) -> None:
    """However large the numbers are; what could not be made has no entries."""
    raw = memoryview(bytearray((ENTRIES + ROOM * layout.ENTRY_CELLS) * layout.CELL))
    sharing = _hotrow.Sharing.__new__(_hotrow.Sharing)
    with pytest.raises(ValueError, match="not within the block"):
        sharing.__init__(raw, *numbers, KNOWN, CAUSES)
    with pytest.raises(RuntimeError, match="has no cells"):
        sharing.entry()


def test_a_compiled_entry_is_made_by_its_row_alone() -> None:
    """And once."""
    sharing, cells = shared(_hotrow)
    entry = sharing.entry()
    kind, raw = type(entry), memoryview(bytearray(CELLS * layout.CELL))
    for make in (
        kind,
        lambda: kind.__new__(kind),
        lambda: _hotrow.HotRow.__new__(kind),
        lambda: type("Sub", (kind,), {}),
    ):
        with pytest.raises(TypeError):
            make()
    with pytest.raises(RuntimeError, match="made once"):
        entry.__init__(raw, 0, CELLS, KNOWN)
    with pytest.raises(RuntimeError, match="made once"):
        sharing.__init__(cells, 0, ROW, CELLS, ENTRIES, ROOM, KNOWN, CAUSES)
    for offset in (-1, CELLS, sys.maxsize, -sys.maxsize - 1):
        with pytest.raises(IndexError):
            entry.add(offset, 1)
        with pytest.raises(IndexError):
            shared_with_cause(offset).entry()


def shared_with_cause(cell: int) -> Any:
    """Where the catalogue says of the cause "exception" that its cell is this one."""
    raw = memoryview(bytearray((ENTRIES + ROOM * layout.ENTRY_CELLS) * layout.CELL))
    return _hotrow.Sharing(raw, 0, ROW, CELLS, ENTRIES, ROOM, KNOWN, {("exception",): cell})
