"""Counts that move from one block's slot to another's."""

import gc
import itertools
import os

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.carry import Carrier, Source
from hvd.core.limits import OVERFLOW
from hvd.core.private import private_rows
from hvd.core.rows import Rows
from hvd.core.slots import Slots, settle
from hvd.core.totals import Heads, Reader
from hvd.errors import BlockFull
from hvd.metrics.table import FAMILIES, HTTP, TICK
from tests.unit.core.support import Watched, catalogue_of, counts, in_thread, in_threads, own_rows, respond, serve


@pytest.fixture
def private() -> Rows:
    return private_rows(FAMILIES)


@pytest.fixture
def joined(block: Block) -> Rows:
    catalogue_of(block).add_families()
    return own_rows(block, layout.KIND_JOINED)


def heads(block: Block) -> Heads:
    return Reader(block).read().heads


def whole(private: Rows) -> Source:
    return Source(private, FAMILIES, is_whole=True)


def test_counts_and_durations_move_once(private: Rows, joined: Rows) -> None:
    """To the same series, wherever its cells are in the other block; again and again."""
    joined.record(TICK, ("before",), 5)  # so the cells of the next one lie elsewhere
    source, carrier, expected = whole(private), Carrier(joined), 0
    for number in range(1, 4):
        serve(private.mine(), "/a")
        serve(private.mine(), "/b", "404")
        serve(private.mine(), "/c", "503")
        private.record(TICK, ("work",), 10**6)
        carrier.move([source])
        carrier.move([source])
        expected = number
        assert counts(joined.block, HTTP.key) == {
            ("GET", "/a", "200"): number,
            ("GET", "/b", "404"): number,
            ("GET", "/c", "503"): number,
        }
    assert heads(joined.block) == Heads(3 * expected, 3 * expected, 0, 2 * expected, 0, expected)
    totals = {block: Reader(block).read() for block in (private.block, joined.block)}
    for labels in (("GET", "/a", "200"), ("work",)):
        there, here = (
            next(of.run(one).tolist() for one in of.series if one.labels == labels) for of in totals.values()
        )
        assert there == here
        assert sum(there) > 3


def test_what_has_no_series_of_its_own_moves_to_where_such_counts_go(private: Rows, joined: Rows) -> None:
    """To the overflow series, and to what is lost."""
    for number in range(FAMILIES.entries.most(private.block.layout.series) + 2):
        serve(private.mine(), f"/{number}")
    serve(private.mine(), "/new", "503")
    private.mine().add(layout.LOST, 3)
    Carrier(joined).move([whole(private)])
    assert sum(counts(joined.block).values()) == heads(private.block).finished
    assert counts(joined.block)[OVERFLOW, OVERFLOW, "5xx"] == 1
    assert Reader(joined.block).read().lost == 3


def test_what_was_in_the_slot_before_does_not_move(private: Rows, joined: Rows) -> None:
    """Only what its process counts from then on."""
    serve(private.mine())
    source = Source(private, FAMILIES)
    serve(private.mine())
    Carrier(joined).move([source])
    assert heads(joined.block) == Heads(1, 1, 0, 0, 0)


def test_requests_in_progress_move_and_end_where_they_began(private: Rows, joined: Rows) -> None:
    """Those of several threads: in flight in the other block until they end, and aborted if the process is killed."""
    source, carrier = whole(private), Carrier(joined)
    others = [private.take() for _ in range(3)]
    for row in others:
        row.begin("GET", "/slow")
    serve(private.mine())
    carrier.move([source])
    assert heads(joined.block) == Heads(4, 1, 0, 0, 3)
    respond(others[0], "GET", "/slow", "200")
    others[0].finish()
    others[1].abandon("exception")
    carrier.move([source])
    assert heads(joined.block) == Heads(4, 2, 1, 0, 1)
    assert settle(joined.block, joined.slot).aborted == 1
    assert heads(joined.block) == Heads(4, 2, 2, 0, 0)


def test_a_source_is_in_use_until_no_thread_can_count_there(joined: Rows) -> None:
    """A request within which its thread has ended is aborted then, as where the row is taken by another thread."""
    private = private_rows(FAMILIES)
    row, source, carrier = private.take(), whole(private), Carrier(joined)
    row.begin("GET", "/slow")
    del private
    gc.collect()
    assert carrier.move([source]) == [source]
    del row
    gc.collect()
    assert carrier.move([source]) == []
    assert heads(joined.block) == Heads(1, 0, 1, 0, 0)
    assert counts(joined.block, FAMILIES.aborted.key) == {("exception",): 1}


