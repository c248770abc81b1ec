"""Slots: who gets which, and what is left of the dead."""

import os
import signal

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.proc import start_ticks
from hvd.core.slots import JOINED_SPARE, Entry, Slot, Slots, entry_of, mark_used, read_entries, settle, used_heads
from hvd.errors import BlockLocked, NoFreeSlot
from tests.unit.core.support import SMALL, WORKER, dead_pid, ended, fork, forked, keeping_locked

ME = os.getpid()
WORKERS = SMALL.slots - layout.COMPANION_SLOTS


def record(slots: Slots, number: int) -> Slot:
    """Of a slot that is taken."""
    slot = slots.get(number)
    assert slot
    return slot


def test_kinds_have_ranges_of_their_own(block: Block) -> None:
    """Companions the first slots, workers the others, the lowest free one each; joined processes most of those."""
    slots = Slots(block)
    assert [slots.claim(layout.KIND_WORKER, ME) for _ in range(WORKERS)] == list(range(WORKER, SMALL.slots))
    assert slots.claim(layout.KIND_AGGREGATOR, ME) == 0
    assert slots.claim(layout.KIND_JOB_RUNNER, ME) == 1
    for number in range(WORKER, SMALL.slots):
        slots.free(number)
    spare = WORKERS // JOINED_SPARE
    taken = [slots.claim(layout.KIND_JOINED, ME, ME) for _ in range(WORKERS - spare)]
    assert (taken, len(list(slots.joined()))) == (list(range(WORKER + spare, SMALL.slots)), WORKERS - spare)
    slots.free(WORKER + 1)
    assert {slots.claim(layout.KIND_WORKER, ME) for _ in range(2)} == {WORKER, WORKER + 1}


