"""The two forms of the hot code: that both store and add up the same, and what the compiled one refuses."""

import ctypes
import gc
import importlib
import random
import subprocess
import sys
import sysconfig
import weakref
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from hvd.core import hot, hotrow, layout
from hvd.core.amounts import AMOUNT_CELLS, bucket_of
from hvd.core.durations import BOUNDS, TIMED_CELLS

_hotrow = importlib.import_module("hvd.core._hotrow")
assert hot.IS_COMPILED  # and its import has given the compiled form its bounds
KNOWN = {("GET", "/x", "200"): layout.HEAD_CELLS, ("GET", "/x", "500"): layout.HEAD_CELLS + TIMED_CELLS}
CELLS = layout.HEAD_CELLS + 2 * TIMED_CELLS


def both() -> list[tuple[hotrow.HotRow, memoryview]]:
    """A row of each form, with its cells."""
    rows = []
    for form in (hotrow.HotRow, _hotrow.HotRow):
        raw = memoryview(bytearray(CELLS * layout.CELL))
        rows.append((form(raw, 0, CELLS, KNOWN), raw.cast("q")))
    return rows


def test_both_know_the_same_layout() -> None:
    """The numbers in the C file are those of layout.py."""
    assert hot._LAYOUT == _hotrow.LAYOUT


@pytest.mark.parametrize("ns", [0, 1, *(bound + step for bound in BOUNDS[::12] for step in (-1, 0, 1)), 10**12])
def test_both_put_a_duration_into_the_same_bucket(ns: int) -> None:
    """Bounds belong to the bucket below them."""
    cells = []
    for row, run in both():
        row.record(KNOWN, ("GET", "/x", "200"), ns)
        cells.append(run.tolist())
    assert cells[0] == cells[1]
    assert sum(cells[0][layout.HEAD_CELLS + 2 :]) == 1


@pytest.mark.parametrize("amount", [0, 1, 2, 3, *(2**power + step for power in (7, 40, 41, 60) for step in (0, 1))])
def test_both_put_an_amount_into_the_same_bucket(amount: int) -> None:
    """One that is not known counts in none; of two, each has buckets of its own."""
    cells = []
    for row, run in both():
        row.measure(KNOWN, ("GET", "/x", "200"), -1, amount)
        row.measure(KNOWN, ("GET", "/x", "200"), amount)
        cells.append(run.tolist())
    assert cells[0] == cells[1]
    for at in (layout.HEAD_CELLS + 1, layout.HEAD_CELLS + 1 + AMOUNT_CELLS):
        assert cells[0][at] == amount
        assert cells[0][at + 1 + bucket_of(amount)] == sum(cells[0][at + 1 : at + AMOUNT_CELLS]) == 1
    assert cells[0][layout.HEAD_CELLS] == 2