def test_requests_that_share_a_row_end_where_they_began_too(joined: Rows) -> None:
    """Those of an event loop, whose objects don't keep the rows."""
    private = private_rows(FAMILIES)
    source, carrier, entries = whole(private), Carrier(joined), [private.entry() for _ in range(3)]
    for entry in entries:
        entry.begin("GET", "/slow")
    del private
    gc.collect()
    assert carrier.move([source]) == [source]
    assert heads(joined.block) == Heads(3, 0, 0, 0, 3)
    for entry in entries:
        respond(entry, "GET", "/slow", "200")
        entry.finish()
    assert carrier.move([source]) == []
    assert heads(joined.block) == Heads(3, 3, 0, 0, 0)


def test_the_sum_is_right_at_every_store(private: Rows, joined: Rows) -> None:
    """For a reader that comes in between, and for the settler of a process that is killed there."""
    rows = [private.take() for _ in range(4)]
    source, carrier, reader, numbers = whole(private), Carrier(joined), Reader(joined.block), list[int]()

    def look(_: object) -> None:
        totals = reader.read()
        started, finished, aborted, _, in_flight, _ = totals.heads
        assert started == finished + in_flight + aborted
        assert 0 <= in_flight <= len(rows) + 6
        responses = sum(totals.cells[one.offset] for one in totals.of(HTTP.key))
        assert finished <= responses <= started
        numbers.append(responses)

    carrier._cells = Watched(carrier._cells, look)  # type: ignore[assignment]
    for first, second in itertools.pairwise([*rows, *rows]):
        first.begin("GET", "/a")
        second.begin("GET", "/b")
        carrier.move([source])
        respond(first, "GET", "/a", "500")
        carrier.move([source])
        first.finish()
        serve(private.mine())
        carrier.move([source])
    assert len(numbers) > 50
    assert numbers == sorted(numbers)


def test_it_moves_while_threads_go_on(private: Rows, joined: Rows) -> None:
    """To the last request."""
    source, carrier, left = whole(private), Carrier(joined), [3000] * 4

    def work(thread: int) -> None:
        while left[thread]:
            serve(private.mine(), f"/{left[thread] % 7}")
            left[thread] -= 1

    def move() -> None:
        while any(left):
            carrier.move([source])
            started, finished, aborted, _, in_flight, _ = heads(joined.block)
            assert started == finished + in_flight + aborted

    with in_threads(move, *(lambda thread=thread: work(thread) for thread in range(4))):  # type: ignore[misc]
        pass
    carrier.move([source])
    assert heads(joined.block) == Heads(12_000, 12_000, 0, 0, 0)
    assert sum(counts(joined.block).values()) == 12_000


def test_a_row_of_its_own_is_needed(joined: Rows) -> None:
    """The shared one is changed by others. What a thread that has ended left in it is aborted first."""

    def left() -> None:
        joined.mine().begin("GET", "/")

    in_thread(left)
    carriers = [Carrier(joined) for _ in range(joined.block.layout.rows - 2)]
    with pytest.raises(BlockFull):
        Carrier(joined)
    assert heads(joined.block) == Heads(1, 0, 1, 0, 0)
    assert len(carriers) == 2


def test_one_source_may_have_been_a_target(private: Rows, joined: Rows, other: Rows) -> None:
    """As where a daemon's block was replaced while requests from before the first one were in progress."""
    row, first, second = private.take(), whole(private), Source(joined, FAMILIES)
    row.begin("GET", "/slow")
    Carrier(joined).move([first])
    carrier = Carrier(other)
    carrier.move([first, second])
    assert heads(other.block) == Heads(1, 0, 0, 0, 1)
    respond(row, "GET", "/slow", "200")
    row.finish()
    serve(joined.mine())
    carrier.move([first, second])
    assert heads(other.block) == Heads(2, 2, 0, 0, 0)


@pytest.fixture
def other() -> Rows:
    """A slot of yet another block."""
    rows = private_rows(FAMILIES)
    assert next(Slots(rows.block).taken()).pid != os.getpid()
    return rows