@pytest.mark.parametrize(
    ("kind", "number", "remedy"),
    [
        (layout.KIND_WORKER, WORKERS, "set HVD_SLOTS higher and restart"),
        (layout.KIND_JOINED, WORKERS - WORKERS // JOINED_SPARE, "slots for joined processes .* set HVD_SLOTS higher"),
        (layout.KIND_AGGREGATOR, layout.COMPANION_SLOTS, r"by the processes (\d+, ){15}\d+: end those that are not"),
    ],
)
def test_when_all_are_taken_the_error_says_what_to_do(block: Block, kind: int, number: int, remedy: str) -> None:
    """The setting where it helps, else whose they are; and the slots that are taken stay as they are."""
    slots = Slots(block)
    for _ in range(number):
        slots.claim(kind, ME, ME)
    with pytest.raises(NoFreeSlot, match=remedy):
        slots.claim(kind, ME)
    assert len(list(slots.taken())) == number


def test_a_slot_goes_to_its_kind_again(block: Block) -> None:
    """A companion's page is readable until another writes there: not one of another kind, while there is a free one."""
    slots = Slots(block)
    aggregator, runner = (slots.claim(kind, os.getpid()) for kind in (layout.KIND_AGGREGATOR, layout.KIND_JOB_RUNNER))
    for number in (aggregator, runner):
        slots.free(number)
    assert slots.claim(layout.KIND_JOB_RUNNER, os.getpid()) == runner
    assert slots.claim(layout.KIND_JOB_RUNNER, os.getpid()) not in (aggregator, runner)
    assert slots.claim(layout.KIND_AGGREGATOR, os.getpid()) == aggregator


def test_while_the_block_is_locked_no_slot_is_handed_out(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """A master must not wait for ever for a process that is stopped: it is the one to end it."""
    monkeypatch.setattr("hvd.core.slots.LOCK_WAIT", 0.05)
    with keeping_locked(block), pytest.raises(BlockLocked, match="keeps block"):
        Slots(block).claim(layout.KIND_WORKER, ME)
    assert Slots(block).claim(layout.KIND_WORKER, ME) == WORKER


def test_a_slot_says_whose_it_is(block: Block) -> None:
    """Its process once that is known, its master, when it was taken; nothing while it is free."""
    slots = Slots(block)
    assert slots.get(WORKER) is None
    slots.claim(layout.KIND_WORKER, ME)
    slot = record(slots, WORKER)
    assert (slot.kind_name, slot.pid, slot.master, slot.master_start) == ("worker", 0, ME, start_ticks(ME))
    slots.name_process(WORKER, ME)
    slots.beat(WORKER)
    slot = record(slots, WORKER)
    assert (slot.pid, slot.pid_start) == (ME, start_ticks(ME))
    assert slot.heartbeat_ns >= slot.taken_ns > 0
    slots.free(WORKER)
    assert slots.get(WORKER) is None
    assert list(slots.taken()) == []


def test_a_new_owner_inherits_no_sign_of_life(block: Block) -> None:
    """The heartbeat and the process of the one before are gone."""
    slots = Slots(block)
    slots.claim(layout.KIND_AGGREGATOR, ME, ME)
    slots.beat(0)
    slots.free(0)
    slots.claim(layout.KIND_AGGREGATOR, ME)
    slot = record(slots, 0)
    assert (slot.pid, slot.pid_start, slot.heartbeat_ns) == (0, 0, 0)


def test_a_process_is_alive_only_as_the_one_that_took_the_slot(block: Block) -> None:
    """A pid that another process has by now, a zombie and a process that is gone are dead."""
    slots = Slots(block)
    number = slots.claim(layout.KIND_WORKER, ME, ME)
    slot = record(slots, number)
    assert slot.is_alive()
    block.cells[SMALL.slot_cell(number) + layout.S_PID_START] += 1
    slot = record(slots, number)
    assert not slot.is_alive()

    with forked(signal.pause) as pid:
        slots.name_process(number, pid)
        slot = record(slots, number)
        assert slot.is_alive()
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert not slot.is_alive()
    assert not slot.is_alive()


def test_a_slot_without_process_lives_with_its_master(block: Block) -> None:
    """The master may be about to fork; a dead one isn't."""
    slots = Slots(block)
    own, orphaned = slots.claim(layout.KIND_WORKER, ME), slots.claim(layout.KIND_WORKER, dead_pid())
    assert [slot.is_alive() for slot in slots.taken() if slot.number in (own, orphaned)] == [True, False]


def test_processes_that_claim_at_once_get_different_slots(block: Block) -> None:
    """Each claims and frees again and again; none ever finds another's mark in its own slot."""

    def claim_often() -> None:
        slots = Slots(block)
        for _ in range(300):
            number = slots.claim(layout.KIND_WORKER, os.getppid(), os.getpid())
            slot = record(slots, number)
            assert slot.pid == os.getpid()
            slots.free(number)

    children = [fork(claim_often) for _ in range(WORKERS)]
    assert [ended(pid) for pid in children] == [0] * WORKERS
    assert list(Slots(block).taken()) == []


def test_counters_stay_when_a_slot_changes_hands(block: Block) -> None:
    """What the next process did is what is above the values noted when it took the slot."""
    slots = Slots(block)
    slots.claim(layout.KIND_WORKER, ME)
    values = {layout.R_STARTED: 7, layout.R_FINISHED: 4, layout.R_ABORTED: 3, layout.R_ERRORS: 2}
    block.cells[SMALL.row_cell(WORKER, 0) + layout.R_SERVER_ERRORS] = 9
    for row, (cell, value) in enumerate(values.items()):
        block.cells[SMALL.row_cell(WORKER, row) + cell] = value
        block.cells[SMALL.row_cell(WORKER, 0) + cell] += 10
        mark_used(block, WORKER, row)
    before = bytes(block.raw[SMALL.first_row :])
    slots.free(WORKER)
    slots.claim(layout.KIND_WORKER, ME)
    slot = record(slots, WORKER)
    assert (slot.base, slot.base_server_errors) == ((17, 14, 13, 12), 9)
    assert bytes(block.raw[SMALL.first_row :]) == before


def test_rows_once_used_are_read_for_ever(block: Block) -> None:
    """Whoever has the slot by then: what was counted there counts."""
    slots, heads = Slots(block), [SMALL.row_cell(WORKER, row) for row in range(SMALL.rows)]
    slots.claim(layout.KIND_WORKER, ME)
    assert used_heads(block, WORKER) == []
    mark_used(block, WORKER, 1)
    assert used_heads(block, WORKER) == heads[:2]
    slots.free(WORKER)
    slots.claim(layout.KIND_WORKER, ME)
    mark_used(block, WORKER, 0)
    assert used_heads(block, WORKER) == heads[:2]
    mark_used(block, WORKER, SMALL.rows - 1)
    assert used_heads(block, WORKER) == [*heads[:2], heads[-1]]


def in_progress(block: Block, row: int, text: bytes = b"GET /slow", begin: int = 1, **cells: int) -> int:
    """Make a row of the first worker's slot look so; the cell of its head."""
    head = SMALL.row_cell(WORKER, row)
    mark_used(block, WORKER, row)
    block.cells[head + layout.R_BEGIN_NS] = begin
    for name, value in cells.items():
        block.cells[head + getattr(layout, f"R_{name.upper()}")] = value
    start = (head + layout.R_TEXT) * layout.CELL
    block.raw[start : start + layout.TEXT_BYTES] = text.ljust(layout.TEXT_BYTES, b"\0")
    return head


def test_settling_counts_what_was_in_progress_and_clears_it(block: Block) -> None:
    """Own rows and the shared one, with its entries as far as they are told apart; idle and unused rows stay."""
    idle = in_progress(block, 0, begin=0, started=9, finished=9)
    own = in_progress(block, 1, started=5, finished=3, aborted=1)
    shared = in_progress(block, 3, begin=0, started=10, finished=4, busy=6)
    entries = {1: (30, b"POST /second"), 3: (20, b"POST /first"), 4: (-10, b"POST /over or about to begin")}
    for number, (begin, text) in entries.items():
        entry_in_progress(block, number, begin, text)
    settled = settle(block, WORKER)
    assert settled.aborted == 1 + 6
    assert [entry.text for entry in settled.entries] == [
        *("GET /slow", "POST /over or about to begin", "POST /first", "POST /second")
    ]
    assert [block.cells[head + layout.R_ABORTED] for head in (idle, own, shared)] == [0, 2, 6]
    assert [block.cells[head + layout.R_BEGIN_NS] for head in (idle, own, shared)] == [0, 0, 0]
    assert block.cells[shared + layout.R_BUSY] == 0
    assert [block.cells[SMALL.entry_cell(WORKER, number)] for number in range(5)] == [0] * 5
    assert settle(block, WORKER).aborted == 0


def entry_in_progress(block: Block, number: int, begin: int, text: bytes) -> None:
    """Make an entry of the first worker's slot look so."""
    cell, used = SMALL.entry_cell(WORKER, number), SMALL.slot_cell(WORKER) + layout.S_ENTRIES
    block.cells[cell + layout.E_BEGIN_NS], block.cells[cell + layout.E_THREAD] = begin, 7
    start = (cell + layout.E_TEXT) * layout.CELL
    block.raw[start : start + layout.TEXT_BYTES] = text.ljust(layout.TEXT_BYTES, b"\0")
    block.cells[used] = max(block.cells[used], number + 1)


def test_a_slot_that_is_taken_has_memory_for_its_entries(block: Block) -> None:
    """A store into a page for which none is left would end its process."""
    before = block.path.stat().st_blocks * 512
    slots = Slots(block)
    slots.claim(layout.KIND_WORKER, ME)
    reserved = block.path.stat().st_blocks * 512
    for row in (0, SMALL.rows - 1):
        first = SMALL.row_cell(WORKER, row)
        block.cells[first], block.cells[first + block.cells[layout.H_CELLS_USED] - 1] = 1, 1
    for number in range(SMALL.entries):
        entry_in_progress(block, number, 1, b"x" * layout.TEXT_BYTES)
    assert block.path.stat().st_blocks * 512 == reserved
    assert reserved - before >= SMALL.entries * layout.ENTRY_CELLS * layout.CELL


def test_entries_are_told_as_many_as_requests_are_in_progress(block: Block) -> None:
    """One that is about to begin, or is over, only where the number says so; and none of a process before."""
    for number, begin in enumerate((20, -10, 0, 30)):
        entry_in_progress(block, number, begin, str(begin).encode())
    texts = [[entry.text for entry in read_entries(block, WORKER, number)] for number in range(5)]
    assert texts == [[], ["20"], ["20", "30"], ["-10", "20", "30"], ["-10", "20", "30"]]
    assert {entry.thread for entry in read_entries(block, WORKER, 4)} == {7}
    Slots(block).claim(layout.KIND_WORKER, ME)
    assert block.cells[SMALL.slot_cell(WORKER) + layout.S_ENTRIES] == 0
    assert [block.cells[SMALL.entry_cell(WORKER, number)] for number in range(4)] == [0] * 4


@pytest.mark.parametrize(
    ("started", "finished", "begin", "aborted"),
    [(3, 3, 1, 0), (4, 3, 1, 1), (4, 4, 1, 0), (4, 4, 0, 0)],
    ids=["begun, not started", "in progress", "finished, not idle", "idle"],
)
def test_a_death_between_two_stores_is_told_by_the_counts(
    block: Block, started: int, finished: int, begin: int, aborted: int
) -> None:
    """The begin time alone says nothing."""
    head = in_progress(block, 0, begin=begin, started=started, finished=finished)
    settled = settle(block, WORKER)
    assert (settled.aborted, len(settled.entries)) == (aborted, aborted)
    assert block.cells[head + layout.R_BEGIN_NS] == 0


def test_an_entry_tells_its_text_and_age() -> None:
    """Bytes that are no UTF-8 are shown as such; a clock that seems to go back gives no negative age."""
    assert entry_of(2**62, b"GET /\xff\xc3\xbc " + b"x" * 55) == Entry("GET /�ü " + "x" * 55, 0, 2**62)
    assert entry_of(0, b"GET /") is None