@pytest.mark.parametrize("before", [(), ("GET",), ("", "GET"), ("x" * 64,), ("x" * 63,)], ids=str)
@pytest.mark.parametrize(
    "last", ["/", "/x" * 100, "/äöü", "/\u20ac\U0001f600", "/" + "x" * 58 + "äö", "", "/\x00\n"], ids=ascii
)
def test_both_store_the_same_text(before: tuple[str, ...], last: str) -> None:
    """64 bytes of latin-1, cut or filled up with zeros; what isn't latin-1 becomes a question mark."""
    texts = []
    for row, cells in both():
        row.begin(*before, last)
        texts.append(cells[layout.R_TEXT : layout.R_TEXT + layout.TEXT_BYTES // layout.CELL].tobytes())
    assert texts[0] == texts[1]


def test_both_count_the_same_requests() -> None:
    """Whatever their order: started, finished, errors, counts."""
    order = random.Random(1)
    plan = [order.choice(["200", "500"]) for _ in range(500)]
    kept = [layout.R_STARTED, layout.R_FINISHED, layout.R_ERRORS, layout.R_BEGIN_NS, *KNOWN.values()]
    results = []
    for row, cells in both():
        for status in plan:
            row.begin("GET", "/x")
            row.respond(("GET", "/x", status), status == "500")
            row.finish()
        results.append([cells[index] for index in kept])
    assert results[0] == results[1]
    assert results[0][:4] == [500, 500, plan.count("500"), 0]


class Text(str):
    """No str itself."""


class NoBool:
    """Neither true nor false."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError


LABELS = ("GET", "/x", "200")
STRANGE = [
    *(None, 0, -1, 7, 2**70, 1.5, True, b"GET", "GET", "/€", "\ud800", Text("GET"), [], (), LABELS),
    *((Text("GET"), "/x", "200"), NoBool()),
]
KNOWNS = [KNOWN, KNOWN, {}, None]


def play(form: Any, seed: int) -> list[object]:
    """What strange calls of a row give or raise, and all its cells that don't depend on the time."""
    order, log = random.Random(seed), list[object]()

    class Row(form.HotRow):  # type: ignore[misc]
        def abandon(self, cause: str) -> None:
            log.append(cause)

    raw = memoryview(bytearray(CELLS * layout.CELL))
    row, cells = Row(raw, 0, CELLS, order.choice(KNOWNS)), raw.cast("q")
    for _ in range(12):
        call = getattr(row, order.choice(["begin", "respond", "pass_on", "finish", "record"]))
        arguments = order.choice(
            [
                (LABELS,),
                (LABELS, order.choice(STRANGE)),
                (order.choice(KNOWNS), LABELS, order.choice(STRANGE)),
                order.choices(STRANGE, k=order.randint(0, 4)),
            ]
        )
        try:
            log.append(call(*arguments))
        except Exception as error:
            log.append("ValueError" if isinstance(error, OverflowError) else type(error).__name__)
        run = KNOWN[LABELS]
        timeless = [
            *cells[: layout.R_BEGIN_NS],
            cells[layout.R_BEGIN_NS] != 0,
            *cells[layout.R_BUSY : run + 1],
            sum(cells[run + 2 :]),
        ]
        log.append((row.base, timeless))
    return log


def test_both_forms_do_the_same_with_strange_types() -> None:
    """Results, types of errors, and what was stored when one is raised."""
    for seed in range(3000):
        assert play(_hotrow, seed) == play(hotrow, seed), f"seed {seed}"


@pytest.mark.parametrize("form", [hotrow, _hotrow], ids=["in Python", "compiled"])
def test_a_row_and_what_it_serves_may_refer_to_each_other(form: Any) -> None:
    """A thread that ends in a request leaves them to the collector; else its row would never be another's."""

    class Row(form.HotRow):  # type: ignore[misc]
        pass

    row = Row(memoryview(bytearray(CELLS * layout.CELL)), 0, CELLS, KNOWN)
    row.exchange, row.interrupted, gone = [row], [row], weakref.ref(row)
    del row
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "offset", [sys.maxsize, sys.maxsize - 2, -sys.maxsize - 1, 2**60, CELLS - TIMED_CELLS + 1, CELLS - 5, -4, 0]
)
def test_no_offset_gets_the_compiled_one_out_of_its_row(offset: int) -> None:
    """An error, not a store into another's cells; even if a sum with it is more than a machine's number can be."""
    raw = memoryview(bytearray(CELLS * layout.CELL))
    row = _hotrow.HotRow(raw, 0, CELLS, {("a", "b", "c"): offset})
    for call in (
        lambda: row.respond(("a", "b", "c"), True),
        lambda: row.pass_on(("a", "b", "c")),
        lambda: row.record({("a",): offset}, ("a",), 1),
    ):
        with pytest.raises(IndexError, match="outside of the row"):
            call()
    assert not any(raw)


@pytest.mark.parametrize(
    ("head", "count"), [(2**60, CELLS), (sys.maxsize, CELLS), (0, 2**60), (1, sys.maxsize), (-1, 20), (1, CELLS)]
)
def test_a_compiled_row_is_within_the_block(head: int, count: int) -> None:
    """However large the numbers are; and the block can be written."""
    with pytest.raises(ValueError, match="not within the block"):
        _hotrow.HotRow(memoryview(bytearray(CELLS * layout.CELL)), head, count, KNOWN)
    with pytest.raises(BufferError):
        _hotrow.HotRow(memoryview(b"\0" * CELLS * layout.CELL), 0, CELLS, {})


def failed() -> Any:
    row = _hotrow.HotRow.__new__(_hotrow.HotRow)
    with pytest.raises(ValueError, match="not within the block"):
        row.__init__(memoryview(bytearray(CELLS * layout.CELL)), 1, CELLS, KNOWN)
    return row


@pytest.mark.parametrize("make", [lambda: _hotrow.HotRow.__new__(_hotrow.HotRow), failed], ids=["not made", "failed"])
def test_a_compiled_row_that_was_not_made_has_no_cells(make: Callable[[], Any]) -> None:
    """A clear error, not the end of the process."""
    row, labels = make(), ("GET", "/x", "200")
    for call in (
        lambda: row.begin("GET", "/x"),
        lambda: row.respond(labels, False),
        lambda: row.pass_on(labels),
        lambda: row.finish(),
        lambda: row.record(KNOWN, labels, 1),
    ):
        with pytest.raises(RuntimeError, match="the row has no cells"):
            call()


def test_the_compiled_one_refuses_what_is_no_text_or_too_little() -> None:
    """As Python would: TypeError, KeyError."""
    [_, (row, _cells)] = both()
    some = ("GET", "/x", "200")
    for call in (lambda: row.begin(b"GET", "/"), lambda: row.begin("GET", 1), lambda: row.respond(some)):  # type: ignore
        with pytest.raises(TypeError):
            call()
    for unknown in (("GET", "/unknown", "200"), "x"):
        with pytest.raises(KeyError):
            row.respond(unknown, False)


def rows_of(*rows: list[int]) -> tuple[memoryview, list[int], int]:
    """A block of these rows, each with some cells behind that are not in use."""
    cells = [cell for row in rows for cell in (*row, 77, 78)]
    return memoryview(array("q", cells)).cast("B"), list(range(0, len(cells), len(rows[0]) + 2)), len(rows[0])


def test_both_add_rows_up_alike() -> None:
    """Up to the largest sum that a cell holds; nothing carries over, and heads are told, not added."""
    order = random.Random(2)
    heads = [[order.randrange(2**60) for _ in range(layout.HEAD_CELLS)] for _ in range(4)]
    rows = [[*head, *(order.randrange(2**60) for _ in range(200)), 0, 2**61 - 1] for head in heads]
    raw, starts, used = rows_of(*rows)
    sums, read = hotrow.sum_rows(raw, starts, used, 40)
    assert _hotrow.sum_rows(raw, starts, used, 40) == (sums, read)
    cells = memoryview(sums).cast("q").tolist()
    assert cells[: layout.HEAD_CELLS] == [0] * layout.HEAD_CELLS
    assert cells[layout.HEAD_CELLS :] == [sum(row[index] for row in rows) for index in range(layout.HEAD_CELLS, used)]
    assert [list(head[:-1]) for head in read] == [
        [*head[: layout.R_BEGIN_NS], head[layout.R_SERVER_ERRORS], *head[layout.R_BEGIN_NS : layout.R_BUSY + 1]]
        for head in heads
    ]
    assert [head[-1] for head in read] == [
        array("q", head[layout.R_TEXT : layout.R_TEXT + layout.TEXT_BYTES // layout.CELL]).tobytes() for head in heads
    ]
    for form in (hotrow, _hotrow):
        assert form.sum_rows(raw, [], used, 40) == (bytes(used * layout.CELL), [])


HOOKED = """\
#include <stdint.h>
void (*hook)(const int64_t *cell);
static int64_t hooked_load(const int64_t *cell) { hook(cell); return *cell; }
#define __atomic_load_n(cell, order) hooked_load(cell)
#include "_sums.c"
"""
"""The compiled form, which calls `hook` before each load of a cell."""


class Restless:
    """A row whose thread counts a request during each copy, and two more while its last head is read: the second one
    begins before a reading of the head, and ends in the midst of it.
    """

    def __init__(self, copies: int) -> None:
        self.raw = memoryview(bytearray((layout.HEAD_CELLS + 1) * layout.CELL))
        self.cells = self.raw.cast("q")
        self._copies, self._last_readings = copies, 0

    def before_load(self, cell: int) -> None:
        """A reader is about to load this cell."""
        if cell == layout.HEAD_CELLS:
            self._copies -= 1
            self._begin()
            self._end()
        if self._copies == 0:
            self._last_readings += cell == layout.R_STARTED
            if self._last_readings == 2:
                self._at_second_reading(cell)

    def _at_second_reading(self, cell: int) -> None:
        if cell == layout.R_STARTED:
            self._begin()
        elif cell == layout.R_BEGIN_NS:
            self._end()

    def _begin(self) -> None:
        self.cells[layout.R_BEGIN_NS] = 77
        self.cells[layout.R_STARTED] += 1

    def _end(self) -> None:
        self.cells[layout.R_FINISHED] += 1
        self.cells[layout.R_BEGIN_NS] = 0

    def head_in_c(self, library: Path, retries: int) -> hotrow.Head:
        """The head that the compiled form reads."""
        loaded = ctypes.PyDLL(str(library))
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.raw))
        hook = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda at: self.before_load((at - start) // layout.CELL))
        ctypes.c_void_p.in_dll(loaded, "hook").value = ctypes.cast(hook, ctypes.c_void_p).value
        loaded.hvd_sum_rows.argtypes, loaded.hvd_sum_rows.restype = [ctypes.py_object] * 2, ctypes.py_object
        _, [head] = loaded.hvd_sum_rows(None, (self.raw, [0], layout.HEAD_CELLS + 1, retries))
        return cast("hotrow.Head", head)

    def head_in_python(self, retries: int) -> hotrow.Head:
        """The head that the form in Python reads."""
        _, [head] = hotrow.sum_rows(cast("memoryview", _Hooked(self, layout.CELL)), [0], layout.HEAD_CELLS + 1, retries)
        return head


class _Hooked:
    """What a reader takes for the memory of a row, each of whose items has so many bytes."""

    def __init__(self, row: Restless, unit: int) -> None:
        self._row, self._unit = row, unit

    def cast(self, _: str) -> "_Hooked":
        return _Hooked(self._row, 1)

    def __getitem__(self, items: slice) -> memoryview:
        cells = range(items.start // self._unit, items.stop // self._unit)
        copy = array("q", (self._load(cell) for cell in cells))
        return memoryview(copy) if self._unit == 1 else memoryview(copy).cast("B")

    def _load(self, cell: int) -> int:
        self._row.before_load(cell)
        return self._row.cells[cell]


def test_a_head_is_of_one_moment_however_often_the_copy_failed(tmp_path: Path) -> None:
    """Else a request is started that is neither finished nor in progress."""
    source, library, retries = tmp_path / "hooked.c", tmp_path / "hooked.so", 5
    source.write_text(HOOKED)
    folders = [f"-I{Path(hotrow.__file__).parent}", f"-I{sysconfig.get_path('include')}"]
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", *folders, "-o", library, source], check=True)
    for head in (Restless(retries).head_in_c(library, retries), Restless(retries).head_in_python(retries)):
        assert head[layout.R_STARTED] == head[layout.R_FINISHED] == retries + 1
        assert head[layout.R_BEGIN_NS] == 0


@pytest.mark.parametrize(
    ("start", "used"), [(1, 18), (-1, 18), (2**62, 18), (0, 19), (0, 2**60), (0, 15), (2**64, 18)], ids=str
)
def test_the_compiled_sum_reads_within_the_block(start: int, used: int) -> None:
    """It reads no byte that isn't there."""
    raw = memoryview(bytearray(18 * layout.CELL))
    with pytest.raises((ValueError, OverflowError)):
        _hotrow.sum_rows(raw, [start], used, 40)
    with pytest.raises(TypeError):
        _hotrow.sum_rows(raw, ["0"], 18, 40)


@pytest.mark.parametrize("form", [hotrow, _hotrow], ids=["in Python", "compiled"])
def test_cumulative_sums_are_those_up_to_each_end(form: Any) -> None:
    """From the start that is asked for; past the cells there is nothing to add up."""
    cells = memoryview(array("q", range(100)))
    assert form.cumulate(cells, 10, (1, 2, 2, 90)) == (10, 21, 21, sum(range(10, 100)))
    with pytest.raises(IndexError):
        form.cumulate(cells, 10, (1, 91))
